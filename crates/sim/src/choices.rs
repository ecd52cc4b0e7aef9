//! The source of a run's choices: a seed, or the bytes of a fuzzer.

use rand_chacha::ChaCha8Rng;
use sansocket::rand_core::{Rng, SeedableRng};

/// Makes every choice of a run, so that the same source gives the same run.
///
/// Zero is always the simplest choice. After the last byte every choice is zero, so a run ends soon after its bytes.
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
    /// Derives the choices from a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(Box::new(ChaCha8Rng::seed_from_u64(seed))) }
    }
}

impl<'a> Choices<'a> {
    /// Takes the choices from these bytes, mostly one byte per choice.
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { source: Source::Bytes(bytes) }
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0.
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

    /// Returns a number from `low` to `high` inclusive.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Returns true with a probability of 1 in `of`.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == of - 1
    }

    /// Returns one of the elements.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Returns a number of 32 bits, such as a seed.
    pub fn number(&mut self) -> u64 {
        self.below(u32::MAX as usize) as u64
    }
}
