//! Proxies that answer too slowly, too much, or nonsense, in pieces of any size.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use sansocket_dial::{DialError, DialOptions, FailedLayer, Proxy, ProxyRules};

use crate::support::{World, dial, run};

/// Answers of HTTP proxies, and the beginning of the outcome.
const HTTP: [(&[u8], &str); 12] = [
    (b"HTTP/1.1 200 OK\r\nVia: 1.1 a\r\n\r\nrest", "open, then rest"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "open, then "),
    (b"", "it ended the connection"),
    (b"HTTP/1.1 200 OK\r\nVia: 1.", "it ended the connection"),
    (b"HTTP/1.1 403 Forbidden\r\n\r\n", "status 403"),
    (b"HTTP/1.1 2x0 OK\r\n\r\n", "the head of its response is malformed"),
    (b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "the head of its response is malformed"),
    (b"HTTP/2 200\r\n\r\n", "it does not speak HTTP"),
    (b"SSH-2.0-OpenSSH_9.7\r\n", "it does not speak HTTP"),
    (b"\r\n\r\n", "it does not speak HTTP"),
    (b"\x15\x03\x01\x00\x02\x02\x16", "it speaks TLS"),
    (b"\x05\xff", "it speaks SOCKS"),
];

/// Answers of SOCKS5 proxies, and the beginning of the outcome.
const SOCKS: [(&[u8], &str); 10] = [
    (b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00rest", "open, then rest"),
    (b"\x05\x02\x01\x00\x05\x00\x00\x03\x02ab\x00\x50", "open, then "),
    (b"", "it ended the connection"),
    (b"\x05", "it ended the connection"),
    (b"\x05\x00\x05\x00\x00\x03\xffab", "it ended the connection"),
    (b"\x05\x02\x01\x05", "it does not accept the user name"),
    (b"\x05\x00\x05\x02", "SOCKS reply 2"),
    (b"\x05\x02\x05\x00", "it does not speak SOCKS5"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak SOCKS5: it may be an HTTP proxy"),
    (b"\x00\x5b\x00\x00\x00\x00\x00\x00", "it does not speak SOCKS5: it may speak SOCKS4"),
];

/// Returns the outcome of an answer that arrives in pieces of these sizes.
fn outcome(proxy: &str, answer: &[u8], pieces: &[usize]) -> String {
    let options = DialOptions::default().proxies(ProxyRules::always(proxy.parse::<Proxy>().unwrap()));
    let world = World { proxy: vec![answer.to_vec()], pieces: pieces.to_vec(), ..World::default() };
    match run(&mut dial("ws://example.com/", options), &world).1 {
        // a piece that ends with the answer has no leftover, so only a prefix of the rest is known
        Ok(opening) => format!("open, then {}", opening.leftover.escape_ascii()),
        Err(DialError::Proxy { fault, .. }) => fault.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_answer_has_its_outcome_whole_and_byte_by_byte() {
    let http = HTTP.iter().map(|row| ("http://192.0.2.9", row));
    let socks = SOCKS.iter().map(|row| ("socks5h://user:password@192.0.2.9", row));
    for (proxy, (answer, expected)) in http.chain(socks) {
        let whole = outcome(proxy, answer, &[]);
        assert!(whole.starts_with(expected), "{}: {whole}", answer.escape_ascii());
        let split = outcome(proxy, answer, &[1]);
        // byte by byte, the rest stays in the transport
        let expected = if whole.starts_with("open") { "open, then " } else { &whole };
        assert_eq!(split, expected, "{}", answer.escape_ascii());
    }
}

#[test]
fn a_head_is_limited_to_16_kib_and_100_lines() {
    let head = |size: usize| {
        let start = "HTTP/1.1 200 OK\r\nX: ";
        [start, &"a".repeat(size - start.len() - 4), "\r\n\r\n"].concat().into_bytes()
    };
    for pieces in [&[][..], &[1000], &[1]] {
        assert_eq!(outcome("http://192.0.2.9", &head(16 * 1024), pieces), "open, then ");
        let text = "the head of its response has more than 16384 bytes: it is faulty, or not an HTTP proxy";
        assert_eq!(outcome("http://192.0.2.9", &head(16 * 1024 + 1), pieces), text);
        assert_eq!(outcome("http://192.0.2.9", &head(1024 * 1024), pieces), text);
    }
    let lines = |count: usize| ["HTTP/1.1 200 OK\r\n", &"X: a\r\n".repeat(count), "\r\n"].concat().into_bytes();
    assert_eq!(outcome("http://192.0.2.9", &lines(100), &[]), "open, then ");
    assert!(outcome("http://192.0.2.9", &lines(101), &[]).starts_with("its response has more than 100 header lines"));
}

#[test]
fn interim_responses_count_towards_the_limit() {
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    assert!(outcome("http://192.0.2.9", endless.as_bytes(), &[]).contains("more than 16384 bytes"));
    assert!(outcome("http://192.0.2.9", endless.as_bytes(), &[7]).contains("more than 16384 bytes"));
}

#[test]
fn a_proxy_that_does_not_answer_meets_the_opening_timeout() {
    for proxy in ["http://192.0.2.9", "socks5h://192.0.2.9"] {
        let options = DialOptions::default().proxies(ProxyRules::always(proxy.parse::<Proxy>().unwrap()));
        let world = World { proxy: vec![b"".to_vec()], is_proxy_silent: true, ..World::default() };
        let error = run(&mut dial("ws://example.com/", options), &world).1.unwrap_err();
        assert_eq!(error.layer(), Some(FailedLayer::Proxy));
        let text = "proxy: timed out: no connection within 10s (`opening_timeout`), because of the proxy, which did \
                    not answer in time";
        assert_eq!(error.to_string(), text);
    }
}

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_the_pieces(
        row in 0..HTTP.len() + SOCKS.len(),
        pieces in vec(1..20_usize, 1..20),
    ) {
        let (proxy, (answer, _)) = match row.checked_sub(HTTP.len()) {
            None => ("http://192.0.2.9", HTTP[row]),
            Some(row) => ("socks5h://user:password@192.0.2.9", SOCKS[row]),
        };
        let (whole, split) = (outcome(proxy, answer, &[]), outcome(proxy, answer, &pieces));
        match whole.strip_prefix("open, then ") {
            // the pieces behind the answer stay in the transport
            Some(rest) => {
                let is_prefix = |other: &str| rest.starts_with(other);
                prop_assert!(split.strip_prefix("open, then ").is_some_and(is_prefix), "{}", split);
            }
            None => prop_assert_eq!(split, whole),
        }
    }

    #[test]
    fn any_bytes_have_an_outcome(is_http in any::<bool>(), answer in vec(any::<u8>(), 0..64), piece in 1..9_usize) {
        let proxy = if is_http { "http://192.0.2.9" } else { "socks5h://user:password@192.0.2.9" };
        let start: &[u8] = if is_http { b"HTTP/1.1 200 " } else { b"\x05\x02\x01\x00\x05" };
        for answer in [answer.clone(), [start, &answer].concat()] {
            let (whole, split) = (outcome(proxy, &answer, &[]), outcome(proxy, &answer, &[piece]));
            prop_assert_eq!(whole.starts_with("open"), split.starts_with("open"));
        }
    }
}
