//! Values of header fields: lists, and the keys `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 sections 4.1,
//! 4.2.2 and 11.3).
//!
//! Keys are not secrets: they are sent in the clear, and only show that the server understood the request. So they need
//! no comparison in constant time.

use alloc::string::String;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use rand_core::CryptoRng;
use sha1::{Digest, Sha1};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const NONCE_SIZE: usize = 16;
pub(crate) const ACCEPT_SIZE: usize = 28;

/// Accepts unused bits behind the sixteenth byte, which some clients set. (The key in the RFC,
/// `dGhlIHNhbXBsZSBub25jZQ==`, has none.)
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Generates the value of `Sec-WebSocket-Key`, 24 characters (RFC 6455 section 4.1 item 7: "a nonce consisting of a
/// randomly selected 16-byte value that has been base64-encoded"). Generate a new one for each connection.
pub fn generate_key(rng: &mut impl CryptoRng) -> String {
    let mut nonce = [0; NONCE_SIZE];
    rng.fill_bytes(&mut nonce);
    BASE64.encode(nonce)
}

/// Returns the 28 characters of `Sec-WebSocket-Accept` for a key, which is not checked (RFC 6455 section 4.2.2 item 5).
///
/// ```
/// assert_eq!(sansocket::accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    hash_key(key).iter().copied().map(char::from).collect()
}

/// Returns [`accept_key`] as bytes: the base64 of the hash of the key, as it was sent, and the GUID (4.2.2).
pub(crate) fn hash_key(key: &str) -> [u8; ACCEPT_SIZE] {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_SIZE];
    let size = BASE64.encode_slice(hash, &mut accept);
    debug_assert_eq!(size, Ok(ACCEPT_SIZE), "20 bytes in base64");
    accept
}

/// Returns whether the key is valid: "a base64-encoded value that, when decoded, is 16 bytes in length" (4.2.1 item 5).
///
/// Not inlined, so that the decoder is inlined into its only caller: 156 instructions less for each handshake.
#[inline(never)]
pub(crate) fn is_valid_key(key: &str) -> bool {
    let mut nonce = [0; NONCE_SIZE + 2];
    // 24 characters encode 16 to 18 bytes
    key.len() == 24 && BASE64.decode_slice(key, &mut nonce) == Ok(NONCE_SIZE)
}

/// Returns the elements of a list, without blanks around them and without empty ones (RFC 9110 section 5.6.1.2).
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|element| element.trim_matches([' ', '\t'])).filter(|element| !element.is_empty())
}

/// Returns whether a list has this element, compared without regard to case.
pub(crate) fn has_element(list: &str, element: &str) -> bool {
    // the usual list has this one element, in the same case
    list == element || elements(list).any(|each| each.eq_ignore_ascii_case(element))
}
