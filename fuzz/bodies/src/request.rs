//! `request`: a server classifies bytes as an opening handshake (RFC 6455 section 4.2.1), another request, or neither,
//! in any pieces, exactly as an independent parser does. A request written from what the application sees is parsed as
//! the same.

use arbitrary::{Result, Unstructured};
use sansocket::{
    Accept, Config, Error, Event, HandshakeError, Input, OriginPolicy, Request, TransportAction, WebSocket,
};

use crate::drive::{Cuts, NOW};
use crate::http::{self, Fields, Head, is_token};

/// How a server classifies bytes.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The request is incomplete.
    More,
    Refused,
    /// A request, but not for a WebSocket.
    Plain,
    WebSocket,
}

/// Input: cuts (4 bytes), then the bytes of the request.
pub fn run(data: &[u8]) {
    let _ = check(Unstructured::new(data));
}

fn check(mut u: Unstructured<'_>) -> Result<()> {
    let cuts = Cuts::choose(&mut u)?;
    let bytes = u.take_rest();
    let whole = serve(bytes, Cuts::NONE);
    assert_eq!(serve(bytes, cuts), whole, "{cuts:?}: {}", bytes.escape_ascii());
    let verdict = match &whole {
        Ok(None) => Verdict::More,
        Ok(Some(Event::Request(request))) => {
            check_round_trip(request);
            assert!(matches!(request.check(), Ok(Some(_))), "{request:?}");
            Verdict::WebSocket
        }
        Ok(Some(Event::HttpRequest(request))) => {
            check_round_trip(request);
            assert!(matches!(request.check(), Ok(None)), "{request:?}");
            Verdict::Plain
        }
        Ok(other) => panic!("{other:?}"),
        Err(Error::Handshake(error)) => {
            assert_refused(error);
            Verdict::Refused
        }
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(verdict, expected_verdict(bytes), "{whole:?}: {}", bytes.escape_ascii());
    Ok(())
}

/// Returns a server's first event or its failure.
fn serve(bytes: &[u8], cuts: Cuts) -> std::result::Result<Option<Event<'static>>, Error> {
    let mut server = WebSocket::server(Config::default(), NOW);
    for piece in cuts.of(&mut bytes.to_vec()) {
        let mut input = Input::new(piece);
        match server.receive(&mut input, NOW) {
            Ok(None) => {}
            Ok(Some(event)) => {
                let event = event.into_owned();
                input.discard();
                if let Event::Request(request) = &event {
                    check_answer(server, request);
                }
                return Ok(Some(event));
            }
            Err(error) => {
                assert!(input.is_empty() && server.receive(&mut input, NOW) == Err(error.clone()), "sticky");
                return Err(error);
            }
        }
    }
    Ok(None)
}

/// Checks that a request can be accepted with any subprotocol that it offers.
fn check_answer(mut server: WebSocket, request: &Request) {
    let protocol = request.protocols().last().map(str::to_owned);
    let mut accept = Accept::new().origin(OriginPolicy::Any);
    if let Some(protocol) = &protocol {
        accept = accept.protocol(protocol);
    }
    server.accept(accept, NOW).expect("a valid request can be accepted");
    assert_eq!((server.protocol(), server.transport()), (protocol.as_deref(), TransportAction::Open));
}

/// Checks that a refusal has a status.
fn assert_refused(error: &HandshakeError) {
    // bytes that are not HTTP get no HTTP response
    let is_answered = error.status().is_some();
    assert!(is_answered || *error == HandshakeError::RequestNotHttp, "{error:?}");
}

/// Checks that a request written from what the application sees is parsed as the same request.
fn check_round_trip(request: &Request) {
    let mut head = format!("{} {} {}\r\n", request.method(), request.target(), request.version());
    for (name, value) in request.headers().iter() {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    match serve(head.as_bytes(), Cuts::NONE) {
        Ok(Some(Event::Request(again) | Event::HttpRequest(again))) => assert_eq!(&again, request),
        // a character of ISO 8859-1 is written as two bytes
        Err(Error::Handshake(HandshakeError::LimitExceeded(_))) => {}
        other => panic!("{other:?}: {head}"),
    }
    // a request made from its parts is the same too
    let (method, target, version) = (request.method(), request.target(), request.version());
    let made = Request::from_parts(method, target, version, request.headers().iter()).expect("valid parts");
    assert_eq!(&made, request);
    assert_eq!(made.check().map(|handshake| handshake.is_some()), request.check().map(|handshake| handshake.is_some()));
    let has_path = request.path().starts_with('/') || (request.method(), request.path()) == ("OPTIONS", "*");
    assert!(has_path && !request.host().contains(['@', ' ', '\r', '\n']), "{request:?}");
}

fn expected_verdict(bytes: &[u8]) -> Verdict {
    match http::head(bytes, 0) {
        Head::More => Verdict::More,
        Head::Broken => Verdict::Refused,
        Head::Whole { lines, .. } => classify(&lines).unwrap_or(Verdict::Refused),
    }
}

/// Applies section 4.2.1, item by item. Returns `None` to refuse.
fn classify(lines: &[Vec<u8>]) -> Option<Verdict> {
    let (start, fields) = lines.split_first()?;
    let fields = Fields::parse(fields)?;
    let words: Vec<_> = start.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { return None };
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] = version else { return None };
    let is_http11 = *minor > b'0';
    let host = fields.one("Host").ok()?;
    let is_for_server = (method, target) == (b"OPTIONS", b"*");
    let is_target = is_for_server || is_target(std::str::from_utf8(target).ok()?);
    (is_token(method) && is_target && host.map_or(!is_http11, is_host)).then_some(())?;
    if !fields.lists("Upgrade", "websocket") {
        return Some(Verdict::Plain);
    }
    let is_zero = |length: &str| !length.is_empty() && length.bytes().all(|digit| digit == b'0');
    let key = fields.one("Sec-WebSocket-Key").ok()??;
    let protocols = fields.list("Sec-WebSocket-Protocol");
    let extensions = fields.all("Sec-WebSocket-Extensions");
    let parsed = http::extensions(&extensions)?;
    let is_valid = is_http11
        && method == b"GET"
        && fields.lists("Connection", "Upgrade")
        && fields.all("Transfer-Encoding").is_empty()
        && fields.all("Content-Length").into_iter().all(is_zero)
        && fields.one("Sec-WebSocket-Version") == Ok(Some("13"))
        && is_key(key)
        && fields.one("Origin").is_ok()
        && (fields.all("Sec-WebSocket-Protocol").is_empty() || !protocols.is_empty())
        && protocols.iter().all(|protocol| is_token(protocol.as_bytes()))
        && protocols.iter().enumerate().all(|(at, protocol)| !protocols[..at].contains(protocol))
        && (extensions.is_empty() || !parsed.is_empty());
    is_valid.then_some(Verdict::WebSocket)
}

/// Returns whether a target is a path with or without a query, or an http or https URI.
fn is_target(target: &str) -> bool {
    let is_text = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_uri = || {
        let (scheme, rest) = target.split_once("://")?;
        let is_http = ["http", "https"].iter().any(|each| scheme.eq_ignore_ascii_case(each));
        Some(is_http && is_host(rest.split(['/', '?']).next()?))
    };
    is_text && (target.starts_with('/') || is_uri() == Some(true))
}

fn is_host(host: &str) -> bool {
    // RFC 3986 allows a comma in a name, but a list of two hosts is invalid
    let authority = http::authority(host).filter(|_| !host.contains(','));
    authority.is_some_and(|authority| !authority.host.is_empty() && authority.port.is_ok())
}

/// Returns whether a key is 16 bytes in base64: 22 characters, of which four bits are unused.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.strip_suffix("==").is_some_and(|digits| digits.len() == 22 && digits.bytes().all(is_digit))
}
