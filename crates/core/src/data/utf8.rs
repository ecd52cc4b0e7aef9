//! Validates UTF-8 that arrives in pieces (RFC 6455 section 8.1). Keeps at most 3 bytes between them.

use core::str;

/// The bytes are not valid UTF-8, and no further bytes can make them valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// Validates text in pieces. Carries the beginning of a character whose end has not arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8Validator {
    carry: [u8; 3],
    carried: u8,
}

impl Utf8Validator {
    /// Validates the next piece of the text, and passes the valid characters to `on_valid`, in order. Fails at the
    /// first byte that no continuation can make valid.
    #[inline]
    pub(crate) fn validate(&mut self, bytes: &[u8], mut on_valid: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        // most pieces neither begin nor end within a character
        if self.carried == 0 && bytes.last().is_some_and(u8::is_ascii) {
            on_valid(simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)?);
            return Ok(());
        }
        self.validate_any(bytes, on_valid)
    }

    /// Validates a piece that may begin or end within a character.
    fn validate_any(&mut self, bytes: &[u8], mut on_valid: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        let bytes = self.finish_character(bytes, &mut on_valid)?;
        let (whole, beginning) = bytes.split_at(bytes.len() - unfinished_len(bytes));
        if !whole.is_empty() {
            on_valid(simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?);
        }
        if !beginning.is_empty() {
            self.begin_character(beginning)?;
        }
        Ok(())
    }

    /// Returns how many bytes of an unfinished character are carried.
    #[inline]
    pub(crate) const fn carried(self) -> usize {
        self.carried as usize
    }

    /// Returns the bytes of an unfinished character.
    #[cfg(feature = "deflate")]
    pub(crate) fn unfinished(&self) -> &[u8] {
        self.carry.split_at(self.carried.into()).0
    }

    /// Checks that the text does not end within a character.
    pub(crate) const fn finish(self) -> Result<(), InvalidUtf8> {
        if self.carried == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Completes the carried character with the first bytes of `bytes`, and returns the rest.
    fn finish_character<'a>(
        &mut self,
        mut bytes: &'a [u8],
        on_valid: &mut impl FnMut(&str),
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
                    on_valid(character);
                }
                Err(_) => self.begin_character(character)?,
            }
            bytes = rest;
        }
        Ok(bytes)
    }

    /// Carries the beginning of a character. Fails if it cannot be one.
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

/// Returns how many bytes at the end, 0 to 3, begin a character that is incomplete.
fn unfinished_len(bytes: &[u8]) -> usize {
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
