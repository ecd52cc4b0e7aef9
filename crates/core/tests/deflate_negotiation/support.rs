//! Helpers. Only this file has to follow when the public interface changes.

use bytes::Buf;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use sansocket::{
    Accept, Agreement, ClientRequest, Compression, Config, Error, Event, HandshakeError, HttpVersion, Input, Instant,
    OpeningHandshake, PermessageDeflate, Request, Response, WebSocket, WindowBits, accept_key, generate_key,
};

pub(crate) const NOW: Instant = Instant::from_nanos(1_000);

const EXTENSIONS: &str = "Sec-WebSocket-Extensions";
const VERSION: (&str, &str) = ("Sec-WebSocket-Version", "13");

/// The fields of a request of HTTP/1.1, without extensions.
const UPGRADE: [(&str, &str); 5] = [
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    VERSION,
];

pub(crate) fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

/// Returns settings that permit 15 bits and context takeover in both directions: nothing needs to be answered.
pub(crate) fn permissive() -> Compression {
    Compression::best_ratio()
}

fn config(settings: Option<&Compression>) -> Config {
    Config::default().compression(settings.cloned())
}

pub(crate) fn rng() -> ChaCha12Rng {
    ChaCha12Rng::from_seed([7; 32])
}

pub(crate) fn output(ws: &mut WebSocket) -> Vec<u8> {
    let output = ws.output();
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// Returns a server that has received a request with this offer, and not answered it.
pub(crate) fn server_with_offer(offer: &str, settings: Compression) -> WebSocket {
    let mut ws = WebSocket::server(config(Some(&settings)), NOW);
    let mut request = head("GET / HTTP/1.1", &[&UPGRADE[..], &[(EXTENSIONS, offer)]].concat()).into_bytes();
    let event = ws.receive(&mut Input::new(&mut request), NOW);
    assert!(matches!(event, Ok(Some(Event::Request(_)))), "{event:?}");
    ws
}

/// Hands in all bytes at once. Accepts a request. Returns the events.
pub(crate) fn receive(ws: &mut WebSocket, bytes: &[u8]) -> Result<Vec<Event<'static>>, Error> {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let mut events = Vec::new();
    while let Some(event) = ws.receive(&mut input, NOW)? {
        if let Event::Request(_) = event {
            ws.accept(Accept::new(), NOW).unwrap();
        }
        events.push(event.into_owned());
    }
    Ok(events)
}

/// Returns a head with this start line and these fields.
fn head(start: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{start}\r\n{fields}\r\n")
}

/// Returns the values of `Sec-WebSocket-Extensions` in a head.
fn extensions_of(head: &[u8]) -> Vec<String> {
    let head = String::from_utf8_lossy(head);
    let (head, _) = head.split_once("\r\n\r\n").unwrap();
    let fields = head.lines().skip(1).map(|line| line.split_once(':').unwrap());
    fields.filter(|(name, _)| name.eq_ignore_ascii_case(EXTENSIONS)).map(|(_, value)| value.trim().into()).collect()
}

/// What a server answers to lines of `Sec-WebSocket-Extensions`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Served {
    /// The values of the field in the response.
    pub(crate) answer: Vec<String>,
    pub(crate) agreement: Option<PermessageDeflate>,
}

/// Returns what a server with these settings answers to these lines; or its error, if it refuses the request.
pub(crate) fn serve_lines(lines: &[&str], settings: impl Into<Option<Compression>>) -> Result<Served, HandshakeError> {
    let settings = settings.into();
    let offers: Vec<_> = lines.iter().map(|&line| (EXTENSIONS, line)).collect();
    let fields = [&UPGRADE[..], &offers].concat();
    let served = serve_bytes(&head("GET / HTTP/1.1", &fields), settings.as_ref());
    let http1 = Request::from_parts("GET", "/", HttpVersion::Http11, fields).unwrap();
    let fields = [&[VERSION][..], &offers].concat();
    let http2 = Request::extended_connect("websocket", "https", "example.com", "/", HttpVersion::Http2, fields);
    for request in [http1, http2.unwrap()] {
        let alike = request.check().map(|handshake| served_elsewhere(&handshake.unwrap(), settings.as_ref()));
        assert_eq!(alike, served, "{} {lines:?}", request.version());
    }
    served
}

/// Returns the answer of a server to one line; `None` if there is none.
pub(crate) fn answer(offers: &str, settings: Compression) -> Option<String> {
    let served = serve_lines(&[offers], settings).unwrap_or_else(|error| panic!("{offers}: {error}"));
    assert_eq!(served.answer.len(), usize::from(served.agreement.is_some()), "one answer, or no field: {served:?}");
    served.answer.into_iter().next()
}

fn serve_bytes(request: &str, settings: Option<&Compression>) -> Result<Served, HandshakeError> {
    let mut ws = WebSocket::server(config(settings), NOW);
    match receive(&mut ws, request.as_bytes()) {
        Ok(events) => {
            let [Event::Request(_), Event::Open(open)] = &events[..] else { panic!("{events:?}") };
            assert_eq!(open.compression(), ws.compression());
            let output = output(&mut ws);
            assert!(output.starts_with(b"HTTP/1.1 101 "));
            Ok(Served { answer: extensions_of(&output), agreement: ws.compression() })
        }
        Err(Error::Handshake(error)) => {
            assert!(output(&mut ws).starts_with(b"HTTP/1.1 400 "), "{error}");
            Err(error)
        }
        Err(error) => panic!("{error}"),
    }
}

fn served_elsewhere(handshake: &OpeningHandshake, settings: Option<&Compression>) -> Served {
    let accept = Accept::new();
    let acceptance = handshake.accept(&accept).unwrap().with_compression(settings);
    let answer = acceptance.fields().filter(|(name, _)| *name == EXTENSIONS).map(|(_, value)| value.into()).collect();
    Served { answer, agreement: acceptance.agreement().compression() }
}

pub(crate) fn client_request() -> ClientRequest {
    "ws://example.com/".parse().unwrap()
}

/// Returns the offers that a client with these settings sends.
pub(crate) fn offered(settings: impl Into<Option<Compression>>) -> Option<String> {
    let settings = settings.into();
    let mut ws = WebSocket::client(client_request(), config(settings.as_ref()), rng(), NOW).unwrap();
    let values = extensions_of(&output(&mut ws));
    assert!(values.len() <= 1, "{values:?}");
    let request = client_request().with_compression(settings.as_ref());
    let key = generate_key(&mut rng());
    let of = |name: &str, value: &str| (name == EXTENSIONS).then(|| value.to_owned());
    let http1: Vec<_> = request.fields(&key).unwrap().filter_map(|(name, value)| of(name, &value)).collect();
    let http2: Vec<_> = request.connect_fields().unwrap().filter_map(|(name, value)| of(name, &value)).collect();
    assert_eq!((&http1, &http2), (&values, &values));
    values.into_iter().next()
}

/// Returns a client that has received a response with these lines, and is open.
pub(crate) fn open_client(lines: &[&str], settings: Compression) -> WebSocket {
    let answers = lines.iter().map(|&line| (EXTENSIONS, line)).collect::<Vec<_>>();
    let (ws, received) = answered(&answers, Some(&settings));
    assert!(matches!(received.as_deref(), Ok([Event::Open(_)])), "{received:?}");
    ws
}

/// Returns a client that has received a response with these fields, and its events.
pub(crate) fn answered(
    fields: &[(&str, &str)],
    settings: Option<&Compression>,
) -> (WebSocket, Result<Vec<Event<'static>>, Error>) {
    let accept = accept_key(&generate_key(&mut rng()));
    let fields = [&accepted(&accept)[..], fields].concat();
    let mut ws = WebSocket::client(client_request(), config(settings), rng(), NOW).unwrap();
    output(&mut ws);
    let received = receive(&mut ws, head("HTTP/1.1 101 Switching Protocols", &fields).as_bytes());
    (ws, received)
}

/// Returns the fields of a response of HTTP/1.1, without extensions.
fn accepted(accept: &str) -> [(&str, &str); 3] {
    [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
}

/// Returns the decision of a client with these settings about a response with these lines.
pub(crate) fn confirm_lines(
    lines: &[&str],
    settings: impl Into<Option<Compression>>,
) -> Result<Option<PermessageDeflate>, HandshakeError> {
    let settings = settings.into();
    let answers: Vec<_> = lines.iter().map(|&line| (EXTENSIONS, line)).collect();
    let (ws, received) = answered(&answers, settings.as_ref());
    let confirmed = match received {
        Ok(events) => {
            let [Event::Open(open)] = &events[..] else { panic!("{events:?}") };
            assert_eq!(open.compression(), ws.compression());
            Ok(ws.compression())
        }
        Err(Error::Handshake(error)) => {
            assert_eq!((error.status(), error.response()), (None, None));
            Err(error)
        }
        Err(error) => panic!("{error}"),
    };
    let request = client_request().with_compression(settings.as_ref());
    let key = generate_key(&mut rng());
    let accept = accept_key(&key);
    let fields = [&accepted(&accept)[..], &answers].concat();
    let http1 = Response::from_parts(101, HttpVersion::Http11, fields).unwrap();
    let http2 = Response::from_parts(200, HttpVersion::Http2, answers).unwrap();
    let compression = |agreement: Agreement| agreement.compression();
    assert_eq!(request.check_response(&key, &http1).map(compression), confirmed, "{lines:?}");
    assert_eq!(request.check_connect_response(&http2).map(compression), confirmed, "{lines:?}");
    confirmed
}

/// Returns the agreement of a client that accepts this answer, or the text of its error.
pub(crate) fn confirm(answer: &str, settings: Compression) -> Result<PermessageDeflate, String> {
    let confirmed = confirm_lines(&[answer], settings).map_err(|error| error.to_string())?;
    Ok(confirmed.expect("an agreement, since there is an answer"))
}

/// The agreement in short: whether there is no takeover, and the window, for the server's data and the client's.
pub(crate) fn short(agreement: PermessageDeflate) -> [(bool, u8); 2] {
    [
        (agreement.server_no_context_takeover, agreement.server_max_window_bits.get()),
        (agreement.client_no_context_takeover, agreement.client_max_window_bits.get()),
    ]
}
