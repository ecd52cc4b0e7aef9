//! The methods with which an application drives a socket in its own `Poll`.

use std::time::Duration;

use mio::event;
use sansocket_drive::sansocket::{Event, Instant, WebSocket};

use super::turn::{self, Driven};
use super::{NextStep, Socket};
use crate::Error;
use crate::read_buffer::ReadBuffer;

impl Socket {
    /// Handles a mio event of this socket. Passes what happened to `on_event`, which may send, answer and close. A
    /// failure of the connection is reported once, as an error; [`Event::Close`] is the last event of a connection that
    /// was open.
    ///
    /// A message that lies whole in the buffer is borrowed from it; a longer message is assembled.
    pub fn ready(
        &mut self,
        event: &event::Event,
        buffer: &mut ReadBuffer,
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> NextStep {
        self.note(event);
        let mut standalone = Standalone { socket: self, on_event };
        turn::read(&mut standalone, buffer, now);
        turn::finish(&mut standalone, now)
    }

    /// Does the same as [`ready`](Self::ready) without a mio event, and handles a deadline that has come.
    pub fn drive(
        &mut self,
        buffer: &mut ReadBuffer,
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> NextStep {
        let mut standalone = Standalone { socket: self, on_event };
        if standalone.socket.is_due(now) {
            turn::handle_timeout(&mut standalone, Some(buffer), now);
        } else {
            turn::read(&mut standalone, buffer, now);
        }
        turn::finish(&mut standalone, now)
    }

    /// Handles a deadline. Call it when [`poll_timeout`](Self::poll_timeout) has come, after the events that mio
    /// reported at that time, because bytes that have arrived count. Calls at other times are harmless.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> NextStep {
        let mut standalone = Standalone { socket: self, on_event };
        if standalone.socket.is_due(now) {
            turn::handle_timeout(&mut standalone, None, now);
        }
        turn::finish(&mut standalone, now)
    }

    /// Returns how long mio's `poll` may wait if it serves only this socket.
    pub fn max_wait(&self, next: NextStep, now: Instant) -> Option<Duration> {
        match next {
            NextStep::Wait => self.poll_timeout().map(|deadline| deadline - now),
            NextStep::Again | NextStep::End => Some(Duration::ZERO),
        }
    }
}

/// A socket outside an event loop, with the closure that receives its events.
struct Standalone<'a, F> {
    socket: &'a mut Socket,
    on_event: F,
}

impl<F: FnMut(&mut WebSocket, Result<Event<'_>, Error>)> Driven for Standalone<'_, F> {
    fn socket(&mut self) -> &mut Socket {
        self.socket
    }

    fn dispatch(&mut self, event: Result<Event<'_>, Error>) {
        (self.on_event)(self.socket.websocket(), event);
    }

    /// Returns false: the closure cannot reach the socket.
    fn is_interrupted(&self) -> bool {
        false
    }
}
