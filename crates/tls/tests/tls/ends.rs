//! How connections end: close_notify, truncation, half-close, resets, failures.

use sansocket::{Config, Role, accept_key};
use sansocket_drive::{Action, Error};
use sansocket_tls::{CertificateProblem, ClientTls, ServerTls, Tls, TlsError};

use crate::endpoint::Endpoint;
use crate::support::{Authority, BOTH, Configs, NAME, VERSIONS, receive, written};

const CLOSE_1000: [u8; 2] = [0x03, 0xe8];
const OPCODE_BINARY: u8 = 2;
const OPCODE_CLOSE: u8 = 8;

/// Returns an open endpoint with this role, and the TLS connection of its peer.
fn open(configs: &Configs, role: Role) -> (Endpoint<Tls>, Tls) {
    let mut endpoint = Endpoint::new(role, Config::default(), configs.tls(role));
    let mut peer = configs.tls(match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    });
    let mut received = Vec::new();
    while !endpoint.is_open {
        endpoint.receive(written(&mut peer));
        received.extend(receive(&mut peer, &endpoint.written()).unwrap());
        match role {
            Role::Server if peer.is_open() && !endpoint.is_open => {
                let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                peer.send(request.as_bytes()).unwrap();
            }
            Role::Client if received.ends_with(b"\r\n\r\n") => {
                let request = String::from_utf8(std::mem::take(&mut received)).unwrap();
                let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
                let response = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {}\r\n\r\n",
                    accept_key(key)
                );
                peer.send(response.as_bytes()).unwrap();
            }
            _ => {}
        }
    }
    let _ = receive(&mut peer, &endpoint.written()).unwrap();
    (endpoint, peer)
}

/// Returns a frame of the peer of an endpoint with this role.
fn frame(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let (mask_bit, mask): (u8, &[u8]) = if role == Role::Server { (0x80, &[0; 4]) } else { (0, &[]) };
    [&[0x80 | opcode, mask_bit | payload.len() as u8], mask, payload].concat()
}

/// Sends a frame of the peer.
fn send_frame(endpoint: &mut Endpoint<Tls>, peer: &mut Tls, role: Role, opcode: u8, payload: &[u8]) {
    peer.send(&frame(role, opcode, payload)).unwrap();
    endpoint.receive(written(peer));
}

/// Returns the TLS error that the endpoint has reported, and nothing else.
fn tls_error(endpoint: &Endpoint<Tls>) -> &TlsError {
    match &endpoint.errors[..] {
        [Error::Io(error)] => TlsError::of(error).unwrap_or_else(|| panic!("{error:?}")),
        errors => panic!("{errors:?}"),
    }
}

#[test]
fn the_end_of_the_stream_after_both_close_frames_is_clean() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        send_frame(&mut endpoint, &mut peer, role, OPCODE_CLOSE, &CLOSE_1000);
        endpoint.written();
        endpoint.eof();
        endpoint.written();
        assert_eq!((endpoint.close, endpoint.end), (Some((1000, true)), Some(Action::Close)), "{role:?}");
        assert!(endpoint.errors.is_empty(), "{:?}", endpoint.errors);
    }
}

#[test]
fn the_end_of_the_stream_after_the_close_frame_of_the_peer_alone_is_no_truncation() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        send_frame(&mut endpoint, &mut peer, role, OPCODE_CLOSE, &CLOSE_1000);
        endpoint.eof();
        let bytes = endpoint.written();
        assert!(!receive(&mut peer, &bytes).unwrap().is_empty(), "our Close frame");
        assert_eq!(endpoint.close, Some((1000, true)), "{role:?}");
        assert!(endpoint.errors.is_empty(), "{:?}", endpoint.errors);
    }
}

#[test]
fn the_end_of_the_stream_without_close_notify_is_truncation() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        send_frame(&mut endpoint, &mut peer, role, OPCODE_BINARY, b"message");
        endpoint.eof();
        endpoint.written();
        assert!(matches!(tls_error(&endpoint), TlsError::Truncated { .. }), "{role:?}");
        assert!(tls_error(&endpoint).to_string().contains("truncated"));
        assert_eq!((endpoint.close, endpoint.end), (Some((1006, false)), Some(Action::Close)));
    }
}

#[test]
fn a_stream_that_ends_within_a_record_is_truncation() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        peer.send(&frame(role, OPCODE_CLOSE, &CLOSE_1000)).unwrap();
        let mut bytes = written(&mut peer);
        bytes.pop();
        endpoint.receive(bytes);
        endpoint.eof();
        endpoint.written();
        assert!(matches!(tls_error(&endpoint), TlsError::Truncated { .. }), "{role:?}");
        assert_eq!(endpoint.close, Some((1006, false)));
    }
}

#[test]
fn a_close_notify_without_a_close_frame_is_1006_without_an_error() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        peer.close();
        endpoint.receive(written(&mut peer));
        endpoint.written();
        assert_eq!((endpoint.close, endpoint.end), (Some((1006, false)), Some(Action::Close)), "{role:?}");
        assert!(endpoint.errors.is_empty(), "{:?}", endpoint.errors);
    }
}

#[test]
fn our_close_frame_and_close_notify_follow_the_half_close_of_the_peer() {
    for version in VERSIONS {
        for role in BOTH {
            let (mut endpoint, mut peer) = open(&Configs::of_version(version), role);
            peer.send(&frame(role, OPCODE_BINARY, b"last message")).unwrap();
            peer.send(&frame(role, OPCODE_CLOSE, &CLOSE_1000)).unwrap();
            peer.close();
            endpoint.receive(written(&mut peer));
            assert_eq!(endpoint.messages, [b"last message"]);
            let close = receive(&mut peer, &endpoint.written()).unwrap();
            assert_eq!(close.first(), Some(&(0x80 | OPCODE_CLOSE)), "{version:?}, {role:?}");
            assert_eq!(endpoint.close, Some((1000, true)));
            assert!(endpoint.errors.is_empty(), "{:?}", endpoint.errors);
            assert!(peer.has_received_close(), "{version:?}, {role:?}");
        }
    }
}

#[test]
fn a_reset_after_both_close_frames_is_no_error() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        send_frame(&mut endpoint, &mut peer, role, OPCODE_CLOSE, &CLOSE_1000);
        endpoint.written();
        endpoint.reset();
        endpoint.written();
        assert_eq!(endpoint.close, Some((1000, true)), "{role:?}");
        assert!(endpoint.errors.is_empty(), "{:?}", endpoint.errors);
    }
}

#[test]
fn a_reset_of_an_open_connection_is_1006_and_no_truncation() {
    for role in BOTH {
        let (mut endpoint, _) = open(&Configs::new(), role);
        endpoint.reset();
        endpoint.written();
        assert_eq!(endpoint.close, Some((1006, false)), "{role:?}");
        assert!(endpoint.errors.is_empty(), "{:?}", endpoint.errors);
    }
}

#[test]
fn messages_before_a_broken_record_are_delivered_before_the_error() {
    for role in BOTH {
        let (mut endpoint, mut peer) = open(&Configs::new(), role);
        peer.send(&frame(role, OPCODE_BINARY, b"genuine")).unwrap();
        let mut bytes = written(&mut peer);
        peer.send(&frame(role, OPCODE_BINARY, b"changed")).unwrap();
        bytes.extend(written(&mut peer));
        *bytes.last_mut().unwrap() ^= 1;
        endpoint.receive(bytes);
        assert_eq!(endpoint.messages, [b"genuine"]);
        assert!(endpoint.errors.is_empty());
        let alert = endpoint.written();
        assert!(matches!(tls_error(&endpoint), TlsError::Protocol { .. }), "{role:?}");
        assert_eq!((endpoint.close, endpoint.end), (Some((1006, false)), Some(Action::Close)));
        let error = receive(&mut peer, &alert).unwrap_err();
        assert!(matches!(error, TlsError::AlertReceived { .. }), "{error:?}");
    }
}

#[test]
fn a_failed_handshake_is_an_error_of_the_connection_and_the_peer_gets_the_alert() {
    let authority = Authority::new("authority");
    let client_tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    let server_tls = ServerTls::new(authority.issue("other.example")).unwrap();
    let mut client = Endpoint::new(Role::Client, Config::default(), client_tls.layer(NAME).unwrap());
    let mut server = Endpoint::new(Role::Server, Config::default(), server_tls.layer());
    server.receive(client.written());
    client.receive(server.written());
    let alert = client.written();
    let error = tls_error(&client);
    assert!(matches!(error, TlsError::Certificate { problem: CertificateProblem::WrongName { .. }, .. }), "{error:?}");
    assert_eq!(client.end, Some(Action::Close));
    server.receive(alert);
    assert!(matches!(tls_error(&server), TlsError::AlertReceived { sender: Role::Client, .. }));
    server.written();
    assert_eq!((server.end, server.close, client.close), (Some(Action::Close), None, None));
}

#[test]
fn the_end_of_the_stream_during_the_handshake_is_an_error() {
    let configs = Configs::new();
    for role in BOTH {
        let mut endpoint = Endpoint::new(role, Config::default(), configs.tls(role));
        endpoint.written();
        endpoint.eof();
        endpoint.written();
        let error = tls_error(&endpoint);
        assert!(matches!(error, TlsError::EndedInHandshake { .. }), "{error:?}");
        assert_eq!(endpoint.end, Some(Action::Close));
    }
}
