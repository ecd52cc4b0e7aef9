//! Compares the events of an endpoint, and its observable state, with the models.

use sansocket::bytes::Buf;
use sansocket::{Event, ReadyState, Role, TimeoutKind, TransportAction};
use sansocket_drive::Error;

use crate::context::{Context, Short};
use crate::endpoint::Endpoint;
use crate::model::{ClosingPhase, Phase};
use crate::receive_model::{ExpectedEvent, Failure, WholeMessage};

impl Endpoint {
    /// Checks that an event is the one that the model expects.
    pub(crate) fn check_event(&mut self, event: Event<'_>, cx: &mut Context<'_, '_>) {
        assert_eq!(self.closed, None, "Close was not the last event: {event:?}");
        if !matches!(event, Event::Request(_) | Event::HttpRequest(_) | Event::Open(_) | Event::Close(_)) {
            assert!(self.has_opened, "an event before Open: {event:?}");
        }
        match event {
            Event::Request(_) => {
                cx.trace.line(self.name, format_args!("receives a request"));
                assert_eq!((&self.model.phase, self.model.role), (&Phase::Connecting, Role::Server));
                self.application.receive_request(cx);
            }
            Event::HttpRequest(_) => {
                cx.trace.line(self.name, format_args!("receives a request that is not for a WebSocket"));
                assert_eq!((&self.model.phase, self.model.role), (&Phase::Connecting, Role::Server));
                self.receive_http_request(cx);
            }
            Event::Open(_) => {
                cx.trace.line(self.name, format_args!("is open"));
                assert!(!self.has_opened, "a second Open event");
                self.has_opened = true;
                if self.model.role == Role::Client {
                    let agreed = self.ws().compression();
                    self.model.open(agreed);
                }
                self.application.begin(cx);
            }
            Event::Message(message) => {
                cx.trace.line(self.name, format_args!("receives {:?} {}", message.kind(), Short(message.as_bytes())));
                let whole = WholeMessage { kind: message.kind(), payload: message.as_bytes().to_vec() };
                self.ws().recycle(message);
                let expected = self.model.receive.next();
                assert!(
                    expected == Some(ExpectedEvent::Message(whole.clone())),
                    "a message differs from the one received"
                );
                self.received.push(whole);
            }
            Event::Chunk(chunk) => {
                cx.trace
                    .line(self.name, format_args!("receives a chunk {}, last: {}", Short(&chunk.payload), chunk.last));
                self.check_chunk(WholeMessage { kind: chunk.kind, payload: chunk.payload.into_owned() }, chunk.last);
            }
            Event::Ping(payload) => {
                cx.trace.line(self.name, format_args!("receives a Ping {}", Short(&payload)));
                assert_eq!(self.model.receive.next(), Some(ExpectedEvent::Ping(payload.to_vec())));
                self.model.send.queue_pong(&payload, self.model.config.max_pending_controls);
            }
            Event::Pong(payload) => {
                cx.trace.line(self.name, format_args!("receives a Pong {}", Short(&payload)));
                assert_eq!(self.model.receive.next(), Some(ExpectedEvent::Pong(payload.to_vec())));
            }
            Event::CloseReceived(frame) => {
                cx.trace.line(self.name, format_args!("receives {frame:?}"));
                let (code, reason) = (frame.code.as_u16(), frame.reason.to_string());
                assert_eq!(self.model.receive.next(), Some(ExpectedEvent::Close(code, reason.clone())));
                self.model.receive_close(code, reason);
            }
            Event::Close(close) => {
                cx.trace.line(self.name, format_args!("is closed: {close:?}"));
                self.note_unreported_failure(cx.now);
                self.model.check_unread();
                self.note_eof();
                if self.model.closing_phase() != ClosingPhase::Finished {
                    self.deadlines.check_closing_timeout(self.acked, cx.now);
                }
                self.model.check_close(&close);
                self.closed = Some((close.code.as_u16(), close.was_clean));
            }
            event => panic!("an event unknown to the simulation: {event:?}"),
        }
    }

    /// Checks a chunk. The core may split a message into chunks anywhere: only the joined payload must match.
    fn check_chunk(&mut self, chunk: WholeMessage, last: bool) {
        let (mut whole, mut ends) =
            self.expected.take().unwrap_or((WholeMessage { payload: Vec::new(), ..chunk }, false));
        while whole.payload.len() < chunk.payload.len() || (last && !ends) {
            let Some(ExpectedEvent::Chunk(part, is_last)) = self.model.receive.next() else {
                panic!("a chunk of bytes that were not received")
            };
            assert_eq!(part.kind, chunk.kind, "the kind of a chunk");
            whole.payload.extend(part.payload);
            ends = is_last;
        }
        assert!(whole.payload.starts_with(&chunk.payload), "the chunk differs from the bytes received");
        whole.payload.drain(..chunk.payload.len());
        assert!(!last || whole.payload.is_empty(), "the last chunk came before the end of the message");
        if !last && (ends || !whole.payload.is_empty()) {
            self.expected = Some((whole, ends));
        }
        let message = self.pieces.get_or_insert(WholeMessage { payload: Vec::new(), ..chunk });
        message.payload.extend(chunk.payload);
        if last {
            self.received.extend(self.pieces.take());
        }
    }

    /// Checks that the core has delivered everything received. Called when there are no more events.
    pub(crate) fn check_no_more_events(&mut self, cx: &mut Context<'_, '_>) {
        self.note_unreported_failure(cx.now);
        assert_eq!(self.expected, None, "a part of a chunk was not delivered");
        if self.model.is_receiving() && self.has_opened {
            assert_eq!(self.model.receive.next(), None, "an event was not delivered");
        } else if self.model.phase == Phase::Opened && self.has_opened {
            self.model.receive.discard();
        }
        let is_reported = self.unreported_io_failure.is_none() || self.has_reported_failure;
        assert!(is_reported, "the driver did not report a failure of the transport");
        self.unreported_io_failure = None;
        self.note_eof();
        if std::mem::take(&mut self.is_timed_out) && self.model.is_open() {
            let ping = if self.model.role == Role::Client { 6 } else { 2 };
            if self.pending_len() == self.model.send.len() + ping {
                self.deadlines.check_ping(cx.now);
                self.model.send.queue_keepalive();
            }
        }
    }

    /// Updates the model after a failure that the driver does not report, because it reports only the first one.
    fn note_unreported_failure(&mut self, now: u64) {
        if !self.has_reported_failure {
            return;
        }
        if self.model.phase == Phase::Connecting && self.ws().ready_state() != ReadyState::Connecting {
            if !self.engine.has_read_ended() && !self.model.write_lost {
                self.deadlines.check_opening_timeout(now);
            }
            let response = self.pending_len();
            self.model.refuse(None, response);
        } else if self.model.is_receiving() && self.has_opened {
            let event = self.model.receive.next();
            let is_chunk = matches!(event, Some(ExpectedEvent::Chunk(..)));
            match if is_chunk { self.model.receive.next_failure() } else { event } {
                Some(ExpectedEvent::Failure(failures)) => {
                    self.expected = None;
                    let pending = self.pending_len();
                    self.model.fail(failures[0], pending);
                }
                event => assert!(event.is_none() && !is_chunk, "not delivered: {event:?}"),
            }
        }
    }

    /// Updates the model once the driver knows that the stream has ended.
    fn note_eof(&mut self) {
        if self.engine.has_read_ended() && !self.model.has_eof {
            self.model.receive_eof();
        }
    }

    /// Checks a failure that the driver reports: it is the first one, and its reason is real.
    pub(crate) fn check_failure(&mut self, error: Error, now: u64) {
        assert!(!std::mem::replace(&mut self.has_reported_failure, true), "a second failure: {error}");
        match error {
            Error::Io(error) => {
                assert_eq!(self.unreported_io_failure.take(), Some(error.kind()), "the kind of the transport's error");
                let is_server = self.model.role == Role::Server;
                if is_server && self.model.write_lost && self.model.phase == Phase::Connecting {
                    // a server that cannot respond refuses the connection
                    self.model.refuse(None, 0);
                }
            }
            Error::Peer(error) => self.check_fault_of_peer(error, now),
            Error::Limit(exceeded) => self.check_fault_of_peer(exceeded.into(), now),
            error => panic!("an error that is no failure of a connection: {error}"),
        }
        // the driver reports only the first failure
        self.unreported_io_failure = None;
    }

    fn check_fault_of_peer(&mut self, error: sansocket::Error, now: u64) {
        match (&self.model.phase, error) {
            (Phase::Connecting, error) => {
                let is_late = matches!(error, sansocket::Error::Timeout(TimeoutKind::Opening));
                if is_late {
                    self.deadlines.check_opening_timeout(now);
                }
                let response = self.pending_len();
                let must_respond = self.model.role == Role::Server;
                assert!(!is_late || (response > 0) == must_respond, "only a server responds to a timeout");
                self.model.refuse(Some(error), response);
            }
            (Phase::Opened, sansocket::Error::Timeout(TimeoutKind::Pong)) => {
                self.deadlines.check_pong_timeout(self.acked, self.outstanding, now);
                assert!(self.model.is_open(), "keepalive failed a connection that is not open");
                self.model.miss_pong();
            }
            (Phase::Opened, error @ (sansocket::Error::Protocol(_) | sansocket::Error::Limit(_))) => {
                let failure = Failure::from(error);
                // the core may have delivered more or fewer chunks of an invalid message than the model
                self.expected = None;
                let event = self.model.receive.next_failure();
                let is_expected = matches!(&event, Some(ExpectedEvent::Failure(all)) if all.contains(&failure));
                assert!(is_expected, "the core failed with {failure:?}; the model expects {event:?}");
                let pending = self.pending_len();
                self.model.fail(failure, pending);
            }
            (phase, error) => panic!("{error} while {phase:?}"),
        }
    }

    /// Compares the observable state of the core with the model.
    pub(crate) fn check_state(&mut self, now: u64) {
        self.note_layer(now);
        let state = self.ws().ready_state();
        assert!(state >= self.state, "the state went back from {:?} to {state:?}", self.state);
        self.state = state;
        self.deadlines.note(&self.model, now);
        let pending = self.pending_len();
        if pending < self.model.send.len() && self.ws().transport() == TransportAction::Abort {
            if self.model.closing_phase() != ClosingPhase::Finished {
                self.deadlines.check_closing_timeout(self.acked, now);
            }
            self.model.drop_output();
        }
        assert_eq!(pending, self.model.send.len(), "the number of pending bytes");
        assert_eq!(self.ws().output().chunk().is_empty(), pending == 0, "whether the first chunk is empty");
        if self.model.phase != Phase::Opened {
            return assert_eq!(state == ReadyState::Connecting, self.model.phase == Phase::Connecting);
        }
        assert_eq!(state, self.model.ready_state());
        assert_eq!(self.ws().buffered_amount(), self.model.send.buffered(), "buffered_amount");
    }

    /// Checks what the driver waits for.
    pub(crate) fn check_wait(&mut self) {
        let closing_phase = self.model.current_closing_phase();
        assert_ne!(closing_phase, Some(ClosingPhase::Finished), "the connection is closed, but the driver waits");
        let is_writing = !self.engine.has_write_ended();
        if !self.is_layered {
            let must_write = is_writing && self.pending_len() > 0;
            assert_eq!(self.wait.write, must_write, "whether the driver waits to write");
        }
        let has_output = self.engine.to_write().has_remaining();
        assert!(!self.wait.write || has_output, "the driver waits to write, but there is no output");
        if self.model.phase == Phase::Connecting {
            return;
        }
        assert_eq!(self.wait.read, self.model.wants_read(), "whether the driver waits to read");
        let must_shut = self.model.has_failed || self.model.role == Role::Server;
        if closing_phase == Some(ClosingPhase::AwaitingEof) && must_shut && !self.wait.write {
            assert!(!is_writing, "the closing handshake is over, but the driver does not shut down writing");
        }
        if self.model.is_open() && self.model.config.keepalive.interval().is_none() {
            assert_eq!(self.wait.until, None, "an open connection without keepalive has a deadline");
        }
    }
}
