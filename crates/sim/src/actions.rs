//! The actions of the applications at both ends. They send anything at any moment, also what is illegal: the core must
//! refuse that, and the connection must not suffer.

use sansocket::bytes::Bytes;
use sansocket::{
    Accept, AnswerError, CloseCode, Compress, EncodedMessage, HttpResponse, Message, MessageKind, ReadyState, Role,
    SendError, WebSocket,
};

use sansocket_drive::Error;

use crate::content;
use crate::context::{Context, Short};
use crate::endpoint::Endpoint;
use crate::model::Phase;
use crate::receive_model::WholeMessage;
use crate::send_model::{Coding, SendCall};

const COMPRESS: [Compress; 4] = [Compress::AsConfigured, Compress::AsConfigured, Compress::Yes, Compress::No];

/// Why the core must refuse to send something. If several reasons apply, it may return any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NotOpen,
    Full,
    TooLong,
    Unfinished,
    KindMismatch,
    Utf8,
    ControlTooLong,
    Code,
    Reason,
}

impl Endpoint {
    /// Performs the next action of the application.
    pub(crate) fn act(&mut self, cx: &mut Context<'_, '_>) {
        self.attach_scratch(cx);
        let before = self.application.next_at.take();
        match self.model.phase {
            Phase::Connecting if self.application.has_request => self.answer(cx),
            Phase::Connecting if cx.choices.once_in(4) => self.close_early(cx),
            _ if self.application.remaining_actions == 0 => {
                if before.is_some() {
                    self.close(CloseCode::NORMAL, "", cx);
                }
            }
            _ => {
                self.application.remaining_actions -= 1;
                self.send_something(cx);
                let pause = cx.choices.below(3) as u64 * self.application.pace;
                self.application.next_at = (self.model.phase == Phase::Opened).then_some(cx.now + pause);
            }
        }
        self.check_state(cx.now);
    }

    fn answer(&mut self, cx: &mut Context<'_, '_>) {
        match cx.choices.below(24) {
            21 => self.close_early(cx),
            _ if self.application.is_http_request => self.answer_http_request(cx),
            20 => {
                let now = self.clock(cx);
                cx.trace.line(self.name, format_args!("refuses the request"));
                let response = HttpResponse::new(403).body("text/plain", content::text(cx.choices, 300));
                self.engine.respond(response, now).expect("a good answer");
                let response = self.pending_len();
                self.model.refuse(None, response);
            }
            choice => {
                let accept = if choice == 19 { Accept::new().protocol("second") } else { Accept::new() };
                cx.trace.line(self.name, format_args!("accepts the request"));
                let now = self.clock(cx);
                match self.engine.accept(accept, now) {
                    // the driver has responded with an error
                    Err(Error::Answer(AnswerError::ProtocolNotOffered(_))) => {
                        let response = self.pending_len();
                        self.model.refuse(None, response);
                    }
                    result => {
                        result.expect("a good answer");
                        self.application.has_request = false;
                        self.note_accept();
                        self.application.begin(cx);
                    }
                }
            }
        }
    }

    /// Receives a request that is not for a WebSocket.
    pub(crate) fn receive_http_request(&mut self, cx: &mut Context<'_, '_>) {
        assert_eq!(self.pending_len(), 0, "the core answered instead of the application");
        let now = self.clock(cx);
        assert_eq!(self.ws().accept(Accept::new(), now), Err(AnswerError::NotWebSocket));
        self.application.receive_request(cx);
        self.application.is_http_request = true;
    }

    /// Answers a request that is not for a WebSocket.
    fn answer_http_request(&mut self, cx: &mut Context<'_, '_>) {
        let now = self.clock(cx);
        match cx.choices.below(3) {
            0 => {
                let hello = HttpResponse::new(200).body("text/plain", "hello");
                self.engine.respond(hello, now).expect("a good answer");
            }
            1 => self.engine.respond(HttpResponse::upgrade_required(), now).expect("a good answer"),
            _ => {
                // the driver responds with 426
                let accepted = self.engine.accept(Accept::new(), now);
                assert!(matches!(accepted, Err(Error::Answer(AnswerError::NotWebSocket))), "{accepted:?}");
            }
        }
        let response = self.pending_len();
        assert!(response > 0, "the HTTP request got no answer");
        self.model.refuse(None, response);
    }

    /// Closes the connection before it is open.
    fn close_early(&mut self, cx: &mut Context<'_, '_>) {
        cx.trace.line(self.name, format_args!("closes before the connection is open"));
        let now = self.clock(cx);
        assert_eq!(self.ws().close(CloseCode::NORMAL, "", now), Ok(()));
        let response = self.pending_len();
        assert_eq!(response > 0, self.application.has_request, "whether a pending request gets an answer");
        self.model.refuse(None, response);
    }

    fn send_something(&mut self, cx: &mut Context<'_, '_>) {
        let choice = cx.choices.below(32);
        if self.application.fragmented.is_some() && choice < 10 {
            return self.send_fragment(cx);
        }
        match choice {
            0..=14 => self.send_message(cx),
            15..=19 => self.send_fragment(cx),
            20..=24 => self.send_control(9, cx),
            25 | 26 => self.send_control(10, cx),
            27 if cx.choices.once_in(3) => {
                let code = cx.choices.pick(&[1000, 1001, 1003, 1011, 3000, 4999]);
                let reason = content::length(cx.choices, 123);
                let reason = content::text(cx.choices, reason);
                self.close(CloseCode::new(code).expect("a valid code"), &reason, cx);
            }
            28 if cx.choices.once_in(12) => {
                cx.trace.line(self.name, format_args!("aborts"));
                let now = self.clock(cx);
                self.ws().abort(now);
                self.model.abort();
            }
            28 if cx.choices.once_in(3) => self.close(CloseCode::NO_STATUS, "", cx),
            29..=31 if cx.choices.once_in(3) => self.call_illegally(cx),
            _ => self.send_message(cx),
        }
    }

    /// Sends a whole message through one of the methods for it.
    fn send_message(&mut self, cx: &mut Context<'_, '_>) {
        let length = content::length(cx.choices, self.application.max_message);
        let method = cx.choices.below(8);
        let kind = if method.is_multiple_of(2) { MessageKind::Text } else { MessageKind::Binary };
        let payload = content::payload(cx.choices, kind, length);
        let compress = cx.choices.pick(&COMPRESS);
        let text = || String::from_utf8(payload.clone()).expect("text");
        let frame_max = self.model.config.max_sent_frame_payload.get();
        let (ws, config) = (self.engine.websocket_mut(), &self.model.config);
        let result = match method {
            0 => check_returned(send(ws, text().as_str(), compress), kind, &payload),
            1 => check_returned(send(ws, &payload, compress), kind, &payload),
            2 => check_returned(send(ws, text(), compress), kind, &payload),
            3 => check_returned(send(ws, payload.clone(), compress), kind, &payload),
            4 | 5 => {
                let shared = Bytes::from(payload.clone());
                let sent = match compress {
                    Compress::AsConfigured => ws.send_shared(kind, shared),
                    compress => ws.send_shared_with(kind, shared, compress),
                };
                sent.map_err(|error| {
                    error.map(|returned| assert_eq!(returned, payload, "the returned payload differs"))
                })
            }
            _ => {
                let message = if method == 6 { Message::from(text()) } else { Message::from(payload.clone()) };
                ws.send_encoded(&EncodedMessage::new_with(message, compress, config))
            }
        };
        cx.trace.line(
            self.name,
            format_args!("sends {kind:?} {} by method {method}, {compress:?}: {result:?}", Short(&payload)),
        );
        let mut refusals = self.refusals(payload.len());
        if self.application.fragmented.is_some() {
            refusals.push(Refusal::Unfinished);
        }
        if self.check(result, &refusals) {
            self.application.sent.push(WholeMessage { kind, payload: payload.clone() });
            let coding = self.coding(compress, payload.len());
            let len = self.pending_len();
            self.model.send.push(SendCall { opcode: opcode(kind), payload, last: true, frame_max, coding }, len);
        }
    }

    /// Sends the first, next or last fragment of a message, of any length.
    fn send_fragment(&mut self, cx: &mut Context<'_, '_>) {
        let (sent, rest, coding) = self.application.fragmented.clone().unwrap_or_else(|| {
            let length = content::length(cx.choices, self.application.max_message);
            let kind = cx.choices.pick(&[MessageKind::Text, MessageKind::Binary]);
            let rest = content::payload(cx.choices, kind, length);
            (WholeMessage { kind, payload: Vec::new() }, rest, None)
        });
        let compress = cx.choices.pick(&COMPRESS);
        let count = match cx.choices.below(3) {
            0 => rest.len(),
            1 => cx.choices.below(rest.len() + 1),
            _ => cx.choices.below(8).min(rest.len()),
        };
        let (fragment, rest) = rest.split_at(count);
        let last = rest.is_empty() && !cx.choices.once_in(3);
        let is_first = self.application.fragmented.is_none();
        let kind = sent.kind;
        let result = match cx.choices.below(2) {
            0 if compress == Compress::AsConfigured => self.ws().send_fragment(kind, fragment, last),
            0 => self.ws().send_fragment_with(kind, fragment, last, compress),
            _ => self.ws().send_fragment_with(kind, fragment.to_vec(), last, compress),
        };
        let text = format_args!("sends a fragment {}, last: {last}, {compress:?}: {result:?}", Short(fragment));
        cx.trace.line(self.name, text);
        let refusals = self.refusals(count);
        if self.check(result, &refusals) {
            let opcode = if is_first { opcode(kind) } else { 0 };
            let frame_max = self.model.config.max_sent_frame_payload.get();
            // the first fragment decides
            let is_plain = compress == Compress::No || self.model.agreed.is_none();
            let coding = coding.unwrap_or(if is_plain { Coding::Plain } else { Coding::Compressed });
            let len = self.pending_len();
            self.model.send.push(SendCall { opcode, payload: fragment.to_vec(), last, frame_max, coding }, len);
            let sent = WholeMessage { kind, payload: [&sent.payload, fragment].concat() };
            self.application.fragmented = (!last).then(|| (sent.clone(), rest.to_vec(), coding.into()));
            self.application.sent.extend(last.then_some(sent));
        }
    }

    fn send_control(&mut self, opcode: u8, cx: &mut Context<'_, '_>) {
        self.application.controls += 1;
        let mut payload = self.application.controls.to_be_bytes().to_vec();
        let length = cx.choices.pick(&[4, 5, 124, 125, 126, 1000]);
        payload.resize(length, 0xA5);
        let result = if opcode == 9 { self.ws().ping(&payload) } else { self.ws().pong(&payload) };
        cx.trace.line(self.name, format_args!("sends a control frame {opcode} {}: {result:?}", Short(&payload)));
        let mut refusals = self.state_refusals();
        if length > 125 {
            refusals.push(Refusal::ControlTooLong);
        }
        let max_pending = self.model.config.max_pending_controls;
        if refusals.is_empty() && !self.model.send.queue_control(opcode, &payload, max_pending) {
            refusals.push(Refusal::Full);
        }
        self.check(result, &refusals);
    }

    fn close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_, '_>) {
        let now = self.clock(cx);
        let result = self.ws().close(code, reason, now);
        cx.trace.line(self.name, format_args!("closes with {code} {reason:?}: {result:?}"));
        let mut refusals = Vec::new();
        let (was_open, was_connecting) = (self.model.is_open(), self.model.phase == Phase::Connecting);
        if was_open || was_connecting {
            if !code.is_sendable() && code != CloseCode::NO_STATUS {
                refusals.push(Refusal::Code);
            }
            if reason.len() > 123 || (code == CloseCode::NO_STATUS && !reason.is_empty()) {
                refusals.push(Refusal::Reason);
            }
        }
        if !self.check(result, &refusals) {
            return;
        }
        if was_open {
            let number = if code == CloseCode::NO_STATUS { Vec::new() } else { code.as_u16().to_be_bytes().to_vec() };
            self.model.close([&number, reason.as_bytes()].concat());
        } else if was_connecting {
            // closing during the opening handshake refuses the connection
            let response = self.pending_len();
            self.model.refuse(None, response);
        }
    }

    /// Makes a call that is illegal in every state.
    fn call_illegally(&mut self, cx: &mut Context<'_, '_>) {
        cx.trace.line(self.name, format_args!("makes an illegal call"));
        let invalid = cx.choices.pick(&content::NOT_UTF8);
        let mut refusals = self.refusals(invalid.len());
        let fragmented = self.application.fragmented.as_ref().map(|(sent, ..)| sent.clone());
        match cx.choices.below(7) {
            0 => self.close(CloseCode::ABNORMAL, "", cx),
            1 => self.close(CloseCode::NORMAL, &"\u{E9}".repeat(62), cx),
            2 => self.close(CloseCode::NO_STATUS, "why", cx),
            3 => {
                refusals.extend(fragmented.map(|_| Refusal::Unfinished));
                refusals.push(Refusal::Utf8);
                let result = self.ws().send_shared(MessageKind::Text, Bytes::from_static(invalid)).map_err(Into::into);
                self.check(result, &refusals);
            }
            4 => {
                // whether the fragment is valid UTF-8 depends on the fragments before it
                let sent = fragmented.unwrap_or(WholeMessage { kind: MessageKind::Text, payload: Vec::new() });
                if sent.kind == MessageKind::Binary || str::from_utf8(&[&sent.payload, invalid].concat()).is_err() {
                    refusals.push(if sent.kind == MessageKind::Binary { Refusal::KindMismatch } else { Refusal::Utf8 });
                    let result = self.ws().send_fragment(MessageKind::Text, invalid, true);
                    self.check(result, &refusals);
                }
            }
            5 => {
                if let Some(sent) = fragmented {
                    let (text, binary) = (MessageKind::Text, MessageKind::Binary);
                    refusals.push(Refusal::KindMismatch);
                    let other = if sent.kind == text { binary } else { text };
                    let result = self.ws().send_fragment(other, b"", cx.choices.once_in(2));
                    self.check(result, &refusals);
                }
            }
            _ => {
                let now = self.clock(cx);
                if !self.application.has_request || self.model.phase != Phase::Connecting {
                    assert_eq!(self.ws().accept(Accept::new(), now), Err(AnswerError::NoRequest));
                    assert_eq!(self.ws().respond(HttpResponse::new(404), now), Err(AnswerError::NoRequest));
                }
            }
        }
    }

    /// Returns how a whole message of this length may be coded.
    fn coding(&self, compress: Compress, length: usize) -> Coding {
        match (&self.model.config.compression, self.model.agreed) {
            (Some(settings), Some(agreed)) => {
                let declines_takeover = match self.model.role {
                    Role::Client => agreed.client_no_context_takeover,
                    Role::Server => agreed.server_no_context_takeover,
                };
                let has_takeover = settings.context_takeover && !declines_takeover;
                let is_short = length < settings.threshold && !has_takeover;
                match compress {
                    Compress::AsConfigured if is_short => Coding::Plain,
                    Compress::No => Coding::Plain,
                    Compress::AsConfigured | Compress::Yes => Coding::IfShorter,
                }
            }
            _ => Coding::Plain,
        }
    }

    fn state_refusals(&self) -> Vec<Refusal> {
        if self.model.is_open() { Vec::new() } else { vec![Refusal::NotOpen] }
    }

    /// Returns the reasons that depend only on the length of the payload.
    fn refusals(&self, length: usize) -> Vec<Refusal> {
        let mut refusals = self.state_refusals();
        let (limit, buffered) = (self.model.config.max_buffered_amount, self.model.send.buffered());
        let framing = self.model.send.undelivered().saturating_sub(buffered);
        if length > limit {
            refusals.push(Refusal::TooLong);
        } else if framing > limit || buffered + length > limit {
            refusals.push(Refusal::Full);
        }
        refusals
    }

    /// Checks the result of a call against the reasons to refuse it. Returns whether the core accepted the call.
    fn check(&self, result: Result<(), SendError>, refusals: &[Refusal]) -> bool {
        let refusal = match &result {
            Ok(()) => {
                assert_eq!(refusals, [], "the core accepted what it must refuse");
                return true;
            }
            Err(SendError::BufferFull { .. }) => Refusal::Full,
            Err(SendError::MessageTooLong { limit, .. }) => {
                assert_eq!(*limit, self.model.config.max_buffered_amount);
                Refusal::TooLong
            }
            Err(SendError::CloseCodeNotSendable(_)) => Refusal::Code,
            Err(SendError::ControlPayloadTooLong(_)) => Refusal::ControlTooLong,
            Err(SendError::FragmentKindMismatch) => Refusal::KindMismatch,
            Err(SendError::MessageUnfinished) => Refusal::Unfinished,
            Err(SendError::NotOpen(state)) => {
                assert!(*state == self.engine.websocket().ready_state() && *state != ReadyState::Open, "{state:?}");
                Refusal::NotOpen
            }
            Err(SendError::ReasonTooLong) => Refusal::Reason,
            Err(SendError::Utf8Invalid) => Refusal::Utf8,
            Err(error) => panic!("an error unknown to the simulation: {error}"),
        };
        assert!(refusals.contains(&refusal), "refused as {refusal:?}; the valid reasons are {refusals:?}");
        false
    }
}

/// Sends a message through the method without a choice, or through the one with it.
fn send<'m>(
    ws: &mut WebSocket,
    message: impl Into<Message<'m>>,
    compress: Compress,
) -> Result<(), SendError<Message<'m>>> {
    match compress {
        Compress::AsConfigured => ws.send(message),
        compress => ws.send_with(message, compress),
    }
}

/// Checks that an error returns the message unchanged.
fn check_returned(
    sent: Result<(), SendError<Message<'_>>>,
    kind: MessageKind,
    payload: &[u8],
) -> Result<(), SendError> {
    sent.map_err(|error| {
        error.map(|message| {
            assert_eq!((message.kind(), message.as_bytes()), (kind, payload), "the returned message differs")
        })
    })
}

fn opcode(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 1,
        MessageKind::Binary => 2,
    }
}
