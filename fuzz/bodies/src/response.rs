//! `response`: a client classifies bytes as a response that opens the connection (RFC 6455 section 4.1), a refusal, or
//! neither, in any pieces, exactly as an independent parser does. A response written from what the application sees is
//! parsed as the same.

use std::convert::Infallible;

use arbitrary::{Result, Unstructured};
use sansocket::rand_core::{TryCryptoRng, TryRng};
use sansocket::{ClientRequest, Config, Error, Event, HandshakeError, Input, Open, Response, WebSocket};

use crate::drive::{Cuts, NOW};
use crate::http::{self, Fields, Head};

/// The key of section 1.3, and the value that accepts it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OFFERED: [&str; 2] = ["chat", "superchat"];

/// How a client classifies bytes and the end of the stream.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The stream ended too early.
    More,
    Broken,
    Refused(u16),
    Open(Option<String>),
}

/// Input: cuts (4 bytes), then the bytes of the response.
pub fn run(data: &[u8]) {
    let _ = check(Unstructured::new(data));
}

fn check(mut u: Unstructured<'_>) -> Result<()> {
    let cuts = Cuts::choose(&mut u)?;
    let bytes = u.take_rest();
    let whole = ask(bytes, Cuts::NONE);
    assert_eq!(ask(bytes, cuts), whole, "{cuts:?}: {}", bytes.escape_ascii());
    let verdict = match &whole {
        Ok(open) => {
            check_round_trip(open);
            Verdict::Open(open.protocol().map(str::to_owned))
        }
        Err(Error::Handshake(HandshakeError::UnexpectedEof)) => Verdict::More,
        Err(Error::Handshake(HandshakeError::Refused(response))) => {
            assert!(response.body().len() <= Config::default().max_head_size);
            Verdict::Refused(response.status())
        }
        Err(Error::Handshake(error)) => {
            assert_eq!(error.status(), None, "a client sends no response");
            Verdict::Broken
        }
        Err(error) => panic!("{error:?}"),
    };
    assert_eq!(verdict, expected_verdict(bytes), "{whole:?}: {}", bytes.escape_ascii());
    Ok(())
}

/// A random source that yields the nonce of section 1.3.
struct Nonce;

impl TryRng for Nonce {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> std::result::Result<(), Infallible> {
        target.iter_mut().zip(b"the sample nonce").for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl TryCryptoRng for Nonce {}

/// Returns the request of section 1.3.
fn client_request() -> ClientRequest {
    let request: ClientRequest = "ws://server.example.com/chat".parse().expect("a URI");
    OFFERED.into_iter().fold(request, ClientRequest::protocol)
}

/// Returns a client that has sent the request of section 1.3.
pub(crate) fn client(config: Config) -> WebSocket {
    WebSocket::client(client_request(), config, Nonce, NOW).expect("a request")
}

fn ask(bytes: &[u8], cuts: Cuts) -> std::result::Result<Open, Error> {
    let mut client = client(Config::default());
    for piece in cuts.of(&mut bytes.to_vec()) {
        let mut input = Input::new(piece);
        match client.receive(&mut input, NOW) {
            Ok(None) => assert!(input.is_empty()),
            Ok(Some(Event::Open(open))) => {
                input.discard();
                return Ok(open);
            }
            Ok(Some(event)) => panic!("{event:?} before the connection is open"),
            Err(error) => {
                assert!(input.is_empty() && client.receive(&mut input, NOW) == Err(error.clone()), "sticky");
                return Err(error);
            }
        }
    }
    Err(client.receive_eof(NOW).expect_err("the connection is not open"))
}

/// Checks that a response written from what the application sees is parsed as the same response.
fn check_round_trip(open: &Open) {
    let response: &Response = open.response().expect("a client sees the response");
    let made = Response::from_parts(response.status(), response.version(), response.headers().iter());
    let agreed = client_request().check_response(KEY, &made.expect("valid parts")).expect("the response was accepted");
    assert_eq!(agreed.protocol(), open.protocol());
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status(), response.reason());
    for (name, value) in response.headers().iter() {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    match ask(head.as_bytes(), Cuts::NONE) {
        Ok(again) => assert_eq!(&again, open),
        // a character of ISO 8859-1 is written as two bytes
        Err(Error::Handshake(HandshakeError::LimitExceeded(_))) => {}
        Err(other) => panic!("{other:?}: {head}"),
    }
}

fn expected_verdict(mut bytes: &[u8]) -> Verdict {
    let mut before = 0;
    loop {
        if !may_be_http(bytes) {
            return Verdict::Broken;
        }
        let (lines, size) = match http::head(bytes, before) {
            Head::More => return Verdict::More,
            Head::Broken => return Verdict::Broken,
            Head::Whole { lines, size } => (lines, size),
        };
        let Some((version, status, fields)) = start(&lines) else { return Verdict::Broken };
        match status {
            101 if version > b'0' => {
                return check_fields(&fields)
                    .map_or(Verdict::Broken, |protocol| Verdict::Open(protocol.map(str::to_owned)));
            }
            101 => return Verdict::Broken,
            // RFC 9110 15.2: any number of interim responses may precede the final one
            100..200 => {}
            status => return Verdict::Refused(status),
        }
        before += size;
        bytes = &bytes[size..];
    }
}

/// Returns whether the bytes received so far may begin a response. Empty lines may precede it (RFC 9112 section 2.2).
fn may_be_http(mut bytes: &[u8]) -> bool {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes == b"\r" || bytes.starts_with(b"HTTP/") || b"HTTP/".starts_with(bytes)
}

/// Parses the digit of the minor version, the status, and the fields (RFC 9112 section 4).
fn start(lines: &[Vec<u8>]) -> Option<(u8, u16, Fields)> {
    let (start, fields) = lines.split_first()?;
    let fields = Fields::parse_folded(fields)?;
    let (&minor, rest) = start.strip_prefix(b"HTTP/1.")?.split_first()?;
    let rest = rest.strip_prefix(b" ").filter(|_| minor.is_ascii_digit())?;
    let (status, reason) = rest.split_at_checked(3)?;
    let is_reason = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    let is_valid = status.iter().all(u8::is_ascii_digit)
        && (reason.is_empty() || reason.starts_with(b" "))
        && reason.iter().all(is_reason);
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    is_valid.then_some((minor, status, fields))
}

/// Applies section 4.1 from item 2 on. Returns the subprotocol if the fields open the connection.
fn check_fields(fields: &Fields) -> Option<Option<&str>> {
    let is_valid = fields.one("Upgrade").ok()??.eq_ignore_ascii_case("websocket")
        && fields.lists("Connection", "Upgrade")
        && fields.one("Sec-WebSocket-Accept") == Ok(Some(ACCEPT))
        // the client offered none
        && fields.all("Sec-WebSocket-Extensions").is_empty();
    let protocol = fields.one("Sec-WebSocket-Protocol").ok()?;
    (is_valid && protocol.is_none_or(|protocol| OFFERED.contains(&protocol))).then_some(protocol)
}
