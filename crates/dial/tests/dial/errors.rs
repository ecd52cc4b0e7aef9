//! Errors name the layer that failed, and say what to do.

use std::io::{self, ErrorKind};

use sansocket::{HandshakeError, Instant};
use sansocket_dial::{Action, Dial, DialError, DialOptions, FailedLayer, Proxy, ProxyFault, ProxyRules};
use sansocket_drive::Error;

use crate::support::{OPENING_TIMEOUT, dial, refused};

/// Does what the dial asks for until it waits for TLS or for the opening handshake.
fn advance(dial: &mut Dial) {
    loop {
        match dial.next_action(Instant::EPOCH).unwrap() {
            Action::Connect { attempt, .. } => dial.connected(attempt),
            Action::Write(to_write) => dial.written(to_write.bytes.len()),
            Action::StartTls(_) | Action::Open(_) | Action::Read { .. } => return,
            Action::Use(_) => {}
            action => panic!("{action:?}"),
        }
    }
}

fn opening_error(error: Error) -> DialError {
    let mut dial = dial("ws://192.0.2.1/", DialOptions::default());
    advance(&mut dial);
    dial.opening_failed(error);
    dial.next_action(Instant::EPOCH).unwrap_err()
}

#[test]
fn a_failed_opening_handshake_is_http_or_websocket() {
    for (error, layer, text) in [
        (
            refused(401, &[]),
            FailedLayer::Http,
            "HTTP: the server refused the opening handshake with status 401: it requires credentials: write them in \
             the URL, or in the header field Authorization",
        ),
        (
            refused(200, &[]),
            FailedLayer::Http,
            "HTTP: the server refused the opening handshake with status 200: this is not a WebSocket at this path: \
             check the URL",
        ),
        (
            Error::Peer(HandshakeError::AcceptMissing.into()),
            FailedLayer::WebSocket,
            "WebSocket: opening handshake failed: the server sent no Sec-WebSocket-Accept",
        ),
        (Error::Io(io::Error::new(ErrorKind::ConnectionReset, "reset")), FailedLayer::Http, "HTTP: transport: reset"),
    ] {
        let error = opening_error(error);
        assert_eq!((error.layer(), error.to_string().as_str()), (Some(layer), text));
    }
}

#[test]
fn the_opening_timeout_of_the_connection_is_that_of_dialing() {
    let timeout = sansocket::Error::Timeout(sansocket::TimeoutKind::Opening);
    let error = opening_error(Error::Peer(timeout));
    assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Http, limit } if limit == OPENING_TIMEOUT));
}

#[test]
fn failures_of_tls_name_the_server_or_the_proxy() {
    let certificate = || io::Error::new(ErrorKind::InvalidData, "TLS: the certificate has expired");
    let mut server = dial("wss://192.0.2.1/", DialOptions::default());
    advance(&mut server);
    server.tls_failed(certificate(), true);
    let error = server.next_action(Instant::EPOCH).unwrap_err();
    assert!(error.is_permanent() && error.layer() == Some(FailedLayer::Tls));
    assert_eq!(error.to_string(), "TLS: 192.0.2.1: the certificate has expired");

    let proxy: Proxy = "https://192.0.2.9".parse().unwrap();
    let options = DialOptions::default().proxies(ProxyRules::always(proxy));
    let mut through_proxy = dial("wss://192.0.2.1/", options.clone());
    advance(&mut through_proxy);
    through_proxy.tls_failed(certificate(), true);
    let error = through_proxy.next_action(Instant::EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "proxy https://192.0.2.9:443: TLS: the certificate has expired");

    // a layer may complete the handshake with the proxy only when the first bytes pass
    let mut lazily = dial("wss://192.0.2.1/", options);
    advance(&mut lazily);
    lazily.tls_started();
    lazily.tls_failed(certificate(), true);
    let error = lazily.next_action(Instant::EPOCH).unwrap_err();
    assert!(matches!(&error, DialError::Proxy { fault, .. } if matches!(**fault, ProxyFault::Tls { .. })));
    assert!(error.is_permanent());
}

#[test]
fn a_transport_that_fails_is_a_fault_of_its_phase() {
    let proxy: Proxy = "http://192.0.2.9".parse().unwrap();
    let options = DialOptions::default().proxies(ProxyRules::always(proxy));
    let reset = || io::Error::new(ErrorKind::ConnectionReset, "reset");
    let mut tunnel = dial("wss://192.0.2.1/", options);
    advance(&mut tunnel);
    tunnel.transport_failed(reset());
    let error = tunnel.next_action(Instant::EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "proxy http://192.0.2.9:1080: the connection to it failed: reset");
    assert!(!error.is_permanent());

    let mut tls = dial("wss://192.0.2.1/", DialOptions::default());
    advance(&mut tls);
    tls.eof();
    let error = tls.next_action(Instant::EPOCH).unwrap_err();
    assert!(matches!(&error, DialError::Tls { error, .. } if error.kind() == ErrorKind::UnexpectedEof));
}

#[test]
fn the_timeout_names_the_phase() {
    let late = Instant::EPOCH + OPENING_TIMEOUT;
    let layer = |mut dial: Dial| dial.next_action(late).unwrap_err().layer();
    let via = |proxy: &str| DialOptions::default().proxies(ProxyRules::always(proxy.parse().unwrap()));
    assert_eq!(layer(dial("ws://example.com/", DialOptions::default())), Some(FailedLayer::Name));
    assert_eq!(layer(dial("ws://example.com/", via("proxy.example"))), Some(FailedLayer::Proxy));
    assert_eq!(layer(dial("ws://example.com/", via("socks5://192.0.2.9"))), Some(FailedLayer::Name));
    assert_eq!(layer(dial("ws+unix:/run/s", DialOptions::default())), Some(FailedLayer::UnixSocket));
    let mut tls = dial("wss://192.0.2.1/", DialOptions::default());
    advance(&mut tls);
    assert_eq!(layer(tls), Some(FailedLayer::Tls));
    let mut lazy_tls = dial("wss://192.0.2.1/", DialOptions::default());
    advance(&mut lazy_tls);
    lazy_tls.tls_started();
    lazy_tls.tls_timed_out();
    let error = lazy_tls.next_action(Instant::EPOCH).unwrap_err();
    assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Tls, limit } if limit == OPENING_TIMEOUT));
    let mut proxy_tls = dial("wss://192.0.2.1/", via("https://192.0.2.9"));
    advance(&mut proxy_tls);
    assert_eq!(layer(proxy_tls), Some(FailedLayer::Proxy));
}

#[test]
fn after_an_error_every_call_is_harmless() {
    let mut dial = dial("ws://192.0.2.1/", DialOptions::default());
    advance(&mut dial);
    dial.opening_failed(refused(500, &[]));
    assert!(matches!(dial.next_action(Instant::EPOCH), Err(DialError::Opening(_))));
    dial.opening_failed(refused(500, &[]));
    dial.received(b"bytes");
    dial.eof();
    dial.written(7);
    dial.tls_started();
    dial.tls_failed(ErrorKind::Other.into(), true);
    dial.tls_timed_out();
    assert!(matches!(dial.next_action(Instant::EPOCH), Err(DialError::Ended)));
}
