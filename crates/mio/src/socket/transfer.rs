//! Transfer: reads from TCP, writes to it and ends it, in bounded steps, and derives readiness from the results.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::Shutdown;

use mio::net::TcpStream;
use sansocket_drive::Outgoing;
use sansocket_drive::sansocket::bytes::Buf;
use sansocket_drive::sansocket::{Instant, TransportAction};

use super::flags::Flags;
use super::{NextStep, Socket};
use sansocket_connect::Security;

/// Pieces of output handed to one `writev`.
const SLICES: usize = 64;
/// Writes in one turn, so that a peer that reads without end does not starve others.
const WRITES: usize = 16;
/// Events in one read above which a peer floods. The core consumes a read whole, so only shorter reads bound the events
/// of a turn: a buffer of 64 KiB holds 10,922 empty Pings.
const FLOOD_EVENTS: usize = 256;
/// The least length of `FLOOD_EVENTS` frames: a masked frame has at least six bytes. Events of a shorter read are not
/// counted.
pub(super) const FLOOD_BYTES: usize = 6 * FLOOD_EVENTS;
/// Bytes that a turn reads from a peer that floods: at most 682 empty Pings.
pub(super) const FLOOD_READ: usize = 4096;
/// Events in one read at or below which a peer that flooded no longer does.
const CALM_EVENTS: usize = 64;
/// Whether a read or write that moved fewer bytes than offered means that the next one would block, as epoll(7) and
/// kqueue(2) specify. Elsewhere mio requires `WouldBlock` itself. (TCP's urgent data, which no WebSocket sends, also
/// ends a read early: bytes behind it are then read when more arrive.)
const SHORT_MEANS_BLOCKED: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

/// The result of a read.
pub(super) enum ReadOutcome {
    Bytes(usize),
    Nothing,
    /// The stream has ended or failed, which was reported to the driver.
    End,
}

impl Socket {
    /// Returns whether [`prepare`](Self::prepare) has anything to do, or kept bytes must be received before new ones
    /// are read.
    #[inline]
    pub(super) fn needs_preparation(&self) -> bool {
        self.flags.intersects(Flags::CONNECTING | Flags::UNRECEIVED) || self.can_flush()
    }

    /// Does what comes before reading: goes on with connecting, and writes pending output, because a server whose pending
    /// output falls may read again.
    pub(super) fn prepare(&mut self, now: Instant) {
        if self.is_connecting() && self.driver.websocket().transport() == TransportAction::Open {
            self.advance_dial(now);
        }
        if self.can_flush() {
            self.flush(now);
        }
    }

    /// Allows the next read although mio has reported nothing to read, or reading is held back: bytes that have arrived
    /// count before a deadline takes effect.
    pub(super) fn retry_read(&mut self) {
        self.flags.insert(Flags::MAY_READ);
        self.flags.remove(Flags::HELD_BACK);
    }

    /// Writes although mio has reported no room: it does so only once a large share of the send buffer is free.
    pub(super) fn retry_write(&mut self, now: Instant) {
        self.flags.remove(Flags::WRITE_BLOCKED);
        self.flush(now);
    }

    /// Reports a deadline that has come.
    pub(super) fn timeout(&mut self, now: Instant) {
        if self.is_reading_paused() {
            self.restart_pong_timeout(now);
        }
        match &self.stream {
            Some(stream) => self.driver.timeout(sansocket_acked::outstanding(stream), now),
            None => self.advance_dial(now),
        }
    }

    #[inline]
    fn reads_now(&self) -> bool {
        const READINESS: Flags = Flags::MAY_READ.union(Flags::CONNECTING);
        if self.flags.intersection(READINESS) != Flags::MAY_READ || self.driver.has_read_ended() {
            return false;
        }
        self.receives_now()
    }

    /// Returns whether another read may return bytes, or the connection is broken.
    #[inline]
    pub(super) fn may_read_more(&self) -> bool {
        self.flags.intersects(Flags::MAY_READ | Flags::LOST)
    }

    /// Returns whether the connection is broken and nothing more will be read.
    pub(super) fn is_lost(&self) -> bool {
        self.flags.intersects(Flags::LOST) && !self.reads_now()
    }

    /// Reports that the connection is broken, although no read has failed.
    pub(super) fn report_lost(&mut self, now: Instant) {
        self.flags.remove(Flags::LOST);
        self.driver.read_lost(ErrorKind::ConnectionReset.into(), now);
    }

    /// Returns whether the peer floods, so that reads are short.
    #[inline]
    pub(super) fn is_flooded(&self) -> bool {
        self.flags.intersects(Flags::FLOODS)
    }

    /// Notes how many events a read yielded while the peer did not flood. Returns whether the peer floods now.
    #[inline]
    pub(super) fn detect_flood(&mut self, events: usize) -> bool {
        events > FLOOD_EVENTS && self.flags.insert(Flags::FLOODS)
    }

    /// Notes how many events a read yielded while the peer flooded. Few of them end the flood.
    pub(super) fn detect_calm(&mut self, events: usize) {
        if events <= CALM_EVENTS {
            self.flags.remove(Flags::FLOODS);
        }
    }

    /// Returns whether a read is all that the socket needs: there are bytes to read, and nothing precedes or limits the
    /// read. If not, the socket may need other work, or none.
    #[inline(always)]
    pub(super) fn only_reads(&self) -> bool {
        const STATE: Flags = Flags::MAY_READ
            .union(Flags::CONNECTING)
            .union(Flags::UNRECEIVED)
            .union(Flags::OUTPUT_PENDING)
            .union(Flags::FLOODS)
            .union(Flags::STOPS_READING);
        self.flags.intersection(STATE) == Flags::MAY_READ
            && !self.driver.has_read_ended()
            && self.driver.websocket().wants_read()
    }

    /// Reads once. Reads nothing if no bytes are expected, or reading is paused or held back.
    pub(super) fn read(&mut self, buffer: &mut [u8], now: Instant) -> ReadOutcome {
        if self.reads_now() { self.read_now(buffer, now) } else { ReadOutcome::Nothing }
    }

    /// Reads once.
    #[inline(always)]
    pub(super) fn read_now(&mut self, buffer: &mut [u8], now: Instant) -> ReadOutcome {
        let Some(stream) = &mut self.stream else { return ReadOutcome::Nothing };
        loop {
            match stream.read(buffer) {
                Ok(count) if count > 0 => {
                    if count < buffer.len() && SHORT_MEANS_BLOCKED && !self.flags.intersects(Flags::HUNG_UP) {
                        self.flags.remove(Flags::MAY_READ);
                    }
                    return ReadOutcome::Bytes(count);
                }
                Ok(_) => {
                    self.driver.eof();
                    return ReadOutcome::End;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flags.remove(Flags::MAY_READ | Flags::HUNG_UP);
                    return ReadOutcome::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.driver.read_lost(error, now);
                    return ReadOutcome::End;
                }
            }
        }
    }

    /// Returns whether the last flush left output pending, and the kernel may take more of it.
    #[inline]
    fn can_flush(&self) -> bool {
        self.flags.intersection(Flags::OUTPUT_PENDING | Flags::BLOCKS_WRITING) == Flags::OUTPUT_PENDING
    }

    /// Writes pending output until the kernel takes no more.
    #[inline(always)]
    pub(crate) fn flush(&mut self, now: Instant) {
        let mut outgoing = self.driver.to_write();
        let mut writes = WRITES;
        while outgoing.has_remaining() {
            if self.flags.intersects(Flags::BLOCKS_WRITING) || writes == 0 {
                self.flags.insert(Flags::OUTPUT_PENDING);
                return;
            }
            writes -= 1;
            let Some(stream) = &mut self.stream else { return };
            match write(stream, &mut outgoing) {
                Ok(false) => {}
                Ok(true) => _ = self.flags.insert(Flags::WRITE_BLOCKED),
                Err(error) if error.kind() == ErrorKind::WouldBlock => _ = self.flags.insert(Flags::WRITE_BLOCKED),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // keep reading: the peer's last bytes may still be in the receive buffer
                    self.flags.insert(Flags::MAY_READ);
                    self.driver.write_lost(error, now);
                    break;
                }
            }
        }
        self.flags.remove(Flags::OUTPUT_PENDING);
    }

    pub(super) fn shutdown_write(&mut self) {
        // if the stream is lost, reading reports it
        let _ = self.stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write));
        self.driver.write_shut_down();
    }

    /// Notes that the connection is over, and all output was delivered.
    pub(super) fn close(&mut self) {
        self.flags.insert(Flags::CLOSED);
    }

    /// Returns what the owner must do after a turn: [`NextStep::Again`] if the socket can read, receive or write at
    /// once.
    pub(super) fn next_step(&self) -> NextStep {
        if self.can_flush() || self.reads_now() || self.can_receive_kept() { NextStep::Again } else { NextStep::Wait }
    }
}

/// Writes once. Returns whether the kernel takes no more for now.
#[inline(always)]
fn write(stream: &mut TcpStream, output: &mut Outgoing<'_, Security>) -> io::Result<bool> {
    let chunk = output.chunk();
    let (offered, taken) = if chunk.len() == output.remaining() {
        (chunk.len(), stream.write(chunk)?)
    } else {
        write_vectored(stream, output)?
    };
    output.advance(taken);
    Ok(taken < offered && SHORT_MEANS_BLOCKED)
}

/// Writes several pieces with one call. Returns how many bytes were offered and taken.
#[inline(never)]
fn write_vectored(stream: &mut TcpStream, output: &Outgoing<'_, Security>) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = output.chunks_vectored(&mut slices);
    let slices = &slices[..count];
    Ok((slices.iter().map(|slice| slice.len()).sum(), stream.write_vectored(slices)?))
}
