//! Sample payloads for measuring compression, which depend on a seed only: JSON trades, text, and random bytes.
//!
//! No two messages of a generator are equal: a measurement that sends the same message again and again would show how
//! well a codec copies the message before.

mod random;
mod text;
mod trade;

use random::Random;
use text::Sentences;
use trade::Trades;

/// The content of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a measurement must handle each of them")]
pub enum Content {
    /// An array of distinct trades of a market: objects of 185 to 200 bytes with the same keys and different values.
    Json,
    /// Sentences of common English words, in the frequencies of a natural language.
    Text,
    /// Random bytes, which no codec can compress.
    Random,
}

impl Content {
    /// Every content.
    pub const ALL: [Self; 3] = [Self::Json, Self::Text, Self::Random];

    /// Returns its name, for the tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Text => "text",
            Self::Random => "random",
        }
    }
}

/// Generates messages with the same content.
#[derive(Debug)]
pub struct Samples(Source);

#[derive(Debug)]
enum Source {
    Json(Trades),
    Text(Sentences),
    Random(Random),
}

impl Samples {
    /// Creates a generator. The same seed gives the same messages.
    #[must_use]
    pub fn new(content: Content, seed: u64) -> Self {
        let random = Random::new(seed);
        Self(match content {
            Content::Json => Source::Json(Trades::new(random)),
            Content::Text => Source::Text(Sentences::new(random)),
            Content::Random => Source::Random(random),
        })
    }

    /// Returns the next message, of exactly `length` bytes. JSON and text are ASCII; they end in the middle of a trade
    /// or a word, since what matters is how well they compress.
    #[must_use]
    pub fn message(&mut self, length: usize) -> Vec<u8> {
        let mut message = Vec::with_capacity(length + 256);
        while message.len() < length {
            match &mut self.0 {
                Source::Json(trades) => {
                    message.push(if message.is_empty() { b'[' } else { b',' });
                    trades.append(&mut message);
                }
                Source::Text(sentences) => sentences.append(&mut message),
                Source::Random(random) => message.extend_from_slice(&random.next().to_le_bytes()),
            }
        }
        message.truncate(length);
        message
    }

    /// Returns the next `count` messages, of `length` bytes each.
    #[must_use]
    pub fn messages(&mut self, length: usize, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.message(length)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_messages() {
        for content in Content::ALL {
            let messages = |seed| Samples::new(content, seed).messages(1000, 3);
            assert_eq!(messages(1), messages(1));
            assert_ne!(messages(1), messages(2));
        }
    }

    #[test]
    fn messages_have_the_length_and_are_distinct() {
        for content in Content::ALL {
            for length in [64, 200, 1 << 10, 16 << 10] {
                let messages = Samples::new(content, 1).messages(length, 300);
                assert!(messages.iter().all(|message| message.len() == length), "{content:?}, {length}");
                assert_eq!(messages.iter().collect::<HashSet<_>>().len(), 300, "{content:?}, {length}");
            }
        }
    }

    #[test]
    fn json_is_an_array_of_distinct_trades_of_about_200_bytes() {
        let message = Samples::new(Content::Json, 1).message(64 << 10);
        let text = str::from_utf8(&message).unwrap().strip_prefix('[').unwrap();
        let trades: Vec<_> = text.split_inclusive('}').map(|trade| trade.trim_start_matches(',')).collect();
        let (_, whole) = trades.split_last().unwrap();
        assert!(whole.iter().all(|trade| (185..=200).contains(&trade.len())), "{whole:?}");
        assert_eq!(whole.iter().collect::<HashSet<_>>().len(), whole.len());
    }

    #[test]
    fn text_has_words_and_sentences() {
        let message = Samples::new(Content::Text, 1).message(64 << 10);
        assert!(message.is_ascii());
        let text = str::from_utf8(&message).unwrap();
        let (words, sentences) = (text.split(' ').count(), text.split(". ").count());
        assert!((9_000..16_000).contains(&words), "{words} words");
        assert!((6..20).contains(&(words / sentences)), "{words} words in {sentences} sentences");
    }
}
