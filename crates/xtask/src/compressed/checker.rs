//! Inflates echoes, and compares them with the messages.

use std::fmt;

use anyhow::{Result, ensure};
use zlib_rs::{Inflate, InflateFlush, Status};

use super::messages::TAIL;
use crate::echo::Takeover;

/// Checks all echoes of the first connection, and the first echo of every other connection.
#[derive(Debug)]
pub(super) struct Checkers {
    takeover: Takeover,
    first: Inflater,
    /// An inflater for messages that refer to none before.
    others: Inflater,
}

impl Checkers {
    pub(super) fn new(takeover: Takeover) -> Self {
        Self { takeover, first: Inflater::new(), others: Inflater::new() }
    }

    /// Compares the payload of a frame with the message.
    ///
    /// # Errors
    ///
    /// If they differ, or the payload does not continue a DEFLATE stream.
    pub(super) fn check(&mut self, payload: Vec<u8>, expected: &[u8], is_first: bool) -> Result<()> {
        let inflater = if is_first { &mut self.first } else { &mut self.others };
        match self.takeover {
            Takeover::Plain => return compare(&payload, expected),
            Takeover::On if is_first => {}
            Takeover::On | Takeover::Off => inflater.inflate.reset(false),
        }
        compare(inflater.inflate(payload, expected.len())?, expected)
    }
}

fn compare(echo: &[u8], expected: &[u8]) -> Result<()> {
    let (length, is_same) = (echo.len(), echo == expected);
    ensure!(is_same, "it differs from the message of {} bytes: it has {length} bytes", expected.len());
    Ok(())
}

struct Inflater {
    inflate: Inflate,
    output: Vec<u8>,
}

impl Inflater {
    fn new() -> Self {
        Self { inflate: Inflate::new(false, 15), output: Vec::new() }
    }

    /// Inflates a payload to one byte more than expected, at most: then it is too long.
    fn inflate(&mut self, mut payload: Vec<u8>, expected: usize) -> Result<&[u8]> {
        payload.extend(TAIL);
        self.output.resize(expected + 1, 0);
        let inflate = &mut self.inflate;
        let (consumed, produced) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(&payload, &mut self.output, InflateFlush::SyncFlush);
        let (consumed, produced) = (inflate.total_in() - consumed, (inflate.total_out() - produced) as usize);
        ensure!(
            matches!(status, Ok(Status::Ok)) && consumed == payload.len() as u64,
            "it does not continue a DEFLATE stream: {status:?} after {consumed} of {} bytes, {produced} inflated",
            payload.len()
        );
        Ok(&self.output[..produced])
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}
