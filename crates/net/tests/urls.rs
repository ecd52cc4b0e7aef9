//! URLs with hosts outside ASCII, and the redaction of credentials.

mod support;

use std::fmt::Debug;
use std::io::Write;
use std::net::SocketAddr;

use sansocket_net::dial::TargetError;
use sansocket_net::sansocket::UriError;
use sansocket_net::{Connector, DialError, Error, Target};
use support::*;

/// Starts a raw server that opens the connection of one client, and returns the head of its request.
fn serve_request() -> (SocketAddr, Task<String>) {
    serve_raw(|mut stream, request| {
        stream.write_all(response(&request).as_bytes()).unwrap();
        request
    })
}

/// Returns the line of the request that names the host.
#[cfg(feature = "idna")]
fn host_line(request: &str) -> String {
    request.lines().find(|line| line.starts_with("Host: ")).unwrap().to_owned()
}

/// UTS 46: the host is converted before it is looked up or sent.
#[test]
#[cfg(feature = "idna")]
fn hosts_outside_ascii_are_converted() {
    for (host, sent) in [
        ("b\u{fc}cher.example", "xn--bcher-kva.example"),
        ("B\u{dc}CHER.EXAMPLE", "xn--bcher-kva.example"),
        ("fa\u{df}.example", "xn--fa-hia.example"),
        ("\u{4f8b}\u{3048}\u{3002}\u{30c6}\u{30b9}\u{30c8}", "xn--r8jz45g.xn--zckzah"),
        ("example.com", "example.com"),
    ] {
        bounded(move || {
            let (address, server) = serve_request();
            let url = format!("ws://{host}:{}/chat", address.port());
            drop(Connector::new().addresses([address]).connect(&url).unwrap());
            assert_eq!(host_line(&server.join()), format!("Host: {sent}:{}", address.port()));
        });
    }
    bounded(|| {
        let (address, server) = serve_request();
        // full-width digits, which become an address when they are converted
        drop(sansocket_net::connect(&format!("ws://\u{ff11}\u{ff12}\u{ff17}.0.0.1:{}/", address.port())).unwrap());
        assert_eq!(host_line(&server.join()), format!("Host: {address}"));
    });
}

#[test]
#[cfg(feature = "idna")]
fn hosts_that_cannot_be_converted() {
    // a soft hyphen alone, hosts that would contain a slash, a broken encoding, a control character
    for host in ["\u{ad}", "a\u{ff0f}b", "a\u{2100}b", "xn--\u{fc}", "\u{202e}a"] {
        let error = Connector::new().connect(&format!("ws://{host}/")).unwrap_err();
        assert!(matches!(error, DialError::Target(TargetError::Uri(UriError::HostInvalid))), "{host:?}: {error:?}");
        assert_eq!(error.to_string(), "URL: the host is not a domain name: check its characters");
    }
}

#[test]
#[cfg(not(feature = "idna"))]
fn hosts_outside_ascii_are_refused() {
    let error = Connector::new().connect("ws://b\u{fc}cher.example/").unwrap_err();
    assert!(matches!(error, DialError::Target(TargetError::Uri(UriError::HostNotAscii(_)))), "{error:?}");
    assert_eq!(
        error.to_string(),
        "URL: the host \"b\u{fc}cher.example\" is not ASCII: write its ASCII form, which begins with xn--, or \
         enable the feature `idna`"
    );
}

#[track_caller]
fn check(value: &impl Debug, visible: &str) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains("hunter2") && shown.contains(visible), "{shown}");
    }
}

/// Neither `Debug`, plain or pretty, nor an error message shows credentials.
#[test]
fn credentials_are_redacted() {
    bounded(|| {
        let connector = Connector::new()
            .header("Authorization", "hunter2")
            .header("Proxy-Authorization", "hunter2")
            .header("Cookie", "a=hunter2");
        check(&connector, "<redacted>");
        let (listener, address) = listen();
        let server = serve(listener, |mut incoming| {
            assert_eq!(incoming.request().unwrap().headers().get("Cookie"), Some("a=hunter2"));
            check(&incoming, "<redacted>");
            check(&incoming.accept().unwrap(), "Open");
        });
        check(&connector.connect(&format!("ws://{address}/")).unwrap(), "Open");
        server.join();

        let (address, server) = serve_raw(|mut stream, _| {
            stream.write_all(b"HTTP/1.1 401 No\r\nSet-Cookie: hunter2\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let error = connector.connect(&format!("ws://{address}/")).unwrap_err();
        assert!(matches!(error, DialError::Opening(Error::Peer(_))), "{error:?}");
        check(&error, "<redacted>");
        server.join();
        for url in ["ws://user:hunter2", "user:hunter2@localhost"] {
            let error = connector.connect(url).unwrap_err();
            check(&error, "Target");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let target: Target = "ws://user:hunter2@localhost/".parse().unwrap();
        check(&target, "<redacted>");
        assert_eq!(target.to_string(), "ws://localhost/");
        let error = Connector::new().header("Cookie: a=hunter2", "").connect(&format!("ws://{address}/")).unwrap_err();
        check(&error, "<redacted>");
        assert_eq!(error.to_string(), "request: \"Cookie: <redacted>\" is not the name of a header field");
    });
}

/// A request has one `Cookie`, one `Authorization` and one `Origin` (RFC 6265 section 5.4, RFC 6454 section 7.3).
#[test]
fn fields_that_are_set_twice_are_sent_once() {
    bounded(|| {
        let (address, server) = serve_request();
        let connector = Connector::new()
            .header("Cookie", "a=1")
            .header("Authorization", "Basic YQ==")
            .origin("http://a")
            .header("cookie", "b=2")
            .header("authorization", "Bearer b")
            .header("Origin", "http://b");
        drop(connector.connect(&format!("ws://{address}/")).unwrap());
        let request = server.join();
        let (_, added) = request.split_once("Sec-WebSocket-Version: 13\r\n").unwrap();
        assert_eq!(added, "Cookie: a=1; b=2\r\nauthorization: Bearer b\r\nOrigin: http://b\r\n\r\n");
    });
}
