//! One thread, one stream: bytes go between the core and the stream, deadlines are kept, TCP is ended as the core says.

use std::io::{self, ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use sansocket::TransportAction;
use sansocket::bytes::Buf;

use crate::Error;
use crate::buffers::Link;
use crate::engine::Engine;
use crate::stream::{Stream, Timeout, is_end, is_timeout};

/// Pieces of output handed to one `write_vectored`.
const SLICES: usize = 32;
/// How long the last output may take when TCP has ended and no deadline is left.
pub(crate) const LAST_WRITE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Direct<S> {
    pub(crate) engine: Engine,
    pub(crate) stream: S,
    read_timeout: Timeout,
    write_timeout: Timeout,
    /// The stream has taken bytes that it may not have passed on.
    pub(crate) is_unflushed: bool,
    /// The sending direction is gone, or was ended: nothing more is written.
    pub(crate) is_write_ended: bool,
    is_closed: bool,
}

impl<S: Stream> Direct<S> {
    pub(crate) fn new(engine: Engine, stream: S) -> Self {
        Self {
            engine,
            stream,
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            is_unflushed: false,
            is_write_ended: false,
            is_closed: false,
        }
    }

    /// Writes all output, unless a deadline says otherwise, and does to TCP what the core asks for.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let result = self.write_output();
        self.obey();
        result
    }

    fn write_output(&mut self) -> Result<(), Error> {
        let mut progress = Instant::now();
        while self.engine.has_output() || self.is_unflushed {
            if self.is_write_ended {
                return Err(io::Error::from(ErrorKind::BrokenPipe).into());
            }
            match self.write_some(progress.elapsed()) {
                Ok(()) => {
                    progress = Instant::now();
                    // a peer that takes a little at a time has no more of it than the closing handshake
                    if self.engine.has_ended() {
                        self.engine.tick();
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && !self.engine.has_ended() => {
                    self.engine.tick_stalled(progress.elapsed());
                    if self.engine.transport() == TransportAction::Close {
                        return Err(self.engine.reason_not_sent());
                    }
                }
                Err(error) => {
                    self.is_write_ended = true;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn write_some(&mut self, stalled: Duration) -> io::Result<()> {
        let patience = if self.engine.has_ended() { Some(LAST_WRITE) } else { self.engine.write_patience(stalled) };
        self.write_timeout.set(patience, |timeout| self.stream.set_write_timeout(timeout))?;
        let mut slices = [IoSlice::new(&[]); SLICES];
        let output = self.engine.core.output();
        let count = output.chunks_vectored(&mut slices);
        if count == 0 {
            self.stream.flush()?;
            self.is_unflushed = false;
            return Ok(());
        }
        match self.stream.write_vectored(&slices[..count])? {
            0 => Err(ErrorKind::WriteZero.into()),
            taken => {
                self.is_unflushed = true;
                self.engine.core.output().advance(taken);
                Ok(())
            }
        }
    }

    fn obey(&mut self) {
        match self.engine.transport() {
            TransportAction::Open => {}
            TransportAction::ShutdownWrite => {
                if !self.is_write_ended {
                    self.is_write_ended = true;
                    let _ = self.stream.shutdown_write();
                }
            }
            TransportAction::Close | TransportAction::Abort => self.close(),
        }
    }

    fn close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            self.is_write_ended = true;
            let _ = self.stream.shutdown_both();
            self.engine.end();
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let patience = self.engine.patience();
        self.read_timeout.set(patience, |timeout| self.stream.set_read_timeout(timeout))?;
        self.stream.read(buffer)
    }
}

impl<S: Stream> Link for Direct<S> {
    fn with_engine<R>(&mut self, ask: impl FnOnce(&mut Engine) -> R) -> R {
        ask(&mut self.engine)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        // a stream that takes nothing more may still hold what the peer said last: reading tells
        match self.flush() {
            Err(Error::Io(error)) if !is_end(&error) => self.engine.lose(error),
            _ => {}
        }
        if self.engine.has_ended() {
            self.close();
            return 0;
        }
        if !self.engine.may_read() {
            self.engine.tick();
            return 0;
        }
        match self.read(buffer) {
            Ok(0) => self.engine.end(),
            Ok(count) => return count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => self.engine.tick(),
            Err(error) => self.engine.lose(error),
        }
        if self.engine.has_ended() {
            let _ = self.flush();
            self.close();
        }
        0
    }
}
