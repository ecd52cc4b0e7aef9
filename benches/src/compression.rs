//! The settings of the echo servers that compress, which `cargo xtask load --compress` passes to all of them.

use std::env;
use std::process;

/// How a server compresses: its arguments before the address are the level, the window and `takeover` or `no-takeover`,
/// as in `1 12 takeover`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "every server must use each of them")]
pub struct CompressionSettings {
    /// The level of the compressor, from 0 to 9.
    pub level: u8,
    /// The window in both directions, in bits, from 9 to 15.
    pub window_bits: u8,
    /// Whether messages refer back to earlier ones, in both directions.
    pub has_takeover: bool,
}

impl CompressionSettings {
    /// Parses the arguments of the program. Prints its usage and ends it if they are invalid.
    #[must_use]
    pub fn from_args() -> Self {
        let arguments: Vec<_> = env::args().skip(1).collect();
        Self::parse(&arguments).unwrap_or_else(|| {
            eprintln!("usage: LEVEL (0 to 9) WINDOW_BITS (9 to 15) takeover|no-takeover ADDRESS");
            process::exit(2)
        })
    }

    fn parse(arguments: &[String]) -> Option<Self> {
        let [level, window_bits, takeover, _address] = arguments else { return None };
        Some(Self {
            level: level.parse().ok().filter(|level| *level <= 9)?,
            window_bits: window_bits.parse().ok().filter(|bits| (9..=15).contains(bits))?,
            has_takeover: match takeover.as_str() {
                "takeover" => true,
                "no-takeover" => false,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_the_arguments_before_the_address() {
        let parse = |text: &str| CompressionSettings::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let settings = CompressionSettings { level: 6, window_bits: 15, has_takeover: false };
        assert_eq!(parse("6 15 no-takeover 127.0.0.1:0"), Some(settings));
        for text in ["", "6 15 no-takeover", "10 15 takeover x", "6 8 takeover x", "6 16 takeover x", "6 15 yes x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
