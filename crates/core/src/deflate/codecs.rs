//! The codecs of a scratch, which its connections share.

use alloc::vec;
use alloc::vec::Vec;

use super::deflater::{Deflater, Settings};
use super::inflater::Inflater;
use super::token::{Token, Tokens};

/// The most compressors to keep: connections have different settings if peers demand smaller windows.
const DEFLATERS_MAX: usize = 4;
/// The most inflaters to keep that no message uses.
const INFLATERS_MAX: usize = 4;

/// The number of bytes that an inflater produces at a time.
const STEP: usize = 8 * 1024;

/// The codecs of a scratch, or of a connection without one. They are created when they are first needed.
pub(crate) struct Codecs {
    /// Creates the tokens of all codecs.
    tokens: Tokens,
    /// The inflaters that no message uses, the latest last.
    inflaters: Vec<Inflater>,
    /// One compressor for each of the settings in use, the latest last.
    deflaters: Vec<Deflater>,
    /// Receives the output of a compressor.
    pub(super) compressed: Vec<u8>,
    /// Receives the output of an inflater. Empty before the first step.
    step: Vec<u8>,
}

impl Codecs {
    pub(crate) const fn new() -> Self {
        Self {
            tokens: Tokens::new(),
            deflaters: Vec::new(),
            compressed: Vec::new(),
            inflaters: Vec::new(),
            step: Vec::new(),
        }
    }

    /// Takes the inflater with this token, or else any one.
    pub(crate) fn take_inflater(&mut self, token: Option<Token>) -> Inflater {
        let primed = token.and_then(|token| self.inflaters.iter().position(|inflater| inflater.token == Some(token)));
        match primed {
            Some(index) => self.inflaters.remove(index),
            None => self.inflaters.pop().unwrap_or_else(Inflater::new),
        }
    }

    /// Keeps an inflater that no message uses any more.
    pub(crate) fn keep_inflater(&mut self, inflater: Inflater) {
        if self.inflaters.len() < INFLATERS_MAX {
            self.inflaters.push(inflater);
        }
    }

    /// Takes the compressor with these settings.
    pub(super) fn take_deflater(&mut self, settings: Settings) -> Deflater {
        match self.deflaters.iter().position(|deflater| deflater.has(settings)) {
            Some(index) => self.deflaters.remove(index),
            None => Deflater::new(settings),
        }
    }

    /// Keeps a compressor, in place of the one that was used least recently if there are too many.
    pub(super) fn keep_deflater(&mut self, deflater: Deflater) {
        if self.deflaters.len() == DEFLATERS_MAX {
            self.deflaters.remove(0);
        }
        self.deflaters.push(deflater);
    }

    /// Returns the buffer for a step of an inflater.
    pub(crate) fn step_buffer(&mut self) -> &mut [u8] {
        if self.step.is_empty() {
            self.step = vec![0; STEP];
        }
        &mut self.step
    }

    /// Returns a new token.
    pub(crate) fn next_token(&mut self) -> Token {
        self.tokens.next()
    }
}
