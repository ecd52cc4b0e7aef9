//! What leaves an endpoint, read as its peer would: frames that follow the rules, and nothing but what was accepted.

use std::collections::VecDeque;

use sansocket::{MessageKind, Role};

use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Frame, Head, PING, PONG, TEXT};

/// Reads the output of `role` in whatever pieces it comes, and compares it with what was accepted.
#[derive(Debug)]
pub(crate) struct Outbox {
    role: Role,
    /// Whether the head of a handshake message comes first, and is not over.
    is_in_handshake: bool,
    /// Bytes of what is not whole: a head, or a frame.
    pending: Vec<u8>,
    /// Payload bytes of the data frame in `pending`.
    begun: usize,
    /// What was accepted and has not left: kind, payload, and whether the message is whole.
    accepted: VecDeque<(MessageKind, Vec<u8>, bool)>,
    /// Payload of the message on its way, from frames that are whole.
    message: Option<(u8, Vec<u8>)>,
    /// Payload bytes that were accepted, less those that left.
    pub(crate) buffered: usize,
    /// The Pong for the latest Ping that is to be answered.
    owed: Option<Vec<u8>>,
    has_close_begun: bool,
}

impl Outbox {
    pub(crate) fn new(role: Role, is_in_handshake: bool) -> Self {
        Self {
            role,
            is_in_handshake,
            pending: vec![],
            begun: 0,
            accepted: VecDeque::new(),
            message: None,
            buffered: 0,
            owed: None,
            has_close_begun: false,
        }
    }

    /// The endpoint accepted a message, or a fragment of one.
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

    /// The endpoint told of a Ping. 5.5.2: it is answered, unless our Close frame is already on its way.
    pub(crate) fn owe(&mut self, payload: &[u8]) {
        if !self.has_close_begun {
            self.owed = Some(payload.to_vec());
        }
    }

    /// The transport took these bytes.
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
            self.begin(&head, rest.len().min(end) - head.size);
            let Some(frame) = rest.get(..end) else { break };
            self.begun = 0;
            self.check(&wire::frames(frame)[0]);
            rest = &rest[end..];
        }
        if rest.first().is_some_and(|first| first & 0xF == CLOSE) {
            self.has_close_begun = true;
        }
        self.pending = rest.to_vec();
    }

    /// Counts payload as it leaves.
    fn begin(&mut self, head: &Head, left: usize) {
        if head.opcode < CLOSE {
            self.buffered -= left - self.begun;
            self.begun = left;
        }
    }

    fn check(&mut self, frame: &Frame) {
        assert!(!self.has_close_begun || frame.opcode == CLOSE, "{frame:?} behind a Close frame");
        assert_eq!(frame.key.is_some(), self.role == Role::Client, "5.1: a client masks, a server does not");
        assert_eq!(frame.rsv, 0, "no extension was agreed");
        match frame.opcode {
            PONG if self.owed.as_ref() == Some(&frame.payload) => self.owed = None,
            PING | PONG => assert!(frame.fin && frame.payload.len() <= 125),
            CLOSE => {
                assert!(frame.fin && frame.payload.len() <= 125 && frame.payload.len() != 1);
                assert!(self.accepted.iter().all(|(_, _, is_whole)| !is_whole), "Close is last: {:?}", self.accepted);
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
        assert_eq!(accepted, Some((kind, payload, true)), "what was accepted is what leaves");
    }

    /// All output has been taken: nothing is missing.
    pub(crate) fn check_drained(&self) {
        assert_eq!(self.buffered, 0);
        assert_eq!(self.owed, None, "5.5.2: a Ping is answered");
        assert!(self.pending.is_empty(), "a frame was begun and not finished");
        assert!(self.accepted.iter().all(|(_, _, is_whole)| !is_whole), "{:?} never left", self.accepted);
    }
}
