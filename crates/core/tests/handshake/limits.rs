//! Limits of the opening handshake, for server and client.

use sansocket::{Config, HandshakeError, Input, WebSocket};

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

/// CVE-2023-43669: a head without an end, byte by byte, is an error at the limit, at a constant cost per byte, and 431.
#[test]
fn endless_head_by_the_byte() {
    for (mut endpoint, error, begin) in [
        (WebSocket::server(config(1 << 20, 100), NOW), HandshakeError::RequestTooLong, "GET / HTTP/1.1\r\nX: "),
        (client(config(1 << 20, 100)), HandshakeError::ResponseTooLong, "HTTP/1.1 101 \r\nX: "),
    ] {
        output(&mut endpoint);
        assert_eq!(receive(&mut endpoint, begin.as_bytes()), Ok(vec![]));
        in_moments(|| {
            for count in begin.len() + 1.. {
                let mut byte = [b'a'];
                if let Err(failed) = endpoint.receive(&mut Input::new(&mut byte), NOW) {
                    assert_eq!((failed, count), (error.clone().into(), (1 << 20) + 1));
                    break;
                }
            }
        });
        let answer = output(&mut endpoint);
        assert_eq!(answer.starts_with(b"HTTP/1.1 431 "), error == HandshakeError::RequestTooLong);
    }
}

/// CVE-2026-54465: header lines without end, of a response too. CVE-2024-37890: too many are an error, not missing ones.
#[test]
fn header_lines() {
    let server = |lines| in_all_splits(request().as_bytes(), || WebSocket::server(config(1 << 14, lines), NOW));
    assert_eq!(server(5).status(), 101);
    for lines in [0, 1, 4] {
        assert_eq!(
            (server(lines).status(), server(lines).error),
            (431, Some(HandshakeError::RequestLinesTooMany.into()))
        );
    }
    let answered = |lines| in_all_splits(response().as_bytes(), || client(config(1 << 14, lines)));
    assert_eq!(answered(3).error, None);
    for lines in [0, 1, 2] {
        assert_eq!(*answered(lines).handshake_error(), HandshakeError::ResponseLinesTooMany);
    }
}

/// Nor are there fewer than the limit allows, however many that are.
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
        assert_eq!(served(lines + 4).error, Some(HandshakeError::RequestLinesTooMany.into()));
    }
}

/// The limit counts to the end of the empty line; zero means zero.
#[test]
fn head_size() {
    let size = request().len();
    let served = |limit| in_all_splits(request().as_bytes(), || WebSocket::server(config(limit, 100), NOW)).status();
    assert_eq!((served(size), served(size - 1), served(0)), (101, 431, 431));

    let size = response().len();
    let answered = |limit| in_all_splits(response().as_bytes(), || client(config(limit, 100))).error;
    let too_long = Some(HandshakeError::ResponseTooLong.into());
    assert_eq!((answered(size), answered(size - 1), answered(0)), (None, too_long.clone(), too_long.clone()));
    // 1xx responses without end count together (RFC 9110 section 15.2)
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    assert_eq!(in_all_splits(interim.as_bytes(), || client(config(1 << 14, 100))).error, too_long);
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
    // neither do chunks of nothing but their extensions
    let bytes = format!("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n1;{}", "a".repeat(2000));
    let outcome = in_all_splits(bytes.as_bytes(), || client(config(1000, 100)));
    assert_eq!(outcome.handshake_error().status(), Some(500));
    let bytes = format!("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n{}", "1\r\na\r\n".repeat(1000));
    let outcome = in_all_splits(bytes.as_bytes(), || client(config(1000, 100)));
    assert_eq!(outcome.handshake_error().status(), Some(500));
}

/// Conformance 21: bytes that come before the answer are kept up to the limit; more of them end the handshake.
#[test]
fn early_frames() {
    let mut server = WebSocket::server(config(1000, 100), NOW);
    assert_eq!(receive(&mut server, request().as_bytes()).unwrap().len(), 1);
    assert!(!server.wants_read());
    assert_eq!(receive(&mut server, &[0; 600]), Ok(vec![]));
    assert_eq!(receive(&mut server, &[0; 400]), Ok(vec![]));
    assert_eq!(receive(&mut server, &[0; 1]), Err(HandshakeError::FramesTooEarly.into()));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 400 "));
}

/// No limit makes anything panic.
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
