//! Escaping of text that a peer chose, before it is displayed.
//!
//! A peer must not be able to move the cursor of a terminal, start a new line in a log, or reorder or hide parts of a
//! line.

use std::fmt::{self, Display, Write as _};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Displays text on one line: control, format, private-use and unassigned characters and line and paragraph separators
/// appear as `\n`, `\u{202e}` and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a> {
    text: &'a str,
    max_length: usize,
}

impl<'a> Escaped<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, max_length: usize::MAX }
    }

    /// Cuts the displayed text at `max_length` bytes. A marker after the cut shows how many bytes of `text` are
    /// missing.
    pub(crate) const fn truncated(text: &'a str, max_length: usize) -> Self {
        Self { text, max_length }
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut remaining = self.max_length;
        for (index, c) in self.text.char_indices() {
            let is_shown = is_shown(c);
            let length = if is_shown { c.len_utf8() } else { c.escape_default().len() };
            let Some(rest) = remaining.checked_sub(length) else {
                return write!(f, "… ({} bytes cut)", self.text.len() - index);
            };
            remaining = rest;
            if is_shown { f.write_char(c)? } else { write!(f, "{}", c.escape_default())? }
        }
        Ok(())
    }
}

/// Returns whether a character is displayed as it is.
fn is_shown(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    )
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn each_category_that_can_mislead_is_escaped() {
        for (text, escaped) in [
            ("a\n\r\t\u{1b}[2J\u{7f}\0", r"a\n\r\t\u{1b}[2J\u{7f}\u{0}"),
            ("\u{85}\u{9b}", r"\u{85}\u{9b}"),
            ("\u{ad}\u{200b}\u{202e}\u{2066}\u{feff}\u{e0041}", r"\u{ad}\u{200b}\u{202e}\u{2066}\u{feff}\u{e0041}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{e000}\u{10fffd}", r"\u{e000}\u{10fffd}"),
            ("\u{378}\u{ffff}\u{fdd0}", r"\u{378}\u{ffff}\u{fdd0}"),
        ] {
            assert_eq!(Escaped::new(text).to_string(), escaped);
        }
    }

    #[test]
    fn harmless_text_and_existing_escapes_stay() {
        for text in ["", "Grüße, 世界 🦀 \"it's\" e\u{301} \u{a0}", r"\u{202e}\n", "\u{fffd}…"] {
            assert_eq!(Escaped::new(text).to_string(), text);
        }
    }

    #[test]
    fn a_cut_leaves_characters_and_escapes_whole() {
        let cut = |text, max_length| Escaped::truncated(text, max_length).to_string();
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "abc… (1 bytes cut)");
        assert_eq!(cut("aéé", 4), "aé… (2 bytes cut)");
        assert_eq!(cut("a\u{202e}b", 8), "a… (4 bytes cut)");
        assert_eq!(cut("a\u{202e}b", 9), r"a\u{202e}… (1 bytes cut)");
        assert_eq!(cut("", 0), "");
    }
}
