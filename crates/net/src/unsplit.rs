//! A connection that one thread owns.

use std::io;
use std::time::Duration;

use sansocket::{Config, WebSocket};

use crate::engine::Engine;
use crate::gate::Permit;
use crate::send_side::SendSide;
use crate::stream::{AbortOnDrop, Ending, Stream, Timeout};
use crate::turn::{Link, WriteLink, Written};
use sansocket_connect::Security;

/// The longest time to block without a deadline. Nothing but a deadline can happen while the thread blocks.
const MAX_BLOCK: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Unsplit<S: Stream> {
    pub(crate) engine: Engine,
    pub(crate) stream: AbortOnDrop<S>,
    pub(crate) send_side: SendSide,
    read_timeout: Timeout,
    /// Returned after the stream has ended.
    pub(crate) permit: Option<Permit>,
}

impl<S: Stream> Unsplit<S> {
    /// Starts a connection without a permit; its opening handshake follows.
    pub(crate) fn new(ws: WebSocket, security: Security, config: &Config, stream: S) -> Self {
        Self {
            engine: Engine::new(ws, security, config),
            stream: AbortOnDrop::new(stream),
            send_side: SendSide::new(),
            read_timeout: Timeout::default(),
            permit: None,
        }
    }
}

impl<S: Stream> WriteLink for Unsplit<S> {
    fn with_engine<R>(&mut self, work: impl FnOnce(&mut Engine) -> R) -> R {
        work(&mut self.engine)
    }

    fn write_some(&mut self, wait: Duration) -> io::Result<Written> {
        self.send_side.stage(&mut self.engine);
        let count = self.send_side.write_some(&mut *self.stream, wait)?;
        self.engine.written(count);
        Ok(Written::Some)
    }

    fn shutdown_write(&mut self) -> bool {
        let result = self.stream.shutdown_write();
        self.engine.write_shut_down(&result);
        true
    }

    fn end(&mut self, ending: Ending) {
        self.stream.end(ending);
        self.engine.end();
    }

    fn outstanding(&mut self) -> Option<usize> {
        self.stream.outstanding()
    }

    fn max_block(&self) -> Duration {
        MAX_BLOCK
    }
}

impl<S: Stream> Link for Unsplit<S> {
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.read_timeout.set(wait, |timeout| self.stream.set_read_timeout(timeout))?;
        self.stream.read(buffer)
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_timeout.forget();
        self.stream.try_read(buffer)
    }
}
