//! Helpers. Only this file has to follow when the public interface changes.

use std::convert::Infallible;

use bytes::Buf;
use rand_core::{TryCryptoRng, TryRng};
use sansocket::{
    Accept, ClientRequest, Config, Error, Event, HandshakeError, HttpResponse, Input, Instant, OriginPolicy,
    ReadyState, Request, TransportAction, WebSocket,
};

pub(crate) const NOW: Instant = Instant::from_nanos(1_000);

/// The key of RFC 6455 section 1.3, and the answer to it.
pub(crate) const NONCE: &[u8; 16] = b"the sample nonce";
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A masked "Hello" and an unmasked one (RFC 6455 section 5.7).
pub(crate) const MASKED_HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
pub(crate) const HELLO: &[u8] = b"\x81\x05Hello";

/// A generator that returns these bytes, and then counts up.
#[derive(Debug)]
pub(crate) struct Scripted {
    bytes: Vec<u8>,
    next: usize,
}

impl Scripted {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), next: 0 }
    }
}

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for byte in target {
            *byte = self.bytes.get(self.next).copied().unwrap_or(self.next as u8);
            self.next += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Scripted {}

/// The result of handing bytes to an endpoint.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event<'static>>,
    pub(crate) error: Option<Error>,
    pub(crate) output: Vec<u8>,
    pub(crate) ready_state: ReadyState,
    pub(crate) transport: TransportAction,
}

impl Outcome {
    pub(crate) fn request(&self) -> &Request {
        match &self.events[0] {
            Event::Request(request) | Event::HttpRequest(request) => request,
            event => panic!("{event:?}"),
        }
    }

    /// Returns the status of the response in the output.
    pub(crate) fn status(&self) -> u16 {
        let head = self.head();
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        status.unwrap_or_else(|| panic!("no response: {head:?}")).parse().unwrap()
    }

    pub(crate) fn head(&self) -> String {
        let output = String::from_utf8_lossy(&self.output);
        output.split_once("\r\n\r\n").map_or(String::new(), |(head, _)| head.to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = self.head();
        let mut fields = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
        fields.find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    pub(crate) fn has_list_element(&self, name: &str, element: &str) -> bool {
        self.header(name).is_some_and(|value| value.split(',').any(|each| each.trim() == element))
    }

    pub(crate) fn handshake_error(&self) -> &HandshakeError {
        match &self.error {
            Some(Error::Handshake(error)) => error,
            other => panic!("{other:?}, after {:?}", self.events),
        }
    }
}

pub(crate) fn output(ws: &mut WebSocket) -> Vec<u8> {
    let output = ws.output();
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// Hands in all bytes at once, without accepting a request. Returns the events.
pub(crate) fn receive(ws: &mut WebSocket, bytes: &[u8]) -> Result<Vec<Event<'static>>, Error> {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let mut events = Vec::new();
    while let Some(event) = ws.receive(&mut input, NOW)? {
        events.push(event.into_owned());
    }
    assert!(input.is_empty(), "the input is not consumed");
    Ok(events)
}

/// Hands in bytes, cut at these positions. Accepts an opening handshake at once, and answers other requests with 426.
pub(crate) fn drive(mut ws: WebSocket, bytes: &[u8], cuts: &[usize]) -> Outcome {
    output(&mut ws);
    let mut events = Vec::new();
    let mut error = None;
    let mut bytes = bytes.to_vec();
    let mut rest = bytes.as_mut_slice();
    let mut taken = 0;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, behind) = rest.split_at_mut(cut.saturating_sub(taken).min(rest.len()));
        taken += piece.len();
        rest = behind;
        let mut input = Input::new(piece);
        loop {
            match ws.receive(&mut input, NOW) {
                Ok(Some(event)) => {
                    assert_eq!(error, None, "an event after an error");
                    match event {
                        Event::Request(_) => ws.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap(),
                        Event::HttpRequest(_) => ws.respond(HttpResponse::upgrade_required(), NOW).unwrap(),
                        _ => {}
                    }
                    events.push(event.into_owned());
                }
                Ok(None) => break,
                Err(new) => {
                    assert!(error.is_none_or(|old| old == new), "another error");
                    error = Some(new);
                    break;
                }
            }
        }
        assert!(input.is_empty(), "the input is not consumed");
    }
    let output = output(&mut ws);
    Outcome { events, error, output, ready_state: ws.ready_state(), transport: ws.transport() }
}

/// Hands in bytes at once, in every two pieces (of long input, in some), and one by one: the outcome must be the same.
pub(crate) fn in_all_splits(bytes: &[u8], endpoint: impl Fn() -> WebSocket) -> Outcome {
    let whole = drive(endpoint(), bytes, &[]);
    let one_by_one: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(drive(endpoint(), bytes, &one_by_one), whole, "byte by byte");
    for cut in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
        assert_eq!(drive(endpoint(), bytes, &[cut]), whole, "cut at {cut}");
    }
    whole
}

pub(crate) fn server() -> WebSocket {
    WebSocket::server(Config::default(), NOW)
}

pub(crate) fn client_request() -> ClientRequest {
    "ws://server.example.com/chat".parse().unwrap()
}

pub(crate) fn client(request: ClientRequest) -> WebSocket {
    WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).unwrap()
}

/// Returns the outcome of a request at a server.
pub(crate) fn served(request: impl AsRef<[u8]>) -> Outcome {
    in_all_splits(request.as_ref(), server)
}

/// Returns the outcome of a response at a client.
pub(crate) fn answered(response: impl AsRef<[u8]>) -> Outcome {
    in_all_splits(response.as_ref(), || client(client_request()))
}

/// Returns the same for a client that offers the subprotocols `chat` and `superchat`.
pub(crate) fn answered_to_offer(response: impl AsRef<[u8]>) -> Outcome {
    in_all_splits(response.as_ref(), || client(client_request().protocol("chat").protocol("superchat")))
}

/// Returns a valid request with a field replaced, or removed if there is no value, and with lines added.
pub(crate) fn request_with(replaced: &str, value: Option<&str>, added: &str) -> String {
    let fields = [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    let mut head = String::from("GET /chat HTTP/1.1\r\n");
    for (name, usual) in fields {
        let value = if name == replaced { value } else { Some(usual) };
        head.extend(value.map(|value| format!("{name}: {value}\r\n")));
    }
    head + added + "\r\n"
}

pub(crate) fn request() -> String {
    request_with("", None, "")
}

/// Returns a valid response with a field replaced or removed, and with lines added.
pub(crate) fn response_with(replaced: &str, value: Option<&str>, added: &str) -> String {
    let fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)];
    let mut head = String::from("HTTP/1.1 101 Switching Protocols\r\n");
    for (name, usual) in fields {
        let value = if name == replaced { value } else { Some(usual) };
        head.extend(value.map(|value| format!("{name}: {value}\r\n")));
    }
    head + added + "\r\n"
}

pub(crate) fn response() -> String {
    response_with("", None, "")
}

pub(crate) fn testdata(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/handshake").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Parses the records of a file in `testdata`.
pub(crate) fn records(text: &str) -> Vec<Vec<(&str, &str)>> {
    let mut records = vec![vec![]];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(": ") {
            Some(field) => records.last_mut().unwrap().push(field),
            None => records.push(vec![]),
        }
    }
    records.retain(|record: &Vec<_>| !record.is_empty());
    records
}

/// Runs work that takes moments if it is linear in its input, and minutes if it is not.
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "this measures the core from outside")]
pub(crate) fn in_moments(work: impl FnOnce()) {
    let started = std::time::Instant::now();
    work();
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

/// Lets time pass, without IO, until a connection that never opened has ended. Returns when.
pub(crate) fn silent_end(ws: &mut WebSocket, mut now: Instant) -> Instant {
    for _ in 0..1_000 {
        let Some(deadline) = ws.poll_timeout() else { return now };
        now = now.max(deadline);
        assert_eq!(ws.handle_timeout(now), Ok(None));
        assert!(ws.poll_timeout().is_none_or(|next| next > now), "contract 7");
    }
    panic!("the driver spins at {now:?}");
}
