//! Validation of UTF-8 that arrives in pieces (RFC 6455 section 8.1): at most 3 bytes are carried between them.

use core::str;

/// The bytes are not UTF-8, whatever may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// The beginning of a character whose end has not arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8Validator {
    carry: [u8; 3],
    carried: u8,
}

impl Utf8Validator {
    /// Takes the next piece of the text and hands on, in order, what is now known to be valid.
    /// Fails at the first byte that no continuation can make valid.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], mut valid: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        // most pieces neither begin nor end within a character
        if self.carried == 0 && bytes.last().is_some_and(u8::is_ascii) {
            valid(simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)?);
            return Ok(());
        }
        self.push_any(bytes, valid)
    }

    fn push_any(&mut self, bytes: &[u8], mut valid: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        let bytes = self.finish_character(bytes, &mut valid)?;
        let (whole, beginning) = bytes.split_at(bytes.len() - unfinished(bytes));
        if !whole.is_empty() {
            valid(simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?);
        }
        if !beginning.is_empty() {
            self.begin_character(beginning)?;
        }
        Ok(())
    }

    /// How many bytes are carried.
    #[inline]
    pub(crate) const fn carried(self) -> usize {
        self.carried as usize
    }

    /// The text has ended: whether it ended with a whole character.
    pub(crate) const fn finish(self) -> Result<(), InvalidUtf8> {
        if self.carried == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Completes the carried character as far as `bytes` reach, and returns what is left of them.
    fn finish_character<'a>(
        &mut self,
        mut bytes: &'a [u8],
        valid: &mut impl FnMut(&str),
    ) -> Result<&'a [u8], InvalidUtf8> {
        while self.carried > 0 {
            let Some((&next, rest)) = bytes.split_first() else { break };
            let [first, second, third] = self.carry;
            let mut character = [first, second, third, 0];
            if let Some(end) = character.get_mut(usize::from(self.carried)) {
                *end = next;
            }
            let (character, _) = character.split_at(usize::from(self.carried) + 1);
            match str::from_utf8(character) {
                Ok(character) => {
                    self.carried = 0;
                    valid(character);
                }
                Err(_) => self.begin_character(character)?,
            }
            bytes = rest;
        }
        Ok(bytes)
    }

    /// Carries `beginning` if it can be the beginning of a character.
    fn begin_character(&mut self, beginning: &[u8]) -> Result<(), InvalidUtf8> {
        match str::from_utf8(beginning) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                self.carry.iter_mut().zip(beginning).for_each(|(to, from)| *to = *from);
                self.carried = beginning.len() as u8;
                Ok(())
            }
            _ => Err(InvalidUtf8),
        }
    }
}

/// How many bytes at the end, 0 to 3, begin a character that needs more bytes than there are.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = bytes.iter().rev().take(3).enumerate();
    for (index, &byte) in tail {
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            0x00..=0x7F => 1,
        };
        return if needed > index + 1 { index + 1 } else { 0 };
    }
    0
}
