//! A simulated TCP connection: two [pipes](crate::pipe), and the sockets at their ends, which can close, abort and be
//! reset.

use std::io::ErrorKind;

use crate::choices::Choices;
use crate::pipe::{Fault, Pipe};

/// The transport between two ends, `0` and `1`.
#[derive(Debug)]
pub(crate) struct Network {
    /// `pipes[i]` leads from end `i` to the other.
    pub(crate) pipes: [Pipe; 2],
    sockets: [Socket; 2],
    /// Whether the network itself has failed, or an end has aborted.
    pub(crate) is_disturbed: bool,
}

/// One end's socket.
#[derive(Debug)]
struct Socket {
    /// When this end learns that the connection was reset.
    reset_at: Option<u64>,
    /// Whether bytes that arrived before a reset can be read after it.
    keeps_unread: bool,
    is_closed: bool,
    /// The error of every write, once writing has failed.
    write_failure: Option<ErrorKind>,
}

/// The result of reading.
#[derive(Debug)]
pub(crate) enum Read {
    Bytes(Vec<u8>),
    End,
    Failed(ErrorKind),
    Nothing,
}

impl Network {
    pub(crate) fn new(choices: &mut Choices<'_>) -> Self {
        let can_fail = choices.once_in(2);
        let pipes = [Pipe::new(choices, can_fail), Pipe::new(choices, can_fail)];
        let sockets = [(); 2].map(|()| Socket {
            reset_at: None,
            keeps_unread: !choices.once_in(2),
            is_closed: false,
            write_failure: None,
        });
        Self { pipes, sockets, is_disturbed: false }
    }

    fn is_reset(&self, end: usize, now: u64) -> bool {
        self.sockets[end].reset_at.is_some_and(|at| at <= now)
    }

    /// Returns whether this end has closed or aborted its socket.
    pub(crate) fn is_closed(&self, end: usize) -> bool {
        self.sockets[end].is_closed
    }

    /// Returns whether both directions deliver without faults and long stalls.
    pub(crate) fn is_prompt(&self) -> bool {
        self.pipes.iter().all(Pipe::is_prompt)
    }

    /// Returns whether the operating system reports this end as writable: it can write, or writing fails.
    pub(crate) fn is_writable(&self, end: usize, now: u64) -> bool {
        self.is_reset(end, now) || self.sockets[end].write_failure.is_some() || self.pipes[end].is_writable()
    }

    /// Returns whether there are bytes, the end of the stream, or an error to read.
    pub(crate) fn is_readable(&self, end: usize, now: u64) -> bool {
        let incoming = &self.pipes[1 - end];
        incoming.arrived() > 0 || incoming.is_at_end(now) || self.is_reset(end, now)
    }

    /// Writes as many bytes as fit the send buffer, and returns how many. They may still be lost.
    pub(crate) fn write(
        &mut self,
        end: usize,
        bytes: &[u8],
        now: u64,
        choices: &mut Choices<'_>,
    ) -> Result<usize, ErrorKind> {
        if let Some(kind) = self.sockets[end].write_failure {
            return Err(kind);
        }
        if self.is_reset(end, now) {
            return Err(ErrorKind::BrokenPipe);
        }
        let (count, fault) = self.pipes[end].write(bytes, now, choices);
        self.is_disturbed |= fault.is_some();
        match fault {
            Some(Fault::Reset) => self.reset_both(end, now),
            Some(Fault::Write(kind)) => {
                if kind == ErrorKind::BrokenPipe {
                    self.pipes[end].drop_all();
                } else {
                    self.pipes[end].cut();
                }
                self.sockets[end].write_failure = Some(kind);
            }
            _ => {}
        }
        Ok(count)
    }

    pub(crate) fn read(&mut self, end: usize, max: usize, now: u64) -> Read {
        let is_reset = self.is_reset(end, now);
        let keeps_unread = self.sockets[end].keeps_unread;
        let incoming = &mut self.pipes[1 - end];
        if is_reset && !keeps_unread {
            incoming.drop_arrived();
        }
        match incoming.arrived().min(max) {
            0 if is_reset => Read::Failed(ErrorKind::ConnectionReset),
            0 if incoming.is_at_end(now) => Read::End,
            0 => Read::Nothing,
            count => Read::Bytes(incoming.read(count)),
        }
    }

    /// Closes the sending direction.
    pub(crate) fn shut(&mut self, end: usize, now: u64) {
        self.pipes[end].shut(now);
    }

    /// Closes the socket. The operating system continues to send accepted bytes; but if received bytes are unread, it
    /// resets the connection.
    pub(crate) fn close(&mut self, end: usize, now: u64) {
        if self.pipes[1 - end].arrived() > 0 {
            return self.abort(end, now);
        }
        self.sockets[end].is_closed = true;
        self.shut(end, now);
    }

    /// Resets the connection, and drops all unsent bytes.
    pub(crate) fn abort(&mut self, end: usize, now: u64) {
        self.is_disturbed = true;
        self.sockets[end].is_closed = true;
        self.pipes[end].cut();
        self.pipes[1 - end].cut();
        self.pipes[1 - end].drop_arrived();
        let at = now + self.pipes[end].latency;
        self.sockets[1 - end].reset_at.get_or_insert(at);
    }

    /// Moves bytes that are due to their readers. Bytes that arrive at a closed socket reset the connection.
    pub(crate) fn advance(&mut self, now: u64) {
        for end in 0..2 {
            let count = self.pipes[end].advance(now);
            if count > 0 && self.sockets[1 - end].is_closed {
                self.abort(1 - end, now);
            }
        }
    }

    /// Returns the time of the next arrival or reset.
    pub(crate) fn next_moment(&self, now: u64) -> Option<u64> {
        let resets = self.sockets.iter().filter_map(|socket| socket.reset_at).filter(|at| *at > now);
        self.pipes.iter().filter_map(|pipe| pipe.next_moment(now)).chain(resets).min()
    }

    fn reset_both(&mut self, end: usize, now: u64) {
        let latency = self.pipes[end].latency;
        self.sockets[end].reset_at.get_or_insert(now + latency);
        self.sockets[1 - end].reset_at.get_or_insert(now + 2 * latency);
        self.pipes.iter_mut().for_each(Pipe::cut);
    }
}
