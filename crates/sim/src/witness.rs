//! What an endpoint is told, and all that can be seen of it, held against the model.

use sansocket::bytes::Buf;
use sansocket::{Error, Event, Instant, ReadyState, Role};

use crate::endpoint::{Context, Endpoint};
use crate::model::Phase;
use crate::reading::{Said, Whole};
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
                self.answer_plainly(cx);
            }
            Event::Open(_) => {
                cx.trace.line(self.name, format_args!("is open"));
                assert!(!self.is_told_open, "Open came twice");
                self.is_told_open = true;
                self.is_clock_read = false;
                if self.model.role == Role::Client {
                    self.model.open();
                }
                self.application.begin(cx);
            }
            Event::Message(message) => {
                cx.trace.line(self.name, format_args!("gets {:?} {}", message.kind(), Short(message.as_bytes())));
                let whole = Whole { kind: message.kind(), payload: message.as_bytes().to_vec() };
                self.ws.recycle(message);
                assert!(self.model.reading.next() == Some(Said::Message(whole.clone())), "not the message that came");
                self.received.push(whole);
            }
            Event::Chunk(chunk) => {
                cx.trace.line(self.name, format_args!("gets a chunk {}, {}", Short(&chunk.payload), chunk.last));
                self.see_chunk(Whole { kind: chunk.kind, payload: chunk.payload.into_owned() }, chunk.last);
            }
            Event::Ping(payload) => {
                cx.trace.line(self.name, format_args!("gets a Ping {}", Short(&payload)));
                assert_eq!(self.model.reading.next(), Some(Said::Ping(payload.to_vec())));
                self.model.writing.answer(&payload, self.model.config.max_pending_controls);
            }
            Event::Pong(payload) => {
                cx.trace.line(self.name, format_args!("gets a Pong {}", Short(&payload)));
                assert_eq!(self.model.reading.next(), Some(Said::Pong(payload.to_vec())));
            }
            Event::Close(close) => {
                cx.trace.line(self.name, format_args!("is closed: {close:?}"));
                self.model.check_close(&close);
                self.closed = Some(close.code.as_u16());
            }
            event => panic!("an event that the simulation does not know: {event:?}"),
        }
    }

    /// Where chunks begin and end says nothing: put together they are what came, and nothing of that is kept back.
    fn see_chunk(&mut self, chunk: Whole, last: bool) {
        let (mut whole, mut ends) = self.expected.take().unwrap_or((Whole { payload: Vec::new(), ..chunk }, false));
        while whole.payload.len() < chunk.payload.len() || (last && !ends) {
            let Some(Said::Piece(piece, is_last)) = self.model.reading.next() else {
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

    /// `receive` returned `None`: everything that came has been told.
    pub(crate) fn see_no_more(&mut self) {
        assert_eq!(self.expected, None, "a chunk was kept back");
        assert_eq!(self.model.failure, None, "a failure is for good");
        match &self.model.phase {
            Phase::Opened if self.model.is_listening() => match self.model.reading.next() {
                None => {}
                Some(Said::Close(code, reason)) => self.model.receive_close(code, reason),
                Some(said) => panic!("this was not told: {said:?}"),
            },
            Phase::Opened => self.model.reading.discard(),
            Phase::Refused(error) => assert_eq!(*error, None, "a failure is for good"),
            Phase::Connecting => {}
        }
    }

    /// `receive` failed: a rule must have been broken.
    pub(crate) fn see_failure(&mut self, error: Error) {
        let failure = match &self.model.phase {
            Phase::Connecting => {
                assert!(matches!(error, Error::Handshake(_)), "a failure before the connection was open: {error:?}");
                let response = self.waiting();
                return self.model.refuse(Some(error), response);
            }
            Phase::Refused(failure) => failure,
            Phase::Opened => &self.model.failure,
        };
        if let Some(failure) = failure {
            return assert_eq!(*failure, error, "a failure is for good");
        }
        // of a message that turns out to be invalid more or less may have been told
        self.expected = None;
        let said = self.model.reading.verdict();
        match (said, error) {
            (Some(Said::Broken(rules)), Error::Protocol(rule)) if rules.contains(&rule) => {
                let len = self.waiting();
                self.model.fail(rule, Some(len));
            }
            (said, error) => panic!("{error}, but what came was {said:?}"),
        }
    }

    /// Everything that can be seen of the core is as the model says.
    pub(crate) fn inspect(&mut self) {
        let state = self.ws.ready_state();
        assert!(state >= self.state, "the state went back from {:?} to {state:?}", self.state);
        self.state = state;
        let deadline = self.ws.poll_timeout().map(Instant::as_nanos);
        let waiting = self.waiting();
        assert_eq!(waiting, self.model.writing.len(), "bytes that wait");
        assert_eq!(self.ws.output().chunk().is_empty(), waiting == 0, "an empty chunk");
        if self.model.phase != Phase::Opened {
            assert_eq!(state == ReadyState::Connecting, self.model.phase == Phase::Connecting);
            assert!(deadline.is_none() || deadline == self.model.deadline(), "{deadline:?}");
            return;
        }
        assert_eq!(state, self.model.ready_state());
        assert_eq!(self.ws.buffered_amount(), self.model.writing.buffered(), "buffered_amount");
        assert_eq!(deadline, self.model.deadline(), "the deadline");
        assert_eq!(self.ws.transport(), self.model.transport(), "what to do with TCP");
        assert_eq!(self.ws.wants_read(), self.model.wants_read(), "whether to read");
    }
}
