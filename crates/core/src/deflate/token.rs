//! Identifies the contents of a codec's window.

use core::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies the contents of the window of a codec, or a place in a stream. No two of them have the same token: a codec
/// is still primed for a connection if it has the token that the connection noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(NonZeroU64);

/// Creates tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The latest token.
    latest: u64,
    /// The last token before the next block.
    last: u64,
}

/// The number of tokens in a block. Codecs and streams take a block at a time, so that they share no memory with other
/// threads for each message. There are 2^40 blocks, also for groups that live shortly.
const BLOCK: u64 = 1 << 24;

impl Tokens {
    pub(crate) const fn new() -> Self {
        Self { latest: 0, last: 0 }
    }

    /// Returns a token that no codec had before.
    #[inline]
    pub(crate) fn next(&mut self) -> Token {
        if self.latest == self.last {
            self.next_block();
        }
        self.latest += 1;
        Token(NonZeroU64::new(self.latest).unwrap_or(NonZeroU64::MIN))
    }

    #[cold]
    fn next_block(&mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.latest = NEXT.fetch_add(BLOCK, Ordering::Relaxed);
        self.last = self.latest + BLOCK;
    }
}
