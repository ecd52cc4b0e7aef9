//! Performs operations on an endpoint, and checks the contract.

use std::io::IoSlice;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use sansocket::bytes::{Buf, Bytes};
use sansocket::{
    Accept, AnswerError, CloseCode, Config, EncodedMessage, Error, Event, HttpResponse, Input, Instant, Message,
    MessageKind, OriginPolicy, ReadyState, Role, Scratch, SendError, TransportAction,
};

use super::endpoint::Endpoint;
use super::operation::Operation;
use crate::drive::NOW;
use crate::outbox::Outbox;
use crate::wire::{self, BINARY, PING, REQUEST, RESPONSE, TEXT};

/// A closing connection without progress must end within this many deadlines: it checks for progress four times per
/// `closing_timeout`, and the first check may find progress made before.
const QUIET_DEADLINES_MAX: usize = 6;

/// The maximum payload to send: longer ones would take the same paths.
const PAYLOAD_MAX: usize = 5_000;

#[derive(Debug)]
pub(super) struct Run {
    endpoint: Endpoint,
    config: Config,
    now: Instant,
    /// The latest time passed to the endpoint.
    latest: Instant,
    outbox: Outbox,
    scratch: Scratch,
    /// Whether the opening handshake has succeeded.
    is_opened: bool,
    /// Whether output may have been dropped: a write failed, or the connection was aborted.
    may_drop_output: bool,
    /// The number of bytes taken and not delivered, and how many of them are payload.
    in_flight: usize,
    payload_in_flight: usize,
    /// Deadlines in a row while the connection was closing and made no progress.
    quiet_deadlines: usize,
    is_fragmenting: bool,
    state: ReadyState,
    error: Option<Error>,
    closes: usize,
    /// When the connection began to close.
    closing: Option<Instant>,
}

impl Run {
    pub(super) fn new(endpoint: Endpoint, config: Config) -> Self {
        let is_opened = !endpoint.is_web_socket();
        Self {
            config,
            now: NOW,
            latest: NOW,
            outbox: Outbox::new(endpoint.role(), endpoint.is_web_socket()),
            scratch: Scratch::new(),
            is_opened,
            may_drop_output: false,
            in_flight: 0,
            payload_in_flight: 0,
            quiet_deadlines: 0,
            is_fragmenting: false,
            state: endpoint.ready_state(),
            error: None,
            closes: 0,
            closing: None,
            endpoint,
        }
    }

    pub(super) fn perform(&mut self, operation: Operation, u: &mut Unstructured<'_>) -> Result<()> {
        match operation {
            Operation::Frame => self.receive(wire::frame(u, self.endpoint.role())?),
            Operation::Bytes => self.receive(wire::payload(u, BINARY)?),
            Operation::Handshake => self.handshake(),
            Operation::Eof => self.eof(),
            Operation::Wait { millis } => self.now = self.now + Duration::from_millis(millis.into()),
            Operation::GoBack { millis } => {
                let back = u64::from(millis) * 1_000_000;
                self.now = Instant::from_nanos(self.now.as_nanos().saturating_sub(back));
            }
            Operation::Timeout => self.timeout(self.now),
            Operation::TimeoutWhenDue => {
                if let Some(due) = self.endpoint.poll_timeout() {
                    self.now = due;
                    self.timeout(due);
                }
            }
            Operation::Take { count } => self.take(count.into()),
            Operation::TakeAll => self.take_all(),
            Operation::AttachScratch => self.endpoint.attach_scratch(&mut self.scratch),
            Operation::DetachScratch => self.endpoint.detach_scratch(&mut self.scratch),
            Operation::Accept { offered } => self.accept(offered),
            Operation::HttpResponse { status } => {
                let response = HttpResponse::new(status).body("text/plain", "no");
                // without a pending request, the endpoint ignores the time
                if self.endpoint.respond(response, self.now) != Err(AnswerError::NoRequest) {
                    self.note_time();
                }
            }
            Operation::Close { code, reason } => self.close(code, reason),
            Operation::Ping { length } => self.control(Endpoint::ping, length),
            Operation::Pong { length } => self.control(Endpoint::pong, length),
            Operation::TakeBytes { count } => self.take_bytes(count.into()),
            Operation::Delivered { count } => self.delivered(count.into()),
            Operation::WriteLost => {
                self.note_time();
                self.may_drop_output = true;
                self.endpoint.write_lost(self.now);
            }
            Operation::Progress => {
                self.note_time();
                self.quiet_deadlines = 0;
                self.endpoint.progress(self.now);
            }
            Operation::Abort => {
                self.note_time();
                self.may_drop_output = true;
                self.endpoint.abort(self.now);
            }
            operation => self.send(&operation, u)?,
        }
        Ok(())
    }

    /// Notes that the current time is passed to the endpoint.
    fn note_time(&mut self) {
        self.latest = self.latest.max(self.now);
    }

    fn receive(&mut self, mut bytes: Vec<u8>) {
        self.note_time();
        self.quiet_deadlines = 0;
        let mut input = Input::new(&mut bytes);
        loop {
            let received = self.endpoint.receive(&mut input, self.now).map(|event| event.map(Event::into_owned));
            let Some(event) = self.check_result(received) else { break };
            self.handle_event(event);
        }
        assert!(input.is_empty(), "the endpoint left input");
    }

    /// Checks a result of the endpoint against earlier errors, and returns its event.
    fn check_result(&mut self, received: std::result::Result<Option<Event<'static>>, Error>) -> Option<Event<'static>> {
        match received {
            Ok(event) => {
                let is_close = matches!(event, Some(Event::Close(_)));
                assert!(event.is_none() || is_close || self.error.is_none(), "{event:?} after {:?}", self.error);
                event
            }
            Err(error) => {
                assert!(self.error.as_ref().is_none_or(|before| *before == error), "{error:?} after {:?}", self.error);
                self.may_drop_output |= matches!(error, Error::Timeout(_));
                self.error = Some(error);
                None
            }
        }
    }

    fn handle_event(&mut self, event: Event<'static>) {
        assert_eq!(self.closes, 0, "{event:?} after Close");
        match event {
            Event::Open(_) => self.is_opened = true,
            Event::Message(message) => self.endpoint.recycle(message),
            Event::Ping(payload) => self.outbox.expect_pong(&payload),
            Event::Close(_) => {
                assert_eq!(self.endpoint.ready_state(), ReadyState::Closed);
                self.closes += 1;
            }
            _ => {}
        }
    }

    fn handshake(&mut self) {
        if !self.is_opened {
            let bytes = if self.endpoint.role() == Role::Server { REQUEST } else { RESPONSE };
            self.receive(bytes.to_vec());
        }
    }

    fn eof(&mut self) {
        self.note_time();
        loop {
            let ended = self.endpoint.receive_eof(self.now);
            let is_over = ended == Ok(None);
            if let Some(event) = self.check_result(ended) {
                self.handle_event(event);
            }
            if is_over {
                break;
            }
        }
    }

    fn timeout(&mut self, now: Instant) {
        let due = self.endpoint.poll_timeout();
        self.latest = self.latest.max(now);
        let is_early = due.is_none_or(|due| due > self.latest);
        let has_pending = self.endpoint.has_pending_event();
        let result = self.endpoint.handle_timeout(now);
        if is_early && self.is_opened && !has_pending {
            assert_eq!((&result, self.endpoint.poll_timeout()), (&Ok(None), due), "no deadline was due");
        }
        if let Some(event) = self.check_result(result) {
            self.handle_event(event);
        }
        if !is_early && self.closing.is_some() {
            self.quiet_deadlines += 1;
            let is_closed = self.endpoint.ready_state() == ReadyState::Closed;
            assert!(
                is_closed || self.quiet_deadlines < QUIET_DEADLINES_MAX,
                "closing made no progress and did not end"
            );
            let limit = self.closing.unwrap_or(self.latest) + self.config.closing_limit;
            assert!(is_closed || self.latest < limit, "closing did not end within closing_limit");
        }
        let next = self.endpoint.poll_timeout();
        assert!(next.is_none_or(|next| next > self.latest), "{next:?} is not after {:?}", self.latest);
    }

    fn take(&mut self, count: usize) {
        let output = self.endpoint.output();
        let mut taken = Vec::new();
        while taken.len() < count && output.has_remaining() {
            let step = output.chunk().len().min(count - taken.len());
            assert!(step > 0, "bytes remain, but the chunk is empty");
            taken.extend_from_slice(&output.chunk()[..step]);
            output.advance(step);
        }
        self.note_output(&taken);
    }

    /// Takes all output in vectored chunks.
    fn take_all(&mut self) {
        let output = self.endpoint.output();
        let mut taken = Vec::new();
        while output.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = output.chunks_vectored(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(bytes.starts_with(output.chunk()) && !bytes.is_empty());
            output.advance(bytes.len());
            taken.extend(bytes);
        }
        self.note_output(&taken);
    }

    fn take_bytes(&mut self, count: usize) {
        let bytes = self.endpoint.output().take_bytes(count);
        self.in_flight += bytes.len();
        self.note_output(&bytes);
    }

    fn delivered(&mut self, count: usize) {
        self.endpoint.output().delivered(count);
        self.in_flight -= count.min(self.in_flight);
        self.quiet_deadlines = 0;
        if self.in_flight == 0 {
            self.payload_in_flight = 0;
        }
    }

    fn note_output(&mut self, bytes: &[u8]) {
        self.quiet_deadlines = 0;
        let buffered = self.outbox.buffered;
        // output of a server before it opens is a refusal
        if self.is_opened || self.endpoint.role() == Role::Client {
            self.outbox.take(bytes);
        }
        // bytes advanced behind bytes in flight count as delivered after them
        if self.in_flight > 0 {
            self.payload_in_flight += buffered - self.outbox.buffered;
        }
    }

    fn accept(&mut self, offered: bool) {
        if self.state == ReadyState::Connecting && self.endpoint.role() == Role::Server {
            self.note_time();
        }
        let accept = Accept::new().origin(OriginPolicy::Any).protocol(if offered { "chat" } else { "other" });
        if self.endpoint.accept(accept, self.now).is_ok() {
            assert!(offered && !self.is_opened);
            self.is_opened = true;
        }
    }

    fn close(&mut self, code: u16, reason: u8) {
        if self.is_opened {
            self.note_time();
        }
        let code = match code {
            0 => CloseCode::NO_STATUS,
            1 => CloseCode::ABNORMAL,
            code => CloseCode::new(code % 5_000).unwrap_or(CloseCode::NORMAL),
        };
        let reason = "r".repeat((reason % 128).into());
        let is_valid = match code {
            CloseCode::ABNORMAL => false,
            CloseCode::NO_STATUS => reason.is_empty(),
            _ => reason.len() <= 123,
        };
        let closed = self.endpoint.close(code, &reason, self.now);
        if self.is_opened && self.state == ReadyState::Open {
            assert_eq!(closed.is_ok(), is_valid, "{closed:?}");
        }
    }

    /// Performs the operations that send a message or a fragment.
    fn send(&mut self, operation: &Operation, u: &mut Unstructured<'_>) -> Result<()> {
        let mut payload = wire::payload(u, TEXT)?;
        payload.truncate(PAYLOAD_MAX);
        let kind = match operation {
            Operation::Send { is_text: true, .. }
            | Operation::SendShared { is_text: true }
            | Operation::SendEncoded { is_text: true }
            | Operation::SendFragment { is_text: true, .. } => MessageKind::Text,
            _ => MessageKind::Binary,
        };
        if kind == MessageKind::Text {
            payload = String::from_utf8_lossy(&payload).into_owned().into_bytes();
        }
        let last = !matches!(operation, Operation::SendFragment { last: false, .. });
        let sent = match *operation {
            Operation::Send { is_owned, .. } => self.send_message(kind, &payload, is_owned),
            Operation::SendShared { .. } => {
                self.endpoint.send_shared(kind, Bytes::from(payload.clone())).map_err(SendError::from)
            }
            Operation::SendEncoded { .. } => {
                self.endpoint.send_encoded(&EncodedMessage::new(message(kind, &payload), &self.config))
            }
            Operation::SendFragment { .. } => self.endpoint.send_fragment(kind, &payload, last),
            _ => return Ok(()),
        };
        if sent.is_ok() {
            assert_eq!(self.endpoint.ready_state(), ReadyState::Open);
            self.outbox.accept(kind, &payload, !self.is_fragmenting, last);
            self.is_fragmenting = !last;
            assert!(self.endpoint.buffered_amount() <= self.config.max_buffered_amount);
        }
        Ok(())
    }

    fn send_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        is_owned: bool,
    ) -> std::result::Result<(), SendError> {
        let message = message(kind, payload);
        let message = if is_owned { message.into_owned() } else { message };
        let sent = self.endpoint.send(message.clone());
        if let Err(
            SendError::BufferFull { message: returned, .. } | SendError::MessageTooLong { message: returned, .. },
        ) = &sent
        {
            assert_eq!(returned, &message, "the returned message");
        }
        Ok(sent?)
    }

    fn control(&mut self, send: impl FnOnce(&mut Endpoint, &[u8]) -> std::result::Result<(), SendError>, length: u8) {
        // differs from every Ping of the peer, and so from the Pongs that answer them
        let payload = vec![PING | 0xF0; (length % 130).into()];
        let sent = send(&mut self.endpoint, &payload);
        assert!(sent.is_err() || (payload.len() <= 125 && self.state == ReadyState::Open), "{sent:?}");
    }

    /// Checks what must hold after every operation.
    pub(super) fn check(&mut self) {
        let state = self.endpoint.ready_state();
        assert!(state >= self.state, "{state:?} after {:?}", self.state);
        self.state = state;
        let has_output = self.endpoint.output().has_remaining();
        let transport = self.endpoint.transport();
        let cuts_off = matches!(transport, TransportAction::ShutdownWrite | TransportAction::Close);
        assert!(
            !cuts_off || (!has_output && (self.in_flight == 0 || self.may_drop_output || !self.is_opened)),
            "the transport action would cut off output"
        );
        assert!(state != ReadyState::Open || transport == TransportAction::Open);
        let _ = self.endpoint.wants_read();
        self.may_drop_output |= transport == TransportAction::Abort;
        if self.is_opened && !self.may_drop_output {
            let (min, max) = (self.outbox.buffered, self.outbox.buffered + self.payload_in_flight);
            let amount = self.endpoint.buffered_amount();
            assert!((min..=max).contains(&amount), "buffered_amount is {amount}, not from {min} to {max}");
        }
        self.check_timers();
    }

    fn check_timers(&mut self) {
        let due = self.endpoint.poll_timeout();
        if !self.is_opened {
            return;
        }
        if self.state == ReadyState::Open {
            if let Some(interval) = self.config.keepalive.interval() {
                let longest = interval.max(self.config.pong_timeout).max(Duration::from_nanos(1));
                assert!(due.is_none_or(|due| due <= self.latest + longest), "the deadline of keepalive is too late");
            }
            return;
        }
        // the connection checks for progress within `closing_timeout`, and ends at `closing_limit`
        let began = *self.closing.get_or_insert(self.latest);
        let Some(due) = due else { return };
        let after = self.config.closing_timeout.max(Duration::from_nanos(1));
        assert!(
            due <= self.latest + after,
            "the next check for progress is at {due:?}, later than {after:?} after {:?}",
            self.latest
        );
        let limit = (began + self.config.closing_limit).max(self.latest + Duration::from_nanos(1));
        assert!(due <= limit, "the next check for progress is at {due:?}, after the limit at {limit:?}");
    }

    /// Ends TCP, takes all output, and checks the final state.
    pub(super) fn finish(&mut self) {
        self.endpoint.detach_scratch(&mut self.scratch);
        self.eof();
        self.check();
        self.take_all();
        self.delivered(usize::MAX);
        if self.is_opened && !self.may_drop_output {
            self.outbox.check_drained();
            assert_eq!(self.endpoint.buffered_amount(), 0);
            assert!(self.closes > 0 || self.endpoint.has_pending_event(), "Close was not delivered");
        }
        self.receive(Vec::new());
        self.check();
        assert!(!self.endpoint.has_pending_event(), "an event is pending after Close");
        assert_eq!(self.closes, usize::from(self.is_opened), "the number of Close events");
        assert_eq!(self.endpoint.ready_state(), ReadyState::Closed);
        assert!(matches!(self.endpoint.transport(), TransportAction::Close | TransportAction::Abort));
        assert!(!self.endpoint.wants_read());
        assert_eq!(self.endpoint.poll_timeout(), None, "a closed connection has a deadline");
    }
}

fn message(kind: MessageKind, payload: &[u8]) -> Message<'_> {
    match kind {
        MessageKind::Text => Message::from(std::str::from_utf8(payload).expect("it was checked")),
        MessageKind::Binary => Message::from(payload),
    }
}
