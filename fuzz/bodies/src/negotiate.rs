//! `negotiate`: permessage-deflate (RFC 7692 section 7). A server answers any offers as a second implementation of the
//! rules permits, and within its settings; a client with the offer that was accepted confirms the answer; and a client
//! accepts any answer to any offers exactly if the rules permit it.

use arbitrary::{Result, Unstructured};
use sansocket::{
    Accept, ClientRequest, Compression, DeflateOffer, HandshakeError, HttpVersion, PermessageDeflate, Request,
    Response, WindowBits,
};

use crate::http::{self, Extension};

const FIELD: &str = "Sec-WebSocket-Extensions";

/// Input: the server's settings (1 byte), the number of the client's offers (1 byte) and the offers (3 times 2 bytes);
/// then the lines of the field, which are offers and, the first of them, an answer.
pub fn run(data: &[u8]) {
    let _ = check(Unstructured::new(data));
}

fn check(mut u: Unstructured<'_>) -> Result<()> {
    let settings = settings(u.arbitrary()?);
    let count: u8 = u.arbitrary()?;
    let offers: [[u8; 2]; 3] = u.arbitrary()?;
    let offers: Vec<Params> = offers.iter().take(usize::from(count % 4)).map(|&offer| Params::choose(offer)).collect();
    let Ok(text) = std::str::from_utf8(u.take_rest()) else { return Ok(()) };
    // a control character makes the head invalid, whatever the field is
    if text.chars().any(|character| character.is_ascii_control() && !matches!(character, '\n' | '\t')) {
        return Ok(());
    }
    let lines: Vec<&str> = if text.is_empty() { vec![] } else { text.split('\n').collect() };
    check_server(&lines, &settings);
    check_client(lines.first().copied(), &offers);
    Ok(())
}

/// Chooses the settings of a server.
fn settings(choice: u8) -> Compression {
    Compression::default()
        .window_bits(window(8 + (choice & 7)))
        .peer_window_bits(window(8 + (choice >> 3 & 7)))
        .context_takeover(choice & 0x40 == 0)
        .peer_context_takeover(choice & 0x80 == 0)
}

fn check_server(lines: &[&str], settings: &Compression) {
    let fields = [("Sec-WebSocket-Version", "13")].into_iter().chain(lines.iter().map(|&line| (FIELD, line)));
    let request = Request::extended_connect("websocket", "https", "a", "/", HttpVersion::Http2, fields);
    let checked = request.expect("valid parts").check();
    let extensions = http::extensions(lines).filter(|extensions| lines.is_empty() || !extensions.is_empty());
    let Some(extensions) = extensions else {
        assert_eq!(checked.err(), Some(HandshakeError::ExtensionsMalformed), "{lines:?}");
        return;
    };
    let handshake = checked.expect("well-formed offers").expect("a request for a WebSocket");
    let accept = Accept::new();
    let acceptance = handshake.accept(&accept).expect("no origin").with_compression(settings);
    let agreement = acceptance.agreement().compression();
    let answers: Vec<_> = acceptance.fields().filter(|(name, _)| *name == FIELD).map(|(_, value)| value).collect();
    let accepted = extensions.iter().filter(|(name, _)| name == "permessage-deflate");
    let Some(offer) = accepted.filter_map(|offer| Params::parse(offer, true)).next() else {
        assert_eq!((agreement, answers.len()), (None, 0), "{lines:?}");
        return;
    };
    let [answer] = answers[..] else { panic!("{answers:?} to {lines:?}") };
    let parsed = http::extensions(&[answer]).expect("a well-formed answer");
    let params = parsed.first().and_then(|answer| Params::parse(answer, false)).expect("a valid answer");
    assert_eq!((parsed.len(), &*parsed[0].0), (1, "permessage-deflate"), "{answer}");
    let expected = params.agreement_on(&offer);
    assert!(expected.is_some() && agreement == expected, "{answer} to {lines:?} is {agreement:?}");
    assert!(obeys(&params, &offer, settings), "{answer} to {lines:?} with {settings:?}");
    assert_eq!(confirm(Some(answer), &[offer]).ok(), Some(expected), "{answer} to {lines:?}");
}

/// Returns whether the answer uses no more than the settings of the server permit.
fn obeys(answer: &Params, offer: &Params, settings: &Compression) -> bool {
    let window_is_large = answer.client_max.unwrap_or(15) > settings.peer_window_bits.get();
    (answer.server_no || settings.context_takeover)
        && (answer.client_no || settings.peer_context_takeover)
        && answer.server_max.unwrap_or(15) <= settings.window_bits.get()
        // only a client that cannot lower its window may exceed it, and then without takeover
        && (!window_is_large || offer.client_max.is_none() && answer.client_no)
}

fn check_client(answer: Option<&str>, offers: &[Params]) {
    let confirmed = confirm(answer, offers);
    let expected = match answer {
        None => Some(None),
        Some(answer) => expected_agreement(answer, offers).map(Some),
    };
    assert_eq!(confirmed.as_ref().ok(), expected.as_ref(), "{answer:?} to {offers:?}: {confirmed:?}");
    if let Err(error) = confirmed {
        assert!(error.status().is_none() && !error.to_string().is_empty());
    }
}

/// Returns the agreement of a client that made these offers; or its error.
fn confirm(answer: Option<&str>, offers: &[Params]) -> std::result::Result<Option<PermessageDeflate>, HandshakeError> {
    let request: ClientRequest = "wss://a/".parse().expect("a URI");
    let settings = Compression::default().offers(offers.iter().map(DeflateOffer::from).collect::<Vec<_>>());
    let request = request.with_compression((!offers.is_empty()).then_some(&settings));
    let response = Response::from_parts(200, HttpVersion::Http2, answer.map(|answer| (FIELD, answer)));
    let agreement = request.check_connect_response(&response.expect("valid parts"))?;
    Ok(agreement.compression())
}

/// Applies section 7 to an answer. Returns `None` to fail the handshake.
fn expected_agreement(answer: &str, offers: &[Params]) -> Option<PermessageDeflate> {
    let extensions = http::extensions(&[answer])?;
    let [extension @ (name, _)] = &extensions[..] else { return None };
    let answer = Params::parse(extension, false).filter(|_| name == "permessage-deflate")?;
    offers.iter().find_map(|offer| answer.agreement_on(offer))
}

/// The parameters of a valid element. The window of the client is 15 if it has no value.
#[derive(Clone, Debug)]
struct Params {
    server_no: bool,
    client_no: bool,
    server_max: Option<u8>,
    client_max: Option<u8>,
}

impl Params {
    /// Chooses an offer. All zeros are the default offer of a client.
    fn choose([flags, windows]: [u8; 2]) -> Self {
        let server_max = (windows & 8 != 0).then_some(8 + (windows & 7));
        let client_max = (flags & 4 == 0).then_some(15 - (windows >> 4 & 7));
        Self { server_no: flags & 1 != 0, client_no: flags & 2 != 0, server_max, client_max }
    }

    fn parse((_, params): &Extension, is_offer: bool) -> Option<Self> {
        let mut names: Vec<_> = params.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        let value = |name: &str| params.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_deref());
        let no_takeover = ["server_no_context_takeover", "client_no_context_takeover"].map(value);
        let windows = ["server_max_window_bits", "client_max_window_bits"].map(value);
        let known = no_takeover.iter().chain(&windows).flatten().count();
        if names.len() != params.len() || known != params.len() || no_takeover.iter().flatten().any(Option::is_some) {
            return None;
        }
        let bits = |value: &str| (8..=15).find(|bits: &u8| bits.to_string() == value);
        let server_max = windows[0].map(|value| value.and_then(bits));
        let client_max = windows[1].map(|value| value.map_or(is_offer.then_some(15), bits));
        if server_max == Some(None) || client_max == Some(None) {
            return None;
        }
        let [server_no, client_no] = no_takeover.map(|value| value.is_some());
        Some(Self { server_no, client_no, server_max: server_max.flatten(), client_max: client_max.flatten() })
    }

    /// Returns the agreement if this answer accepts the offer.
    fn agreement_on(&self, offer: &Self) -> Option<PermessageDeflate> {
        let is_valid = (self.server_no || !offer.server_no)
            && offer.server_max.is_none_or(|offered| self.server_max.is_some_and(|answered| answered <= offered))
            && self.client_max.is_none_or(|answered| offer.client_max.is_some_and(|offered| answered <= offered));
        is_valid.then(|| {
            PermessageDeflate::default()
                .server_no_context_takeover(self.server_no)
                .client_no_context_takeover(self.client_no || offer.client_no)
                .server_max_window_bits(window(self.server_max.unwrap_or(15)))
                .client_max_window_bits(window(self.client_max.or(offer.client_max).unwrap_or(15)))
        })
    }
}

impl From<&Params> for DeflateOffer {
    fn from(params: &Params) -> Self {
        Self::default()
            .server_no_context_takeover(params.server_no)
            .client_no_context_takeover(params.client_no)
            .server_max_window_bits(params.server_max.map(window))
            .client_max_window_bits(params.client_max.map(window))
    }
}

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("from 8 to 15")
}
