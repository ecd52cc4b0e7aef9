//! Limits of the opening handshake, for server and client.

use sansocket::{Config, Error, HandshakeError, Input, WebSocket};

use crate::support::{
    NONCE, NOW, Scripted, client_request, in_all_splits, in_moments, output, receive, request, request_with, response,
    server,
};

fn config(head_size: usize, lines: usize) -> Config {
    let mut config = Config::default();
    config.max_head_size = head_size;
    config.max_header_lines = lines;
    config
}

fn client(config: Config) -> WebSocket {
    WebSocket::client(client_request(), config, Scripted::new(NONCE), NOW).unwrap()
}

/// Returns the limit that was exceeded: its name, its value and the size.
fn exceeded(error: &Error) -> (&'static str, u64, u64) {
    match error {
        Error::Handshake(HandshakeError::LimitExceeded(limit)) => (limit.name(), limit.limit(), limit.size()),
        other => panic!("{other:?}"),
    }
}

/// CVE-2023-43669: a head without an end, byte by byte, fails at the limit with 431, at a constant cost per byte.
#[test]
fn endless_head_by_the_byte() {
    for (mut endpoint, is_server, begin) in [
        (WebSocket::server(config(1 << 20, 100), NOW), true, "GET / HTTP/1.1\r\nX: "),
        (client(config(1 << 20, 100)), false, "HTTP/1.1 101 \r\nX: "),
    ] {
        output(&mut endpoint);
        assert_eq!(receive(&mut endpoint, begin.as_bytes()), Ok(vec![]));
        in_moments(|| {
            for count in begin.len() + 1.. {
                let mut byte = [b'a'];
                if let Err(failed) = endpoint.receive(&mut Input::new(&mut byte), NOW) {
                    assert_eq!(exceeded(&failed), ("max_head_size", 1 << 20, (1 << 20) + 1));
                    assert_eq!(count, (1 << 20) + 1);
                    break;
                }
            }
        });
        let answer = output(&mut endpoint);
        assert_eq!(answer.starts_with(b"HTTP/1.1 431 "), is_server);
    }
}

/// CVE-2026-54465: header lines without end, also in a response. CVE-2024-37890: too many lines are an error, they are
/// not dropped.
#[test]
fn header_lines() {
    let server = |lines| in_all_splits(request().as_bytes(), || WebSocket::server(config(1 << 14, lines), NOW));
    assert_eq!(server(5).status(), 101);
    for lines in [0, 1, 4] {
        let limit = lines as u64;
        assert_eq!(server(lines).status(), 431);
        assert_eq!(exceeded(&server(lines).error.unwrap()), ("max_header_lines", limit, limit + 1));
    }
    let answered = |lines| in_all_splits(response().as_bytes(), || client(config(1 << 14, lines)));
    assert_eq!(answered(3).error, None);
    for lines in [0, 1, 2] {
        let limit = lines as u64;
        assert_eq!(exceeded(&answered(lines).error.unwrap()), ("max_header_lines", limit, limit + 1));
    }
}

/// Every header line within the limit is kept, also with a large limit.
#[test]
fn many_header_lines() {
    for lines in [25, 26, 27, 28, 95, 1000] {
        let added = (0..lines).map(|line| format!("X-{line}: {line}\r\n")).collect::<String>();
        let bytes = request_with("", None, &added);
        let served = |limit| in_all_splits(bytes.as_bytes(), || WebSocket::server(config(1 << 20, limit), NOW));
        let outcome = served(lines + 5);
        assert_eq!(outcome.status(), 101);
        assert_eq!(outcome.request().headers().len(), lines + 5);
        let last = outcome.request().headers().iter().last();
        assert_eq!(last, Some((&*format!("X-{}", lines - 1), &*format!("{}", lines - 1))));
        let limit = lines as u64 + 4;
        assert_eq!(exceeded(&served(lines + 4).error.unwrap()), ("max_header_lines", limit, limit + 1));
    }
}

/// The limit includes the empty line; zero means zero.
#[test]
fn head_size() {
    let size = request().len();
    let served = |limit| in_all_splits(request().as_bytes(), || WebSocket::server(config(limit, 100), NOW)).status();
    assert_eq!((served(size), served(size - 1), served(0)), (101, 431, 431));

    let size = response().len();
    let answered = |limit| in_all_splits(response().as_bytes(), || client(config(limit, 100))).error;
    let too_long = |limit: usize| ("max_head_size", limit as u64, limit as u64 + 1);
    assert_eq!(answered(size), None);
    for limit in [size - 1, 0] {
        assert_eq!(exceeded(&answered(limit).unwrap()), too_long(limit));
    }
    // 1xx responses without end count together (RFC 9110 section 15.2)
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    let error = in_all_splits(interim.as_bytes(), || client(config(1 << 14, 100))).error;
    assert_eq!(exceeded(&error.unwrap()), too_long(1 << 14));
}

/// The body of a refusal is kept up to the limit of its head.
#[test]
fn body_size() {
    for head in ["", "Content-Length: 100000\r\n"] {
        let bytes = format!("HTTP/1.1 500 Oops\r\n{head}\r\n{}", "a".repeat(2000));
        let outcome = in_all_splits(bytes.as_bytes(), || client(config(1000, 100)));
        let HandshakeError::Refused(response) = outcome.handshake_error() else { panic!("{outcome:?}") };
        assert_eq!(response.body(), "a".repeat(1000).as_bytes());
    }
    // the extensions of chunks are limited too
    let bytes = format!("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n1;{}", "a".repeat(2000));
    let outcome = in_all_splits(bytes.as_bytes(), || client(config(1000, 100)));
    assert_eq!(outcome.handshake_error().status(), Some(500));
    let bytes = format!("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n{}", "1\r\na\r\n".repeat(1000));
    let outcome = in_all_splits(bytes.as_bytes(), || client(config(1000, 100)));
    assert_eq!(outcome.handshake_error().status(), Some(500));
}

/// Conformance 21: bytes that arrive before the answer are kept up to the limit; more end the handshake.
#[test]
fn early_frames() {
    let mut server = WebSocket::server(config(1000, 100), NOW);
    assert_eq!(receive(&mut server, request().as_bytes()).unwrap().len(), 1);
    assert!(!server.wants_read());
    assert_eq!(receive(&mut server, &[0; 600]), Ok(vec![]));
    assert_eq!(receive(&mut server, &[0; 400]), Ok(vec![]));
    assert_eq!(exceeded(&receive(&mut server, &[0; 1]).unwrap_err()), ("max_head_size", 1000, 1001));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 400 "));
}

/// Each limit has its message, which a server also sends as the body of its response.
#[test]
fn each_limit_has_its_message() {
    let server = |head_size, lines| WebSocket::server(config(head_size, lines), NOW);
    let early = [request().as_bytes(), &[0; 2000]].concat();
    for (mut endpoint, bytes, status, expected) in [
        (
            server(50, 100),
            request().as_bytes(),
            Some(431),
            "a request head of at least 51 bytes exceeds the limit of 50 bytes (`max_head_size`)",
        ),
        (
            server(16_384, 1),
            request().as_bytes(),
            Some(431),
            "a request of at least 2 header lines exceeds the limit of 1 (`max_header_lines`)",
        ),
        (
            server(1000, 100),
            &early,
            Some(400),
            "at least 1,001 bytes before the request was answered exceed the limit of 1,000 bytes (`max_head_size`)",
        ),
        (
            client(config(50, 100)),
            response().as_bytes(),
            None,
            "a response head of at least 51 bytes exceeds the limit of 50 bytes (`max_head_size`)",
        ),
        (
            client(config(16_384, 1)),
            response().as_bytes(),
            None,
            "a response of at least 2 header lines exceeds the limit of 1 (`max_header_lines`)",
        ),
    ] {
        output(&mut endpoint);
        let Err(Error::Handshake(error)) = receive(&mut endpoint, bytes) else { panic!("{expected}") };
        assert_eq!((error.to_string(), error.status()), (expected.to_owned(), status));
        let answer = String::from_utf8(output(&mut endpoint)).unwrap();
        match status {
            Some(status) => assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(expected)),
            None => assert_eq!(answer, ""),
        }
    }
}

/// Limits of zero cause no panic.
#[test]
fn limits_of_zero() {
    let mut zero = config(0, 0);
    zero.opening_timeout = core::time::Duration::ZERO;
    zero.closing_timeout = core::time::Duration::ZERO;
    zero.high_water_mark = 0;
    for mut endpoint in [WebSocket::server(zero.clone(), NOW), client(zero), server()] {
        let _ = receive(&mut endpoint, b"GET");
        let _ = endpoint.handle_timeout(NOW);
        let _ = receive(&mut endpoint, b"GET");
    }
}
