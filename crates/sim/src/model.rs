//! What an endpoint must show: its state, what `Close` says, and when it reads. Written anew from RFC 6455 section 7
//! and the tables of the closing handshake, from what the application did, what was received and what was delivered.
//!
//! The model decides nothing about time: see [goals](crate::goals).

use std::sync::Arc;

use sansocket::{Close, Config, Error, Initiator, ProtocolError, ReadyState, Role};

use crate::reading::{Failure, ReadEvent, Reading};
use crate::writing::{Farewell, Writing};

/// How far the opening handshake has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Opened,
    /// It will not open; the error of `receive`, if any.
    Refused(Option<Error>),
}

/// How far the end of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Our Close frame, or after the peer's FIN our last byte, is not delivered.
    Draining,
    /// Our Close frame is delivered, the peer's has not come.
    AwaitingClose,
    /// There is nothing more to say.
    AwaitingEnd,
    /// Nothing more can be written.
    WriteLost,
    /// The connection must have ended.
    Over,
}

/// An endpoint as it must be.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    pub(crate) phase: Phase,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    pub(crate) initiator: Option<Initiator>,
    /// The code and the reason of the peer's Close frame.
    pub(crate) received: Option<(u16, String)>,
    pub(crate) has_failed: bool,
    /// Our Close frame was delivered.
    close_delivered: bool,
    pub(crate) has_eof: bool,
    pub(crate) write_lost: bool,
    /// The application aborted the connection, or the peer did not answer the Ping of keepalive.
    pub(crate) is_abandoned: bool,
    /// `Close` was reported.
    pub(crate) has_ended: bool,
    /// Whether something went wrong that no endpoint can help.
    pub(crate) is_disturbed: bool,
}

impl Model {
    pub(crate) fn new(role: Role, config: Arc<Config>) -> Self {
        Self {
            role,
            phase: Phase::Connecting,
            reading: Reading::new(role, Arc::clone(&config)),
            writing: Writing::new(role),
            initiator: None,
            received: None,
            has_failed: false,
            close_delivered: false,
            has_eof: false,
            write_lost: false,
            is_abandoned: false,
            has_ended: false,
            is_disturbed: false,
            config,
        }
    }

    pub(crate) fn open(&mut self) {
        self.phase = Phase::Opened;
    }

    /// The connection will not open. `response`: the length of what the client is told.
    pub(crate) fn refuse(&mut self, error: Option<Error>, response: usize) {
        self.is_disturbed = true;
        self.phase = Phase::Refused(error);
        self.writing.abandon();
        self.writing.push_handshake(response);
        self.is_abandoned = response == 0;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Opened && self.initiator.is_none()
    }

    /// Whether the connection, once open or refused, has begun to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.initiator.is_some() || matches!(self.phase, Phase::Refused(_))
    }

    /// Whether bytes from the peer still mean anything (1.4, 7.1.7).
    pub(crate) fn is_listening(&self) -> bool {
        self.phase == Phase::Opened
            && self.received.is_none()
            && !self.has_failed
            && !self.is_abandoned
            && !self.has_eof
            && !self.has_ended
    }

    /// The application closes.
    pub(crate) fn close(&mut self, body: Vec<u8>) {
        self.initiator = Some(Initiator::Local);
        self.writing.close(Farewell::Body(body), None);
    }

    /// The application aborts. The output is dropped.
    pub(crate) fn abort(&mut self) {
        self.is_disturbed = true;
        if self.phase == Phase::Connecting {
            self.refuse(None, 0);
        }
        self.is_abandoned = true;
        self.initiator.get_or_insert(Initiator::Local);
        self.drop_output();
        self.reading.discard();
    }

    /// 5.5.1: a Close frame is answered by one, unless ours is on its way, or there is no way.
    pub(crate) fn receive_close(&mut self, code: u16, reason: String) {
        self.initiator.get_or_insert(Initiator::Peer);
        if !self.write_lost {
            let body = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
            self.writing.close(Farewell::Body(body), None);
        }
        self.received = Some((code, reason));
    }

    /// 7.1.7: a broken rule, or a limit, fails the connection, with a Close frame that tells the peer. `len` is what
    /// waits now.
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
            self.writing.close(Farewell::Code(code), Some(len));
        }
        self.has_failed = true;
        self.reading.discard();
    }

    /// The peer did not answer the Ping of keepalive.
    pub(crate) fn miss_pong(&mut self) {
        self.abort();
        self.has_failed = true;
    }

    /// The connection has taken note of the peer's FIN.
    pub(crate) fn receive_eof(&mut self) {
        self.has_eof = true;
        if self.phase == Phase::Opened {
            self.initiator.get_or_insert(Initiator::Peer);
        }
        self.reading.discard();
    }

    /// Nothing more can be written.
    pub(crate) fn lose_write(&mut self) {
        self.is_disturbed = true;
        self.write_lost = true;
        if self.phase == Phase::Opened {
            self.initiator.get_or_insert(Initiator::Peer);
        }
        self.drop_output();
    }

    /// The output is gone. `buffered_amount` stays.
    pub(crate) fn drop_output(&mut self) {
        self.writing.abandon();
    }

    /// The transport delivered so many of the bytes taken.
    pub(crate) fn deliver(&mut self, count: usize) {
        self.writing.deliver(count);
        self.close_delivered |= self.writing.is_close_delivered();
    }

    /// How far the end has come, once it has begun.
    pub(crate) fn ending(&self) -> Ending {
        let is_over = self.has_ended || self.is_abandoned;
        match &self.phase {
            _ if is_over => Ending::Over,
            _ if self.write_lost && (self.received.is_some() || self.has_eof) => Ending::Over,
            Phase::Refused(_) if self.write_lost => Ending::Over,
            _ if self.write_lost => Ending::WriteLost,
            _ if !self.writing.is_delivered() => Ending::Draining,
            _ if self.has_eof => Ending::Over,
            Phase::Refused(_) => Ending::AwaitingEnd,
            _ if self.received.is_some() || self.has_failed => Ending::AwaitingEnd,
            _ => Ending::AwaitingClose,
        }
    }

    /// The same; `None` before the end begins.
    pub(crate) fn ending_if_any(&self) -> Option<Ending> {
        self.is_ending().then(|| self.ending())
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self.initiator {
            _ if self.has_ended => ReadyState::Closed,
            Some(_) => ReadyState::Closing,
            None => ReadyState::Open,
        }
    }

    /// Whether the driver must read: a closing connection until the end of the stream, an open one unless it is a
    /// server whose client does not take its answers.
    pub(crate) fn wants_read(&self) -> bool {
        match self.is_ending() {
            false => self.role == Role::Client || self.writing.undelivered() <= self.config.high_water_mark,
            true => !self.has_eof && self.ending() != Ending::Over,
        }
    }

    /// Checks that everything that came was told before `Close`.
    pub(crate) fn check_unread(&mut self) {
        if self.is_listening() {
            let unread = self.reading.next();
            assert!(
                matches!(unread, None | Some(ReadEvent::Piece(..))),
                "this was not told before the end: {unread:?}"
            );
        }
    }

    /// Checks how the connection closed: the peer's Close frame if it came (7.1.5, 7.1.6), cleanly if ours was
    /// delivered too and nothing failed (7.1.4).
    pub(crate) fn check_close(&mut self, close: &Close) {
        assert!(!self.has_ended, "Close came twice");
        self.has_ended = true;
        let (code, reason) = self.received.clone().unwrap_or((1006, String::new()));
        let was_clean = self.received.is_some() && self.close_delivered && !self.has_failed;
        let expected = (code, reason, was_clean, self.initiator.unwrap_or(Initiator::Peer));
        let actual = (close.code.as_u16(), close.reason.to_string(), close.was_clean, close.initiator);
        assert_eq!(actual, expected, "code, reason, was_clean, initiator of Close");
    }
}
