//! Peers that do not speak TLS, and bytes that are no TLS.

use sansocket::Role;
use sansocket_tls::TlsError;

use crate::support::{BOTH, Configs, receive, written};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: server.example\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

#[test]
fn a_client_that_speaks_plain_http_gets_a_response_that_says_so() {
    for step in [REQUEST.len(), 1] {
        let mut server = Configs::new().tls(Role::Server);
        let error = REQUEST.chunks(step).find_map(|piece| receive(&mut server, piece).err()).unwrap();
        assert!(matches!(error, TlsError::PlainHttp { peer: Role::Client }), "{error:?}");
        assert!(error.to_string().contains("use wss:// instead of ws://"), "{error}");
        let response = String::from_utf8(written(&mut server)).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
        assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{response}");
        assert!(body.contains("wss://"), "{response}");
    }
}

#[test]
fn a_server_that_speaks_plain_http_is_named_as_such() {
    for step in [RESPONSE.len(), 1] {
        let mut client = Configs::new().tls(Role::Client);
        written(&mut client);
        let error = RESPONSE.chunks(step).find_map(|piece| receive(&mut client, piece).err()).unwrap();
        assert!(matches!(error, TlsError::PlainHttp { peer: Role::Server }), "{error:?}");
        assert!(error.to_string().contains("use ws:// instead of wss://"), "{error}");
        assert!(written(&mut client).starts_with(&[21, 3]), "an alert");
    }
}

#[test]
fn other_bytes_are_no_tls() {
    for role in BOTH {
        let mut tls = Configs::new().tls(role);
        let error = receive(&mut tls, b"SSH-2.0-OpenSSH_10.0\r\n").unwrap_err();
        assert!(matches!(error, TlsError::NotTls { .. }), "{error:?}");
    }
}

#[test]
fn a_broken_first_record_is_a_fault_of_the_protocol() {
    for role in BOTH {
        let mut tls = Configs::new().tls(role);
        // a handshake record whose message has an unknown type
        let error = receive(&mut tls, &[22, 3, 3, 0, 4, 99, 0, 0, 0]).unwrap_err();
        assert!(matches!(error, TlsError::Protocol { .. }), "{error:?}");
    }
}

#[test]
fn a_record_that_claims_too_many_bytes_fails_with_its_head() {
    for role in BOTH {
        let mut tls = Configs::new().tls(role);
        let error = receive(&mut tls, &[22, 3, 3, 0xff, 0xff]).unwrap_err();
        assert!(matches!(error, TlsError::Protocol { .. }), "{error:?}");
    }
}
