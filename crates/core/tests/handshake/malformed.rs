//! Errors of a client about malformed responses and responses that do not open the connection.

use proptest::prelude::*;
use sansocket::{Config, Error, HandshakeError, Instant, ResponseFault, TransportAction, WebSocket};

use crate::response::check_refused;
use crate::support::{
    ACCEPT, NONCE, NOW, Scripted, answered, answered_to_offer, client, client_request, drive, receive, response,
    response_with,
};

const STATUS_LINE: &str = "it is not a status line such as \"HTTP/1.1 101 Switching Protocols\"";
const BARE_LF: &str = "it ends in LF without CR";
const NO_COLON: &str = "a header field needs a colon behind its name";
const BLANK: &str = "there is a blank in the name of the header field, or between name and colon";
const NO_TOKEN: &str = "the name of the header field is not a token";
const CONTROL: &str = "the value of the header field has a control character";
const VERSION: &str = "the version of HTTP is not 1.1";

/// RFC 9112 sections 2 to 5: heads, and the number, text and fault of the invalid line.
const MALFORMED: [(&str, usize, &str, &str); 33] = [
    ("HTTP/1.0 101 Switching\r\n\r\n", 1, "HTTP/1.0 101 Switching", VERSION),
    ("\r\nHTTP/1.0 101 Switching\r\n\r\n", 2, "HTTP/1.0 101 Switching", VERSION),
    ("HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 101\r\n\r\n", 1, "HTTP/1.0 101", VERSION),
    ("HTTP/2.0 101 Switching\r\n\r\n", 1, "HTTP/2.0 101 Switching", VERSION),
    ("HTTP/2 101\r\n\r\n", 1, "HTTP/2 101", STATUS_LINE),
    ("HTTP/1.1\r\n\r\n", 1, "HTTP/1.1", STATUS_LINE),
    ("HTTP/1.1 abc\r\n\r\n", 1, "HTTP/1.1 abc", STATUS_LINE),
    ("HTTP/1.1 10\r\n\r\n", 1, "HTTP/1.1 10", STATUS_LINE),
    ("HTTP/1.1 1010 A\r\n\r\n", 1, "HTTP/1.1 1010 A", STATUS_LINE),
    ("HTTP/1.1101\r\n\r\n", 1, "HTTP/1.1101", STATUS_LINE),
    ("HTTP/1.1  101 A\r\n\r\n", 1, "HTTP/1.1  101 A", STATUS_LINE),
    ("HTTP/1.1\t101 A\r\n\r\n", 1, "HTTP/1.1\\t101 A", STATUS_LINE),
    ("HTTP/1.1 101 \0\r\n\r\n", 1, "HTTP/1.1 101 \\x00", STATUS_LINE),
    ("HTTP/: 101 A\r\n\r\n", 1, "HTTP/: 101 A", STATUS_LINE),
    ("HTTP/1.1 101 A\n", 1, "HTTP/1.1 101 A", BARE_LF),
    ("\n", 1, "", BARE_LF),
    ("\r\n\n", 2, "", BARE_LF),
    ("HTTP/1.1 101 A\r\nX: b\n", 2, "X: b", BARE_LF),
    ("HTTP/1.1 101 A\r\nX : b\r\n\n", 3, "", BARE_LF),
    ("HTTP/1.1 103 A\r\nX: 1\r\n\r\nHTTP/1.1 101\r\nY: 2\n", 2, "Y: 2", BARE_LF),
    ("HTTP/1.1 101 A\r\nX b\r\n\r\n", 2, "X b", NO_COLON),
    ("HTTP/1.1 101 A\r\nX: b\r\n<html>\r\nY c\r\n\r\n", 3, "<html>", NO_COLON),
    ("HTTP/1.1 101 A\r\nX : b\r\n\r\n", 2, "X : b", BLANK),
    ("HTTP/1.1 101 A\r\nX: b\r\nY z: \"c\"\r\n\r\n", 3, "Y z: \\\"c\\\"", BLANK),
    ("HTTP/1.1 101 A\r\nX\t: it's\r\n\r\n", 2, "X\\t: it's", BLANK),
    ("HTTP/1.1 101 A\r\n: b\r\n\r\n", 2, ": b", NO_TOKEN),
    ("HTTP/1.1 101 A\r\nX[1]: b\r\n\r\n", 2, "X[1]: b", NO_TOKEN),
    ("HTTP/1.1 101 A\r\nX\u{e9}: b\r\n\r\n", 2, "X\\xc3\\xa9: b", NO_TOKEN),
    ("HTTP/1.1 101 A\r\nX: a\0b\r\n\r\n", 2, "X: a\\x00b", CONTROL),
    ("HTTP/1.1 101 A\r\nX: a\r\r\n\r\n", 2, "X: a\\r", CONTROL),
    ("HTTP/1.1 101 A\r\nX: a\r\n b\x7f\r\n\r\n", 3, " b\\x7f", CONTROL),
    ("HTTP/1.1 101 A\r\nX: a\r\r\n b\r\n\r\n", 2, "X: a\\r", CONTROL),
    (
        "HTTP/1.1 101 A\r\n b\r\n\r\n",
        2,
        " b",
        "it begins with a blank, but no header field precedes it that it could continue",
    ),
];

#[test]
fn the_error_names_the_invalid_line() {
    for (response, number, line, fault) in MALFORMED {
        // the rest is not read
        let outcome = answered([response, "X: more\r\n\r\n"].concat());
        let error = outcome.handshake_error();
        let HandshakeError::ResponseMalformed(malformed) = error else { panic!("{response:?}: {error:?}") };
        assert_eq!(error.to_string(), format!("the response is malformed: line {number}, \"{line}\": {fault}"));
        assert_eq!((malformed.line_number(), malformed.fault().to_string().as_str()), (number, fault));
        assert_eq!(malformed.line().escape_ascii().to_string().replace("\\'", "'"), line);
        let interim = response.find("\r\n\r\nHTTP/").map_or(0, |size| size + 4);
        let head = &response[interim..];
        assert_eq!(String::from_utf8_lossy(malformed.head()), head, "{response:?}");
        check_refused(&outcome, error);
    }
}

#[test]
fn the_fault_of_a_line() {
    let outcome = answered("HTTP/1.1 101 A\r\nX : b\r\n\r\n");
    let HandshakeError::ResponseMalformed(malformed) = outcome.handshake_error() else { panic!("{outcome:?}") };
    assert_eq!((malformed.fault(), malformed.line()), (ResponseFault::NameHasBlank, &b"X : b"[..]));
    assert_eq!(
        format!("{malformed:?}"),
        r#"MalformedResponse { fault: NameHasBlank, line_number: 2, head: "HTTP/1.1 101 A\r\nX : b\r\n\r\n" }"#
    );
}

/// A long line is quoted in part, and kept completely.
#[test]
fn a_long_line() {
    let line = "a".repeat(5_000);
    let outcome = answered(format!("HTTP/1.1 101 A\r\n{line}\r\n\r\n"));
    let HandshakeError::ResponseMalformed(malformed) = outcome.handshake_error() else { panic!("{outcome:?}") };
    assert_eq!(malformed.line(), line.as_bytes());
    assert_eq!(malformed.to_string(), format!("line 2, \"{}\"...: {NO_COLON}", "a".repeat(128)));
}

/// A server of another protocol is recognized by its first bytes, which the error shows as far as they are text.
#[test]
fn not_http() {
    for (bytes, received, message) in [
        ("\x15\x03\x03\0\x02\x02\x46", "\x15", "the server speaks TLS: connect with wss instead of ws"),
        ("\x16\x03\x01", "\x16", "the server speaks TLS: connect with wss instead of ws"),
        (
            "SSH-2.0-OpenSSH_9.6\r\n",
            "SSH-2.0-OpenSSH_9.6\r\n",
            "the server sent \"SSH-2.0-OpenSSH_9.6\", which is not HTTP",
        ),
        ("220 mail ESMTP\r\n250 ok\r\n", "220 mail ESMTP\r\n", "the server sent \"220 mail ESMTP\", which is not HTTP"),
        ("-ERR unknown\n", "-ERR unknown\n", "the server sent \"-ERR unknown\", which is not HTTP"),
        ("<html>\r\n", "<html>\r\n", "the server sent \"<html>\", which is not HTTP"),
        ("HTTX/1.1 101\r\n", "HTTX/1.1 101\r\n", "the server sent \"HTTX/1.1 101\", which is not HTTP"),
        ("http/1.1 101\r\n", "http/1.1 101\r\n", "the server sent \"http/1.1 101\", which is not HTTP"),
        ("HTTP 101\r\n", "HTTP 101\r\n", "the server sent \"HTTP 101\", which is not HTTP"),
        ("HTTP\r\n", "HTTP\r\n", "the server sent \"HTTP\", which is not HTTP"),
        ("\r\n\r\nICY 200 OK\r\n", "ICY 200 OK\r\n", "the server sent \"ICY 200 OK\", which is not HTTP"),
        ("HTTP/1.1 100\r\n\r\nI am\r\n", "I am\r\n", "the server sent \"I am\", which is not HTTP"),
        ("\0\0\x12\x04", "\0", "the server sent \"\\x00\", which is not HTTP"),
        ("\u{e9}", "\u{fffd}", "the server sent \"\\xc3\", which is not HTTP"),
        ("\rHTTP/1.1 101\r\n", "\rH", "the server sent \"\\rH\", which is not HTTP"),
        (" HTTP/1.1 101\r\n", " HTTP/1.1 101\r\n", "the server sent \" HTTP/1.1 101\", which is not HTTP"),
    ] {
        let outcome = answered(bytes);
        let error = outcome.handshake_error();
        let HandshakeError::ResponseNotHttp(not_http) = error else { panic!("{bytes:?}: {error:?}") };
        assert_eq!(error.to_string(), message);
        assert_eq!(String::from_utf8_lossy(not_http.received()), received, "{bytes:?}");
        check_refused(&outcome, error);
    }
    let outcome = answered("a".repeat(1_000));
    let HandshakeError::ResponseNotHttp(not_http) = outcome.handshake_error() else { panic!("{outcome:?}") };
    assert_eq!((not_http.received().len(), not_http.is_tls()), (256, false));
    assert_eq!(not_http.to_string(), format!("the server sent \"{}\"..., which is not HTTP", "a".repeat(128)));
    assert_eq!(format!("{not_http:?}"), format!("NotHttp(\"{}\")", "a".repeat(256)));
}

/// An unfinished line is reported at the end of the transport or at the deadline.
#[test]
fn not_http_at_the_end() {
    let message = "opening handshake failed: the server sent \"login: \", which is not HTTP";
    let message = message.replace("login: \"", "login:\"");
    let mut ws = client(client_request());
    assert_eq!(receive(&mut ws, b"login: "), Ok(vec![]));
    let error = ws.receive_eof(NOW).unwrap_err();
    assert_eq!((error.to_string(), ws.transport()), (message.clone(), TransportAction::Close));

    let mut ws = client(client_request());
    assert_eq!(receive(&mut ws, b"login: "), Ok(vec![]));
    let deadline: Instant = ws.poll_timeout().unwrap();
    assert_eq!(ws.handle_timeout(deadline).unwrap_err().to_string(), message);

    let mut ws = client(client_request());
    assert_eq!(receive(&mut ws, b"HTT"), Ok(vec![]));
    assert_eq!(ws.receive_eof(NOW), Err(Error::Handshake(HandshakeError::UnexpectedEof)));
}

/// The message quotes the invalid value of a field (RFC 6455 section 4.1).
#[test]
fn values_found() {
    let protocol = |value: &str| response_with("", None, &format!("Sec-WebSocket-Protocol: {value}\r\n"));
    let extension = |value: &str| response_with("", None, &format!("Sec-WebSocket-Extensions: {value}\r\n"));
    for (response, message) in [
        (response_with("Upgrade", Some("h2c"), ""), "the server's Upgrade is \"h2c\": it is not websocket"),
        (response_with("Upgrade", None, ""), "the server sent no Upgrade field"),
        (
            response_with("", None, "Upgrade: h2c\r\n"),
            "the server's Upgrade is \"websocket, h2c\": it is not websocket",
        ),
        (
            response_with("Connection", Some("keep-alive"), "Connection: close\r\n"),
            "the server's Connection is \"keep-alive, close\": it does not list Upgrade",
        ),
        (response_with("Connection", None, ""), "the server sent no Connection field"),
        (
            response_with("Sec-WebSocket-Accept", Some("a\"b"), ""),
            "the server's Sec-WebSocket-Accept is \"a\\\"b\", which does not belong to the key",
        ),
        (response_with("Sec-WebSocket-Accept", None, ""), "the server sent no Sec-WebSocket-Accept"),
        (
            response_with("", None, &format!("Sec-WebSocket-Accept: {ACCEPT}\r\n")),
            "the server sent more than one Sec-WebSocket-Accept",
        ),
        (protocol("soap"), "the server selected the subprotocol \"soap\", which was not offered"),
        (protocol(""), "the server selected the subprotocol \"\", which was not offered"),
        (extension("x; y=1"), "the server uses the extension \"x\", which was not offered"),
        (extension("x;;"), "the server's Sec-WebSocket-Extensions is \"x;;\", which is malformed"),
    ] {
        let outcome = answered_to_offer(&response);
        assert_eq!(outcome.handshake_error().to_string(), message, "{response}");
        check_refused(&outcome, outcome.handshake_error());
    }
}

/// The limit of the head applies at the same byte for any bytes.
#[test]
fn a_small_limit() {
    for limit in 0..30 {
        for bytes in ["\r\n\r\nSSH-2.0-a\r\n", "HTTP/1.1 101 A\r\nX : b\r\n\r\n", "\r\n\r\n\r\nHTTX\r\n"] {
            let mut config = Config::default();
            config.max_head_size = limit;
            let endpoint = || WebSocket::client(client_request(), config.clone(), Scripted::new(NONCE), NOW).unwrap();
            crate::support::in_all_splits(bytes.as_bytes(), endpoint);
        }
    }
}

proptest! {
    /// The error is the same for any split of the bytes.
    #[test]
    fn split_at_random(
        index in 0..MALFORMED.len(),
        folded in any::<bool>(),
        mut cuts in prop::collection::vec(0..120_usize, 0..12),
    ) {
        let bytes = if folded { response().replace("\r\n", "\r\n a\r\n") } else { MALFORMED[index].0.to_owned() };
        cuts.sort_unstable();
        let whole = drive(client(client_request()), bytes.as_bytes(), &[]);
        prop_assert!(whole.error.is_some());
        prop_assert_eq!(drive(client(client_request()), bytes.as_bytes(), &cuts), whole);
    }
}
