//! The sending direction of a connection: bytes between the driver and the stream.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::time::Duration;

use bytes::buf::Chain;
use bytes::{Buf, Bytes};

use crate::engine::Engine;
use crate::stream::{Stream, Timeout};

/// The most bytes taken from the driver for one write. Control frames queue behind them.
const MAX_STAGED: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct SendSide {
    /// Bytes taken from the driver and not written; never copied. Two pieces: a large payload is separate from its
    /// header.
    staged: Chain<Bytes, Bytes>,
    /// The number of bytes that the stream has taken since the last successful flush.
    unflushed: usize,
    timeout: Timeout,
}

impl SendSide {
    pub(crate) fn new() -> Self {
        Self { staged: Bytes::new().chain(Bytes::new()), unflushed: 0, timeout: Timeout::default() }
    }

    /// Makes the next write set the timeout again: it uses another handle.
    pub(crate) fn forget_timeout(&mut self) {
        self.timeout.forget();
    }

    /// Takes output from the driver, unless earlier bytes are still pending.
    pub(crate) fn stage(&mut self, engine: &mut Engine) {
        if !self.staged.has_remaining() && self.unflushed == 0 {
            let first = engine.take_bytes(MAX_STAGED);
            let second = engine.take_bytes(MAX_STAGED - first.len());
            self.staged = first.chain(second);
        }
    }

    /// Writes and flushes some of the staged bytes. Returns how many were flushed.
    pub(crate) fn write_some(&mut self, stream: &mut impl Stream, wait: Duration) -> io::Result<usize> {
        self.timeout.set(wait, |timeout| stream.set_write_timeout(timeout))?;
        if self.staged.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = self.staged.chunks_vectored(&mut slices);
            let taken = stream.write_vectored(&slices[..count])?;
            if taken == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.staged.advance(taken);
            self.unflushed += taken;
        }
        stream.flush()?;
        Ok(mem::take(&mut self.unflushed))
    }
}
