//! Pausing: the application stops reading for a while.

use std::net::SocketAddr;

use bytes::BytesMut;
use sansocket_drive::sansocket::{Instant, ReadyState};

use super::Socket;
use crate::flags::Flags;

/// State that most sockets do not have.
#[derive(Default)]
pub(super) struct Rare {
    /// Addresses to try when this one cannot be reached.
    pub(super) untried: Vec<SocketAddr>,
    /// Bytes that were read before reading was paused, or before the socket was made, and not received.
    unreceived: BytesMut,
}

impl Socket {
    /// Pauses reading, until [`resume_reading`](Self::resume_reading) or until the connection ends. Bytes stay in the
    /// kernel, so that TCP slows down the peer.
    ///
    /// While reading is paused, no event of received bytes occurs: Pings are not answered, and the end of the stream is
    /// not seen. Writing, closing and deadlines go on, but keepalive does not end the connection: a peer that vanishes
    /// is noticed only when TCP gives up. Before the connection is open,
    /// [`Config::opening_timeout`](crate::Config::opening_timeout) applies nevertheless.
    ///
    /// The pause ends when the connection is closing or broken: then the closing handshake needs what the peer sends,
    /// and messages that came before its Close frame are delivered. To pause a connection in these states does nothing.
    pub fn pause_reading(&mut self) {
        if self.may_pause() {
            self.flags.insert(Flags::PAUSED);
        }
    }

    /// Resumes reading: [`drive`](Self::drive) reads what has arrived. The peer has the whole
    /// [`Config::pong_timeout`](crate::Config::pong_timeout), from now, to answer a keepalive Ping.
    pub fn resume_reading(&mut self, now: Instant) {
        if self.is_reading_paused() {
            self.excuse_silence(now);
        }
        self.flags.remove(Flags::PAUSED);
    }

    /// Whether reading is paused.
    pub fn is_reading_paused(&self) -> bool {
        self.flags.any(Flags::PAUSED) && self.may_pause()
    }

    fn may_pause(&self) -> bool {
        let is_alive = matches!(self.driver.websocket().ready_state(), ReadyState::Connecting | ReadyState::Open);
        is_alive && !self.flags.any(Flags::LOST) && !self.driver.has_write_ended()
    }

    /// Restarts the deadline for a Pong that lies unread.
    pub(super) fn excuse_silence(&mut self, now: Instant) {
        if self.driver.websocket().ready_state() == ReadyState::Open {
            self.driver.websocket_mut().progress(now);
        }
    }

    /// Keeps bytes that were read and not received.
    #[cold]
    pub(crate) fn keep_unreceived(&mut self, bytes: BytesMut) {
        self.flags.insert(Flags::UNRECEIVED);
        self.rare().unreceived = bytes;
    }

    /// Whether there are such bytes, and reading is neither paused nor held back.
    #[inline]
    pub(super) fn can_receive_kept(&self) -> bool {
        self.flags.any(Flags::UNRECEIVED) && self.receives_now()
    }

    /// Takes these bytes, unless reading is paused or held back.
    pub(crate) fn take_unreceived(&mut self) -> Option<BytesMut> {
        if !self.can_receive_kept() {
            return None;
        }
        self.flags.remove(Flags::UNRECEIVED);
        // an address that was reached leaves no others to try
        self.rare.take().map(|rare| rare.unreceived)
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}
