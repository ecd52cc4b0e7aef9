//! Reading from the socket and writing to it: how much at a time, and what that says about readiness.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};

use mio::net::TcpStream;
use sansocket_drive::sansocket::Instant;
use sansocket_drive::sansocket::bytes::Buf;
use sansocket_drive::{Outgoing, Plain};

use super::Socket;
use crate::flags::Flags;

/// Pieces of output handed to one `writev`.
const SLICES: usize = 64;
/// Writes in one turn: a peer that takes without end lets others have theirs.
const WRITES: usize = 16;
/// Events in one read above which a peer floods. The core consumes a read whole, so only shorter reads bound the events
/// of a turn: a buffer of 64 KiB holds 10,922 empty Pings.
const FLOOD_EVENTS: usize = 256;
/// Bytes that so many events take at least: a masked frame takes six. A shorter read is not counted.
pub(crate) const FLOOD_BYTES: usize = 6 * FLOOD_EVENTS;
/// Bytes that a turn reads from a peer that floods: at most 682 empty Pings.
pub(crate) const FLOOD_READ: usize = 4096;
/// Events in one read at or below which a peer that flooded no longer does.
const CALM_EVENTS: usize = 64;
/// Whether a read or write that did less than it could have has met the end of what there is: so say epoll(7) and
/// kqueue(2). Elsewhere mio wants to see `WouldBlock`. (TCP's urgent data, which no WebSocket sends, ends a read as well: who
/// sends it is read on when more comes.)
const SHORT_IS_ALL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

/// What a read gave.
pub(crate) enum Read {
    Bytes(usize),
    Nothing,
    /// The stream has ended, or is lost: the driver knows.
    Ended,
}

impl Socket {
    /// Reads at the next occasion whether or not mio has told of anything to read, or the owner wants it read: what has
    /// arrived counts before a deadline takes effect.
    pub(crate) fn retry_read(&mut self) {
        self.flags.insert(Flags::MAY_READ);
        self.flags.remove(Flags::HELD);
    }

    /// Writes whether or not mio has told of room: it does so only once a large share of the send buffer is free.
    pub(crate) fn retry_write(&mut self, now: Instant) {
        self.flags.remove(Flags::WRITE_BLOCKED);
        self.flush(now);
    }

    #[inline]
    pub(super) fn reads_now(&self) -> bool {
        const MATTER: Flags = Flags::MAY_READ.and(Flags::CONNECTING);
        if self.flags.among(MATTER) != Flags::MAY_READ || self.driver.has_read_ended() {
            return false;
        }
        self.receives_now()
    }

    /// Whether bytes may be received, wherever they are.
    #[inline]
    pub(super) fn receives_now(&self) -> bool {
        const MATTER: Flags = Flags::HELD.and(Flags::PAUSED);
        self.driver.websocket().wants_read() && (!self.flags.any(MATTER) || self.receives_held_back())
    }

    /// Whether bytes are received although reading was held back or paused. What a broken connection still holds is
    /// received in any case.
    fn receives_held_back(&self) -> bool {
        self.driver.has_write_ended() || !(self.flags.any(Flags::HELD) || self.is_reading_paused())
    }

    /// Whether reads are short, because the peer floods.
    #[inline]
    pub(crate) fn is_flooded(&self) -> bool {
        self.flags.any(Flags::FLOODS)
    }

    /// Notes that a read of a peer that did not flood gave this many events. Returns whether it floods now.
    #[inline]
    pub(crate) fn begins_flood(&mut self, events: usize) -> bool {
        events > FLOOD_EVENTS && self.flags.insert(Flags::FLOODS)
    }

    /// Notes that a read of a peer that floods gave this many events.
    pub(crate) fn go_on_flooded(&mut self, events: usize) {
        if events <= CALM_EVENTS {
            self.flags.remove(Flags::FLOODS);
        }
    }

    #[inline(always)]
    pub(crate) fn read(&mut self, buffer: &mut [u8], now: Instant) -> Read {
        if !self.reads_now() || buffer.is_empty() {
            return Read::Nothing;
        }
        loop {
            match self.stream.read(buffer) {
                Ok(count) if count > 0 => {
                    if count < buffer.len() && SHORT_IS_ALL && !self.flags.any(Flags::HUNG_UP) {
                        self.flags.remove(Flags::MAY_READ);
                    }
                    return Read::Bytes(count);
                }
                Ok(_) => {
                    self.driver.eof();
                    return Read::Ended;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flags.remove(Flags::MAY_READ | Flags::HUNG_UP);
                    return Read::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.driver.read_lost(error, now);
                    return Read::Ended;
                }
            }
        }
    }

    /// Whether the last flush left something: only then is there a reason to write before anything else happens.
    #[inline]
    pub(crate) fn has_leftover(&self) -> bool {
        self.flags.among(Flags::LEFTOVER | Flags::NO_WRITING) == Flags::LEFTOVER
    }

    /// Writes what is pending, as far as the kernel takes it.
    #[inline(always)]
    pub(crate) fn flush(&mut self, now: Instant) {
        let mut outgoing = self.driver.to_write();
        let mut writes = WRITES;
        while outgoing.has_remaining() {
            self.flags.insert(Flags::LEFTOVER);
            if self.flags.any(Flags::NO_WRITING) || writes == 0 {
                return;
            }
            writes -= 1;
            match write(&mut self.stream, &mut outgoing) {
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
        self.flags.remove(Flags::LEFTOVER);
    }
}

/// Writes once; returns whether the kernel takes no more for now.
#[inline(always)]
fn write(stream: &mut TcpStream, output: &mut Outgoing<'_, Plain>) -> io::Result<bool> {
    let chunk = output.chunk();
    let (offered, taken) = if chunk.len() == output.remaining() {
        (chunk.len(), stream.write(chunk)?)
    } else {
        write_vectored(stream, output)?
    };
    output.advance(taken);
    Ok(taken < offered && SHORT_IS_ALL)
}

/// Writes many pieces at once; returns how many bytes were offered and taken.
#[inline(never)]
fn write_vectored(stream: &mut TcpStream, output: &Outgoing<'_, Plain>) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = output.chunks_vectored(&mut slices);
    let slices = &slices[..count];
    Ok((slices.iter().map(|slice| slice.len()).sum(), stream.write_vectored(slices)?))
}
