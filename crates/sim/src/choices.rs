//! Where a run's choices come from: a seed, or the bytes of a fuzzer.

use rand_chacha::ChaCha8Rng;
use sansocket::rand_core::{Rng, SeedableRng};

/// Makes every choice of a run, so that the same source gives the same run.
///
/// Zero is always the plainest choice. Bytes that have run out give zeros, so that a run ends soon after its bytes do.
#[derive(Debug)]
pub struct Choices<'a> {
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Seed(Box<ChaCha8Rng>),
    Bytes(&'a [u8]),
}

impl Choices<'static> {
    /// The choices that a seed gives.
    pub fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(Box::new(ChaCha8Rng::seed_from_u64(seed))) }
    }
}

impl<'a> Choices<'a> {
    /// The choices that these bytes make: mostly one byte each.
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { source: Source::Bytes(bytes) }
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = match &mut self.source {
            Source::Seed(rng) => u64::from(rng.next_u32()),
            Source::Bytes(bytes) => {
                let width = if bound <= 1 << 8 { 1 } else { 4 };
                let (taken, rest) = bytes.split_at(width.min(bytes.len()));
                *bytes = rest;
                taken.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        };
        number.checked_rem(bound as u64).unwrap_or(0) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True one time in `of`.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == of - 1
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A number of 32 bits, for whatever needs a seed of its own.
    pub fn number(&mut self) -> u64 {
        self.below(u32::MAX as usize) as u64
    }
}
