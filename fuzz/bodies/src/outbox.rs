//! Parses the output of an endpoint as its peer would: frames must follow the rules, and contain exactly what was
//! accepted.

use std::collections::VecDeque;

use sansocket::{MessageKind, Role};

use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, Head, PING, PONG, TEXT};

/// Parses the output of `role` in any pieces, and compares it with what was accepted.
#[derive(Debug)]
pub(crate) struct Outbox {
    role: Role,
    /// Whether the head of the opening handshake is still incomplete.
    is_in_handshake: bool,
    /// Bytes of an incomplete head or frame.
    pending: Vec<u8>,
    /// The payload bytes in `pending` that `buffered` no longer counts.
    counted: usize,
    /// Messages accepted and not sent: kind, payload, and whether the message is complete.
    accepted: VecDeque<(MessageKind, Vec<u8>, bool)>,
    /// Opcode and payload of the message that is partly sent, from complete frames.
    message: Option<(u8, Vec<u8>)>,
    /// The number of payload bytes accepted and not sent.
    pub(crate) buffered: usize,
    /// The payload of the Pong for the latest Ping.
    due_pong: Option<Vec<u8>>,
    has_close_begun: bool,
}

impl Outbox {
    pub(crate) fn new(role: Role, is_in_handshake: bool) -> Self {
        Self {
            role,
            is_in_handshake,
            pending: vec![],
            counted: 0,
            accepted: VecDeque::new(),
            message: None,
            buffered: 0,
            due_pong: None,
            has_close_begun: false,
        }
    }

    /// Adds a message or a fragment that the endpoint accepted.
    pub(crate) fn accept(&mut self, kind: MessageKind, payload: &[u8], begins: bool, ends: bool) {
        self.buffered += payload.len();
        match self.accepted.back_mut() {
            Some((_, message, is_whole)) if !begins => {
                message.extend_from_slice(payload);
                *is_whole = ends;
            }
            _ => self.accepted.push_back((kind, payload.to_vec(), ends)),
        }
    }

    /// Expects a Pong for a received Ping (5.5.2), unless the Close frame is partly sent.
    pub(crate) fn expect_pong(&mut self, payload: &[u8]) {
        if !self.has_close_begun {
            self.due_pong = Some(payload.to_vec());
        }
    }

    /// Takes output of the endpoint.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.is_in_handshake {
            let end = self.pending.windows(4).position(|window| window == b"\r\n\r\n");
            let Some(end) = end else { return };
            self.pending.drain(..end + 4);
            self.is_in_handshake = false;
        }
        let pending = std::mem::take(&mut self.pending);
        let mut rest = &pending[..];
        while let Some(head) = wire::head(rest) {
            let end = head.size + head.length as usize;
            self.count(&head, rest.len().min(end) - head.size);
            let Some(frame) = rest.get(..end) else { break };
            self.counted = 0;
            self.check(&wire::frames(frame)[0]);
            rest = &rest[end..];
        }
        if rest.first().is_some_and(|first| first & 0xF == CLOSE) {
            self.has_close_begun = true;
        }
        self.pending = rest.to_vec();
    }

    /// Subtracts sent payload of a data frame from `buffered`. `sent` is the payload sent of this frame.
    fn count(&mut self, head: &Head, sent: usize) {
        if head.opcode < CLOSE {
            self.buffered -= sent - self.counted;
            self.counted = sent;
        }
    }

    fn check(&mut self, frame: &Frame) {
        assert!(!self.has_close_begun || frame.opcode == CLOSE, "{frame:?} after the Close frame");
        assert_eq!(frame.key.is_some(), self.role == Role::Client, "5.1: a client masks, a server does not");
        assert_eq!(frame.rsv, 0, "no extension was agreed");
        match frame.opcode {
            PONG if self.due_pong.as_ref() == Some(&frame.payload) => self.due_pong = None,
            PING | PONG => assert!(frame.fin && frame.payload.len() <= 125),
            CLOSE => {
                assert!(frame.fin && frame.payload.len() <= 125 && frame.payload.len() != 1);
                assert!(
                    self.accepted.iter().all(|(_, _, is_whole)| !is_whole),
                    "the Close frame precedes {:?}",
                    self.accepted
                );
                self.has_close_begun = true;
            }
            _ => self.data(frame),
        }
    }

    fn data(&mut self, frame: &Frame) {
        let (opcode, mut payload) = match (frame.opcode, self.message.take()) {
            (CONTINUATION, Some(message)) => message,
            (TEXT | BINARY, None) => (frame.opcode, vec![]),
            (opcode, message) => panic!("5.4: opcode {opcode} after {message:?}"),
        };
        payload.extend_from_slice(&frame.payload);
        if !frame.fin {
            self.message = Some((opcode, payload));
            return;
        }
        let kind = if opcode == TEXT { MessageKind::Text } else { MessageKind::Binary };
        let accepted = self.accepted.pop_front();
        assert_eq!(accepted, Some((kind, payload, true)), "the message sent and the one accepted");
    }

    /// Checks that nothing is missing after all output was taken.
    pub(crate) fn check_drained(&self) {
        assert_eq!(self.buffered, 0);
        assert_eq!(self.due_pong, None, "5.5.2: a Ping was not answered");
        assert!(self.pending.is_empty(), "the last frame is incomplete");
        assert!(self.accepted.iter().all(|(_, _, is_whole)| !is_whole), "not sent: {:?}", self.accepted);
    }
}
