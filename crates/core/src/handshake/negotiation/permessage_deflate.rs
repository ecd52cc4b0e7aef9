//! The negotiation of permessage-deflate, RFC 7692 sections 5 and 7.1: a server chooses one of a client's offers, and the
//! client confirms the answer. A [`DeflateOffer`] displays itself.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::mem;

use super::Extension;
use crate::data::{Compression, DeflateOffer, PermessageDeflate, WindowBits};
use crate::handshake::CompressionFault;

pub(super) const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// Accepts the first valid offer, as a server with these settings. Returns the agreement, and the element that answers
/// the offer; `None` if no offer is valid. A valid offer is never declined, because every one of its demands can be met.
pub(super) fn choose(
    extensions: impl Iterator<Item = Extension>,
    settings: &Compression,
) -> Option<(PermessageDeflate, String)> {
    // 5.1: "the server [...] MAY accept one of the offers"; an invalid one must be declined (section 7)
    let offer = extensions
        .filter(|extension| extension.name == NAME)
        .find_map(|extension| parse(&extension, Element::Offer).ok())?;
    // 7.1.2.2: without `client_max_window_bits` in the offer, the answer must not have it
    let is_client_window_too_large =
        offer.client_max_window_bits.is_none() && settings.peer_window_bits < WindowBits::MAX;
    let agreement = PermessageDeflate {
        server_no_context_takeover: offer.server_no_context_takeover || !settings.context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover
            || !settings.peer_context_takeover
            || is_client_window_too_large,
        server_max_window_bits: offer.server_max_window_bits.unwrap_or(WindowBits::MAX).min(settings.window_bits),
        client_max_window_bits: offer
            .client_max_window_bits
            .map_or(WindowBits::MAX, |offered| offered.min(settings.peer_window_bits)),
    };
    let answer = match (offer.server_max_window_bits, agreement.server_max_window_bits) {
        // 7.1.2.1: a server accepts the parameter by answering it, also with the value that is the default
        (Some(_), WindowBits::MAX) => format!("{agreement}; {SERVER_MAX_WINDOW_BITS}={}", WindowBits::MAX),
        _ => agreement.to_string(),
    };
    Some((agreement, answer))
}

/// Checks the answer of a server to a client's offers. Returns the agreement; `None` if there were no offers.
///
/// The answer does not say which offer it accepts: it is the first one that the answer fits.
pub(super) fn confirm(
    answer: &Extension,
    offers: &[DeflateOffer],
) -> Option<Result<PermessageDeflate, CompressionFault>> {
    let answer = parse(answer, Element::Answer);
    offers.iter().map(|offer| agree(offer, answer.as_ref().map_err(Clone::clone)?)).reduce(Result::or)
}

/// Returns the agreement if the answer accepts the offer.
fn agree(offer: &DeflateOffer, answer: &DeflateOffer) -> Result<PermessageDeflate, CompressionFault> {
    // 7.1.1.1: a server accepts the parameter by answering it
    if offer.server_no_context_takeover && !answer.server_no_context_takeover {
        return Err(CompressionFault::ParameterMissing(SERVER_NO_CONTEXT_TAKEOVER));
    }
    // 7.1.2.1: "with the same or smaller value as the offer"; without an offer, any value
    let server_max_window_bits = match (offer.server_max_window_bits, answer.server_max_window_bits) {
        (Some(_), None) => return Err(CompressionFault::ParameterMissing(SERVER_MAX_WINDOW_BITS)),
        (Some(offered), Some(answered)) => at_most(offered, answered, SERVER_MAX_WINDOW_BITS)?,
        (None, answered) => answered.unwrap_or(WindowBits::MAX),
    };
    // 7.1.2.2: permitted only if it was offered; if it is not answered, the client keeps to the window that it offered
    let client_max_window_bits = match (offer.client_max_window_bits, answer.client_max_window_bits) {
        (None, Some(value)) => {
            return Err(CompressionFault::ParameterNotOffered { parameter: CLIENT_MAX_WINDOW_BITS, value });
        }
        (Some(offered), Some(answered)) => at_most(offered, answered, CLIENT_MAX_WINDOW_BITS)?,
        (offered, None) => offered.unwrap_or(WindowBits::MAX),
    };
    Ok(PermessageDeflate {
        server_no_context_takeover: answer.server_no_context_takeover,
        // 7.1.1.2: the offer says what the client will do in any case
        client_no_context_takeover: answer.client_no_context_takeover || offer.client_no_context_takeover,
        server_max_window_bits,
        client_max_window_bits,
    })
}

fn at_most(offered: WindowBits, answered: WindowBits, parameter: &'static str) -> Result<WindowBits, CompressionFault> {
    if answered <= offered {
        Ok(answered)
    } else {
        Err(CompressionFault::WindowTooLarge { parameter, answered, offered })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Offer,
    Answer,
}

/// Parses the parameters of an element. Section 7: an element with an unknown parameter, an invalid value or a repeated
/// parameter is invalid.
fn parse(extension: &Extension, element: Element) -> Result<DeflateOffer, CompressionFault> {
    let mut parsed = DeflateOffer::BARE;
    for (name, value) in &extension.params {
        let (parameter, is_repeated) = match name.as_str() {
            SERVER_NO_CONTEXT_TAKEOVER if value.is_none() => {
                (SERVER_NO_CONTEXT_TAKEOVER, mem::replace(&mut parsed.server_no_context_takeover, true))
            }
            CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() => {
                (CLIENT_NO_CONTEXT_TAKEOVER, mem::replace(&mut parsed.client_no_context_takeover, true))
            }
            SERVER_MAX_WINDOW_BITS => {
                let bits = window_bits(SERVER_MAX_WINDOW_BITS, value.as_deref())?;
                (SERVER_MAX_WINDOW_BITS, parsed.server_max_window_bits.replace(bits).is_some())
            }
            CLIENT_MAX_WINDOW_BITS => {
                let bits = match value {
                    // 7.1.2.2: in an offer, the parameter without a value permits any value in the answer
                    None if element == Element::Offer => WindowBits::MAX,
                    value => window_bits(CLIENT_MAX_WINDOW_BITS, value.as_deref())?,
                };
                (CLIENT_MAX_WINDOW_BITS, parsed.client_max_window_bits.replace(bits).is_some())
            }
            SERVER_NO_CONTEXT_TAKEOVER => return Err(value_invalid(SERVER_NO_CONTEXT_TAKEOVER, value.as_deref())),
            CLIENT_NO_CONTEXT_TAKEOVER => return Err(value_invalid(CLIENT_NO_CONTEXT_TAKEOVER, value.as_deref())),
            unknown => return Err(CompressionFault::ParameterUnknown(unknown.into())),
        };
        if is_repeated {
            return Err(CompressionFault::ParameterRepeated(parameter));
        }
    }
    Ok(parsed)
}

/// Parses the value of a window. 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive"
fn window_bits(parameter: &'static str, value: Option<&str>) -> Result<WindowBits, CompressionFault> {
    let bits = match value.unwrap_or_default().as_bytes() {
        [digit @ b'0'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'9'] => 10 + digit - b'0',
        _ => 0,
    };
    WindowBits::new(bits).ok_or_else(|| value_invalid(parameter, value))
}

fn value_invalid(parameter: &'static str, value: Option<&str>) -> CompressionFault {
    CompressionFault::ValueInvalid { parameter, value: value.map(Box::from) }
}
