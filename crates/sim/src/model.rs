//! Predicts the state of an endpoint, its `Close` event and when it reads, from what the application did and what was
//! received and delivered. Implements RFC 6455 section 7 and the tables of the closing handshake without code of the
//! core.
//!
//! The [deadline model](crate::deadline_model) checks times.

use std::sync::Arc;

use sansocket::{Close, Config, Error, Initiator, PermessageDeflate, ProtocolError, ReadyState, Role};

use crate::receive_model::{ExpectedEvent, Failure, ReceiveModel};
use crate::send_model::{CloseBody, SendModel};
use crate::strict_inflater::StrictInflater;

/// The phase of the opening handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Opened,
    /// The connection will not open. Holds the error of `receive`, if any.
    Refused(Option<Error>),
}

/// The phase of a connection that is closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosingPhase {
    /// Our Close frame is not delivered yet; after the peer's FIN, our last byte is not.
    Draining,
    /// Our Close frame is delivered, and the peer's has not arrived.
    AwaitingClose,
    /// The closing handshake is over; the end of the stream has not arrived.
    AwaitingEof,
    /// Nothing more can be written.
    WriteLost,
    /// The connection must be closed.
    Finished,
}

/// The expected state of an endpoint.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    pub(crate) phase: Phase,
    /// What was agreed about compression.
    pub(crate) agreed: Option<PermessageDeflate>,
    pub(crate) receive: ReceiveModel,
    pub(crate) send: SendModel,
    pub(crate) initiator: Option<Initiator>,
    /// The code and the reason of the peer's Close frame.
    pub(crate) received: Option<(u16, String)>,
    pub(crate) has_failed: bool,
    /// Our Close frame was delivered.
    close_delivered: bool,
    pub(crate) has_eof: bool,
    pub(crate) write_lost: bool,
    /// The application aborted the connection, or the peer did not answer the keepalive Ping.
    pub(crate) is_aborted: bool,
    /// `Close` was reported.
    pub(crate) has_reported_close: bool,
    /// A failure or a refusal allows the connection to end without a clean close.
    pub(crate) is_disturbed: bool,
}

impl Model {
    pub(crate) fn new(role: Role, config: Arc<Config>) -> Self {
        Self {
            role,
            phase: Phase::Connecting,
            agreed: None,
            receive: ReceiveModel::new(role, Arc::clone(&config)),
            send: SendModel::new(role),
            initiator: None,
            received: None,
            has_failed: false,
            close_delivered: false,
            has_eof: false,
            write_lost: false,
            is_aborted: false,
            has_reported_close: false,
            is_disturbed: false,
            config,
        }
    }

    /// Opens the connection, with what was agreed about compression.
    pub(crate) fn open(&mut self, agreed: Option<PermessageDeflate>) {
        self.phase = Phase::Opened;
        let inflater = |sender: Role| {
            agreed.map(|agreed| match sender {
                Role::Client => {
                    StrictInflater::new(agreed.client_max_window_bits.get(), !agreed.client_no_context_takeover)
                }
                Role::Server => {
                    StrictInflater::new(agreed.server_max_window_bits.get(), !agreed.server_no_context_takeover)
                }
            })
        };
        let peer = if self.role == Role::Client { Role::Server } else { Role::Client };
        self.send.agree(inflater(self.role));
        self.receive.agree(inflater(peer));
        self.agreed = agreed;
    }

    /// Refuses the connection. `response` is the length of the HTTP response that the core has queued.
    pub(crate) fn refuse(&mut self, error: Option<Error>, response: usize) {
        self.is_disturbed = true;
        self.phase = Phase::Refused(error);
        self.send.drop_output();
        self.send.push_handshake(response);
        self.is_aborted = response == 0;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Opened && self.initiator.is_none()
    }

    /// Returns whether the connection is closing, or was refused.
    pub(crate) fn is_closing(&self) -> bool {
        self.initiator.is_some() || matches!(self.phase, Phase::Refused(_))
    }

    /// Returns whether the connection still parses bytes from the peer (1.4, 7.1.7).
    pub(crate) fn is_receiving(&self) -> bool {
        self.phase == Phase::Opened
            && self.received.is_none()
            && !self.has_failed
            && !self.is_aborted
            && !self.has_eof
            && !self.has_reported_close
    }

    /// Closes the connection for the application.
    pub(crate) fn close(&mut self, body: Vec<u8>) {
        self.initiator = Some(Initiator::Local);
        self.send.queue_close(CloseBody::Exact(body), None);
    }

    /// Aborts the connection for the application, and drops the output.
    pub(crate) fn abort(&mut self) {
        self.is_disturbed = true;
        if self.phase == Phase::Connecting {
            self.refuse(None, 0);
        }
        self.is_aborted = true;
        self.initiator.get_or_insert(Initiator::Local);
        self.drop_output();
        self.receive.discard();
    }

    /// Receives a Close frame. 5.5.1: answers it, unless our Close frame is queued or writing has failed.
    pub(crate) fn receive_close(&mut self, code: u16, reason: String) {
        self.initiator.get_or_insert(Initiator::Peer);
        if !self.write_lost {
            let body = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
            self.send.queue_close(CloseBody::Exact(body), None);
        }
        self.received = Some((code, reason));
    }

    /// Fails the connection (7.1.7) with a Close frame. `len` is the number of bytes that are pending now.
    pub(crate) fn fail(&mut self, failure: Failure, len: usize) {
        self.is_disturbed = true;
        self.initiator.get_or_insert(Initiator::Local);
        let code = match failure {
            Failure::Rule(ProtocolError::Utf8Invalid) => 1007,
            Failure::Rule(_) => 1002,
            Failure::Limit("max_empty_fragments", ..) => 1008,
            Failure::Limit(..) => 1009,
        };
        if !self.write_lost {
            self.send.queue_close(CloseBody::Code(code), Some(len));
        }
        self.has_failed = true;
        self.receive.discard();
    }

    /// Fails the connection because the peer did not answer the keepalive Ping.
    pub(crate) fn miss_pong(&mut self) {
        self.abort();
        self.has_failed = true;
    }

    /// Receives the peer's FIN.
    pub(crate) fn receive_eof(&mut self) {
        self.has_eof = true;
        if self.phase == Phase::Opened {
            self.initiator.get_or_insert(Initiator::Peer);
        }
        self.receive.discard();
    }

    /// Notes that writing has failed.
    pub(crate) fn lose_write(&mut self) {
        self.is_disturbed = true;
        self.write_lost = true;
        if self.phase == Phase::Opened {
            self.initiator.get_or_insert(Initiator::Peer);
        }
        self.drop_output();
    }

    /// Drops the output. `buffered_amount` stays.
    pub(crate) fn drop_output(&mut self) {
        self.send.drop_output();
    }

    /// Notes that the transport delivered `count` of the bytes taken.
    pub(crate) fn deliver(&mut self, count: usize) {
        self.send.deliver(count);
        self.close_delivered |= self.send.is_close_delivered();
    }

    /// Returns the phase of closing. Meaningful only if the connection is closing.
    pub(crate) fn closing_phase(&self) -> ClosingPhase {
        let is_over = self.has_reported_close || self.is_aborted;
        match &self.phase {
            _ if is_over => ClosingPhase::Finished,
            _ if self.write_lost && (self.received.is_some() || self.has_eof) => ClosingPhase::Finished,
            Phase::Refused(_) if self.write_lost => ClosingPhase::Finished,
            _ if self.write_lost => ClosingPhase::WriteLost,
            _ if !self.send.is_delivered() => ClosingPhase::Draining,
            _ if self.has_eof => ClosingPhase::Finished,
            Phase::Refused(_) => ClosingPhase::AwaitingEof,
            _ if self.received.is_some() || self.has_failed => ClosingPhase::AwaitingEof,
            _ => ClosingPhase::AwaitingClose,
        }
    }

    /// Returns the phase of closing, or `None` if the connection is not closing.
    pub(crate) fn current_closing_phase(&self) -> Option<ClosingPhase> {
        self.is_closing().then(|| self.closing_phase())
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self.initiator {
            _ if self.has_reported_close => ReadyState::Closed,
            Some(_) => ReadyState::Closing,
            None => ReadyState::Open,
        }
    }

    /// Returns whether the driver must read: while closing, until the end of the stream; while open, always, except for
    /// a server with more undelivered output than `high_water_mark`.
    pub(crate) fn wants_read(&self) -> bool {
        match self.is_closing() {
            false => self.role == Role::Client || self.send.undelivered() <= self.config.high_water_mark,
            true => !self.has_eof && self.closing_phase() != ClosingPhase::Finished,
        }
    }

    /// Checks that the core has delivered everything received before `Close`.
    pub(crate) fn check_unread(&mut self) {
        if self.is_receiving() {
            let unread = self.receive.next();
            assert!(matches!(unread, None | Some(ExpectedEvent::Chunk(..))), "not delivered before Close: {unread:?}");
        }
    }

    /// Checks the `Close` event: code and reason are those of the peer's Close frame, if it arrived (7.1.5, 7.1.6); the
    /// close was clean if our Close frame was delivered too and nothing failed (7.1.4).
    pub(crate) fn check_close(&mut self, close: &Close) {
        assert!(!self.has_reported_close, "a second Close event");
        self.has_reported_close = true;
        let (code, reason) = self.received.clone().unwrap_or((1006, String::new()));
        let was_clean = self.received.is_some() && self.close_delivered && !self.has_failed;
        let expected = (code, reason, was_clean, self.initiator.unwrap_or(Initiator::Peer));
        let actual = (close.code.as_u16(), close.reason.to_string(), close.was_clean, close.initiator);
        assert_eq!(actual, expected, "code, reason, was_clean, initiator of Close");
    }
}
