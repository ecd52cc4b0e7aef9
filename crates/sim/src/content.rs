//! The content of messages: lengths at which the encoding changes, and characters of every width.

use sansocket::MessageKind;

use crate::choices::Choices;

/// Characters of one to four bytes in UTF-8, among them the last of each width.
const CHARACTERS: [char; 10] =
    ['a', ' ', '\u{7F}', '\u{E9}', '\u{7FF}', '\u{20AC}', '\u{D7FF}', '\u{FFFD}', '\u{1F980}', '\u{10FFFF}'];

/// Returns a length of at most `max` bytes.
pub(crate) fn length(choices: &mut Choices<'_>, max: usize) -> usize {
    let length = match choices.below(32) {
        0..=13 => choices.below(20),
        14..=23 => choices.below(600),
        24..=28 => choices.pick(&[125, 0, 124, 126, 127, 128]),
        29..=30 => choices.pick(&[256, 255, 249, 4095, 4096, 4097, 1000]),
        _ => choices.pick(&[65_535, 65_534, 65_536, 65_537, 20_000]),
    };
    length.min(max)
}

/// Returns pseudo-random bytes that differ from those of other messages.
pub(crate) fn bytes(choices: &mut Choices<'_>, length: usize) -> Vec<u8> {
    let mut state = choices.number() | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes()[..4]);
    }
    bytes.truncate(length);
    bytes
}

/// Returns a payload of `length` bytes: bytes only repeat themselves if they come from text.
pub(crate) fn payload(choices: &mut Choices<'_>, kind: MessageKind, length: usize) -> Vec<u8> {
    match kind {
        MessageKind::Binary if choices.once_in(2) => bytes(choices, length),
        _ => text(choices, length).into_bytes(),
    }
}

/// Returns text of `length` bytes in UTF-8, with characters of every width.
pub(crate) fn text(choices: &mut Choices<'_>, length: usize) -> String {
    let mut state = choices.number() as usize;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        state = state.wrapping_mul(5).wrapping_add(state >> 7).wrapping_add(3);
        let character = CHARACTERS[state % CHARACTERS.len()];
        let fits = text.len() + character.len_utf8() <= length;
        text.push(if fits { character } else { 'x' });
    }
    text
}

/// Bytes that are invalid UTF-8 for different reasons; some are invalid only because they end too early.
pub(crate) const NOT_UTF8: [&[u8]; 9] = [
    b"\xFF",
    b"\x80",
    b"ok\xC0\xAF",
    b"\xED\xA0\x80",
    b"\xF4\x90\x80\x80",
    b"ok \xE2\x82",
    b"\xF0\x9F\xA6",
    b"\xC3",
    b"\xE2\x28\xA1",
];
