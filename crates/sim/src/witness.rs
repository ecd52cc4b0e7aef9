//! What an endpoint is told, and all that can be seen of it, held against the model.

use sansocket::bytes::Buf;
use sansocket::{Event, ReadyState, Role, TimeoutKind, TransportAction};
use sansocket_drive::Error;

use crate::endpoint::{Context, Endpoint};
use crate::model::{Ending, Phase};
use crate::reading::{Failure, ReadEvent, Whole};
use crate::trace::Short;

impl Endpoint {
    /// Something was told: it must be what came.
    pub(crate) fn see(&mut self, event: Event<'_>, cx: &mut Context<'_, '_>) {
        assert_eq!(self.closed, None, "Close was not the last event: {event:?}");
        if !matches!(event, Event::Request(_) | Event::HttpRequest(_) | Event::Open(_) | Event::Close(_)) {
            assert!(self.is_told_open, "an event before Open: {event:?}");
        }
        match event {
            Event::Request(_) => {
                cx.trace.line(self.name, format_args!("is asked"));
                assert_eq!((&self.model.phase, self.model.role), (&Phase::Connecting, Role::Server));
                self.application.be_asked(cx);
            }
            Event::HttpRequest(_) => {
                cx.trace.line(self.name, format_args!("is asked for no WebSocket"));
                assert_eq!((&self.model.phase, self.model.role), (&Phase::Connecting, Role::Server));
                self.be_asked_plainly(cx);
            }
            Event::Open(_) => {
                cx.trace.line(self.name, format_args!("is open"));
                assert!(!self.is_told_open, "Open came twice");
                self.is_told_open = true;
                if self.model.role == Role::Client {
                    self.model.open();
                }
                self.application.begin(cx);
            }
            Event::Message(message) => {
                cx.trace.line(self.name, format_args!("gets {:?} {}", message.kind(), Short(message.as_bytes())));
                let whole = Whole { kind: message.kind(), payload: message.as_bytes().to_vec() };
                self.ws().recycle(message);
                assert!(
                    self.model.reading.next() == Some(ReadEvent::Message(whole.clone())),
                    "not the message that came"
                );
                self.received.push(whole);
            }
            Event::Chunk(chunk) => {
                cx.trace.line(self.name, format_args!("gets a chunk {}, {}", Short(&chunk.payload), chunk.last));
                self.see_chunk(Whole { kind: chunk.kind, payload: chunk.payload.into_owned() }, chunk.last);
            }
            Event::Ping(payload) => {
                cx.trace.line(self.name, format_args!("gets a Ping {}", Short(&payload)));
                assert_eq!(self.model.reading.next(), Some(ReadEvent::Ping(payload.to_vec())));
                self.model.writing.answer(&payload, self.model.config.max_pending_controls);
            }
            Event::Pong(payload) => {
                cx.trace.line(self.name, format_args!("gets a Pong {}", Short(&payload)));
                assert_eq!(self.model.reading.next(), Some(ReadEvent::Pong(payload.to_vec())));
            }
            Event::CloseReceived(frame) => {
                cx.trace.line(self.name, format_args!("gets {frame:?}"));
                let (code, reason) = (frame.code.as_u16(), frame.reason.to_string());
                assert_eq!(self.model.reading.next(), Some(ReadEvent::Close(code, reason.clone())));
                self.model.receive_close(code, reason);
            }
            Event::Close(close) => {
                cx.trace.line(self.name, format_args!("is closed: {close:?}"));
                self.take_note_of_silent_failure(cx.now);
                self.model.check_unread();
                self.take_note_of_eof();
                if self.model.ending() != Ending::Over {
                    self.goals.check_given_up(self.acked, cx.now);
                }
                self.model.check_close(&close);
                self.closed = Some((close.code.as_u16(), close.was_clean));
            }
            event => panic!("an event that the simulation does not know: {event:?}"),
        }
    }

    /// Where chunks begin and end says nothing: put together they are what came, and nothing of that is kept back.
    fn see_chunk(&mut self, chunk: Whole, last: bool) {
        let (mut whole, mut ends) = self.expected.take().unwrap_or((Whole { payload: Vec::new(), ..chunk }, false));
        while whole.payload.len() < chunk.payload.len() || (last && !ends) {
            let Some(ReadEvent::Piece(piece, is_last)) = self.model.reading.next() else {
                panic!("a chunk that did not come")
            };
            assert_eq!(piece.kind, chunk.kind, "the kind of a chunk");
            whole.payload.extend(piece.payload);
            ends = is_last;
        }
        assert!(whole.payload.starts_with(&chunk.payload), "not the chunk that came");
        whole.payload.drain(..chunk.payload.len());
        assert!(!last || whole.payload.is_empty(), "a message ended before its end");
        if !last && (ends || !whole.payload.is_empty()) {
            self.expected = Some((whole, ends));
        }
        let message = self.pieces.get_or_insert(Whole { payload: Vec::new(), ..chunk });
        message.payload.extend(chunk.payload);
        if last {
            self.received.extend(self.pieces.take());
        }
    }

    /// There are no more events: everything that came was told.
    pub(crate) fn see_no_more(&mut self, cx: &mut Context<'_, '_>) {
        self.take_note_of_silent_failure(cx.now);
        assert_eq!(self.expected, None, "a chunk was kept back");
        if self.model.is_listening() && self.is_told_open {
            assert_eq!(self.model.reading.next(), None, "this was not told");
        } else if self.model.phase == Phase::Opened && self.is_told_open {
            self.model.reading.discard();
        }
        assert!(self.io_failure.is_none() || self.has_reported_failure, "a failure was not reported");
        self.io_failure = None;
        self.take_note_of_eof();
        if std::mem::take(&mut self.is_timed_out) && self.model.is_open() {
            let ping = if self.model.role == Role::Client { 6 } else { 2 };
            if self.waiting() == self.model.writing.len() + ping {
                self.goals.check_ping(cx.now);
                self.model.writing.keep_alive();
            }
        }
    }

    /// Only the first failure is reported. A later one shows in what the connection does.
    fn take_note_of_silent_failure(&mut self, now: u64) {
        if !self.has_reported_failure {
            return;
        }
        if self.model.phase == Phase::Connecting && self.ws().ready_state() != ReadyState::Connecting {
            if !self.engine.has_read_ended() && !self.model.write_lost {
                self.goals.check_opening_timeout(now);
            }
            let response = self.waiting();
            self.model.refuse(None, response);
        } else if self.model.is_listening() && self.is_told_open {
            let said = self.model.reading.next();
            let is_piece = matches!(said, Some(ReadEvent::Piece(..)));
            match if is_piece { self.model.reading.verdict() } else { said } {
                Some(ReadEvent::Broken(failures)) => {
                    self.expected = None;
                    let waiting = self.waiting();
                    self.model.fail(failures[0], waiting);
                }
                said => assert!(said.is_none() && !is_piece, "this was not told: {said:?}"),
            }
        }
    }

    /// The connection has been told that the stream has ended.
    fn take_note_of_eof(&mut self) {
        if self.engine.has_read_ended() && !self.model.has_eof {
            self.model.receive_eof();
        }
    }

    /// The driver reports a failure, the first one: a rule must have been broken, or the transport must have failed.
    pub(crate) fn see_failure(&mut self, error: Error, now: u64) {
        assert!(!std::mem::replace(&mut self.has_reported_failure, true), "a second failure: {error}");
        match error {
            Error::Io(error) => {
                assert_eq!(self.io_failure.take(), Some(error.kind()), "not what the transport said");
                let is_server = self.model.role == Role::Server;
                if is_server && self.model.write_lost && self.model.phase == Phase::Connecting {
                    // a server that cannot answer has failed
                    self.model.refuse(None, 0);
                }
            }
            Error::Peer(error) => self.see_fault_of_peer(error, now),
            Error::Limit(exceeded) => self.see_fault_of_peer(exceeded.into(), now),
            error => panic!("this is no failure of a connection: {error}"),
        }
        // a second one is not reported
        self.io_failure = None;
    }

    fn see_fault_of_peer(&mut self, error: sansocket::Error, now: u64) {
        match (&self.model.phase, error) {
            (Phase::Connecting, error) => {
                let is_late = matches!(error, sansocket::Error::Timeout(TimeoutKind::Opening));
                if is_late {
                    self.goals.check_opening_timeout(now);
                }
                let response = self.waiting();
                assert!(!is_late || (response > 0) == (self.model.role == Role::Server), "who answers when it is late");
                self.model.refuse(Some(error), response);
            }
            (Phase::Opened, sansocket::Error::Timeout(TimeoutKind::Pong)) => {
                self.goals.check_pong_timeout(self.acked, self.outstanding, now);
                assert!(self.model.is_open(), "keepalive goes on at the end");
                self.model.miss_pong();
            }
            (Phase::Opened, error @ (sansocket::Error::Protocol(_) | sansocket::Error::Limit(_))) => {
                let failure = Failure::from(error);
                // of a message that turns out to be invalid more or less may have been told
                self.expected = None;
                let said = self.model.reading.verdict();
                assert!(
                    matches!(&said, Some(ReadEvent::Broken(failures)) if failures.contains(&failure)),
                    "{failure:?}, but {said:?} came"
                );
                let waiting = self.waiting();
                self.model.fail(failure, waiting);
            }
            (phase, error) => panic!("{error} while {phase:?}"),
        }
    }

    /// Everything that can be seen of the core is as the model says.
    pub(crate) fn inspect(&mut self, now: u64) {
        self.note_layer(now);
        let state = self.ws().ready_state();
        assert!(state >= self.state, "the state went back from {:?} to {state:?}", self.state);
        self.state = state;
        self.goals.note(&self.model, now);
        let waiting = self.waiting();
        if waiting < self.model.writing.len() && self.ws().transport() == TransportAction::Abort {
            if self.model.ending() != Ending::Over {
                self.goals.check_given_up(self.acked, now);
            }
            self.model.drop_output();
        }
        assert_eq!(waiting, self.model.writing.len(), "bytes that wait");
        assert_eq!(self.ws().output().chunk().is_empty(), waiting == 0, "an empty chunk");
        if self.model.phase != Phase::Opened {
            return assert_eq!(state == ReadyState::Connecting, self.model.phase == Phase::Connecting);
        }
        assert_eq!(state, self.model.ready_state());
        assert_eq!(self.ws().buffered_amount(), self.model.writing.buffered(), "buffered_amount");
    }

    /// What the driver waits for is what it must wait for.
    pub(crate) fn check_wait(&mut self) {
        assert_ne!(self.model.ending_if_any(), Some(Ending::Over), "the connection has ended, and the driver waits");
        let is_writing = !self.engine.has_write_ended();
        if !self.is_layered {
            let must_write = is_writing && self.waiting() > 0;
            assert_eq!(self.wait.write, must_write, "whether to write");
        }
        assert!(!self.wait.write || self.engine.to_write().has_remaining(), "nothing to write");
        if self.model.phase == Phase::Connecting {
            return;
        }
        assert_eq!(self.wait.read, self.model.wants_read(), "whether to read");
        let must_shut = self.model.has_failed || self.model.role == Role::Server;
        if self.model.ending_if_any() == Some(Ending::AwaitingEnd) && must_shut && !self.wait.write {
            assert!(self.engine.has_write_ended(), "both ends have said everything, and the driver does not close");
        }
        if self.model.is_open() && self.model.config.keepalive.interval().is_none() {
            assert_eq!(self.wait.until, None, "an open connection without keepalive waits for nothing");
        }
    }
}
