//! A TCP connection, simulated: two [pipes](crate::pipe), and what both ends are told when it is closed, aborted or
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
    /// Whether bytes that arrived before a reset can still be read after it.
    keeps_unread: bool,
    is_closed: bool,
    /// Why every write fails.
    write_failure: Option<ErrorKind>,
}

/// What reading has given.
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

    /// Whether this end has closed or dropped its socket.
    pub(crate) fn is_closed(&self, end: usize) -> bool {
        self.sockets[end].is_closed
    }

    /// Whether both directions carry what they are given, without long stalls.
    pub(crate) fn is_prompt(&self) -> bool {
        self.pipes.iter().all(Pipe::is_prompt)
    }

    /// Whether the operating system says that this end can write, or that writing fails.
    pub(crate) fn is_writable(&self, end: usize, now: u64) -> bool {
        self.is_reset(end, now) || self.sockets[end].write_failure.is_some() || self.pipes[end].is_writable()
    }

    /// Whether there is something to read: bytes, the end of the stream, or an error.
    pub(crate) fn is_readable(&self, end: usize, now: u64) -> bool {
        let incoming = &self.pipes[1 - end];
        incoming.arrived() > 0 || incoming.is_at_end(now) || self.is_reset(end, now)
    }

    /// Writes as much as there is room for. What is accepted may still be lost.
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
                    self.pipes[end].deafen();
                } else {
                    self.pipes[end].cut();
                }
                self.sockets[end].write_failure = Some(kind);
            }
            _ => {}
        }
        Ok(count)
    }

    pub(crate) fn read(&mut self, end: usize, most: usize, now: u64) -> Read {
        let is_reset = self.is_reset(end, now);
        let keeps_unread = self.sockets[end].keeps_unread;
        let incoming = &mut self.pipes[1 - end];
        if is_reset && !keeps_unread {
            incoming.drop_arrived();
        }
        match incoming.arrived().min(most) {
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

    /// Closes the socket. The operating system goes on sending what it has accepted, unless received bytes are unread:
    /// then it resets the connection.
    pub(crate) fn close(&mut self, end: usize, now: u64) {
        if self.pipes[1 - end].arrived() > 0 {
            return self.abort(end, now);
        }
        self.sockets[end].is_closed = true;
        self.shut(end, now);
    }

    /// Drops the socket and everything that it has not sent, and resets the connection.
    pub(crate) fn abort(&mut self, end: usize, now: u64) {
        self.is_disturbed = true;
        self.sockets[end].is_closed = true;
        self.pipes[end].cut();
        self.pipes[1 - end].cut();
        self.pipes[1 - end].drop_arrived();
        let at = now + self.pipes[end].latency;
        self.sockets[1 - end].reset_at.get_or_insert(at);
    }

    /// Lets arrive what is due. Bytes that arrive at a closed socket reset the connection.
    pub(crate) fn advance(&mut self, now: u64) {
        for end in 0..2 {
            let count = self.pipes[end].advance(now);
            if count > 0 && self.sockets[1 - end].is_closed {
                self.abort(1 - end, now);
            }
        }
    }

    /// When something next happens here by itself.
    pub(crate) fn next(&self, now: u64) -> Option<u64> {
        let resets = self.sockets.iter().filter_map(|socket| socket.reset_at).filter(|at| *at > now);
        self.pipes.iter().filter_map(|pipe| pipe.next(now)).chain(resets).min()
    }

    fn reset_both(&mut self, end: usize, now: u64) {
        let latency = self.pipes[end].latency;
        self.sockets[end].reset_at.get_or_insert(now + latency);
        self.sockets[1 - end].reset_at.get_or_insert(now + 2 * latency);
        self.pipes.iter_mut().for_each(Pipe::cut);
    }
}
