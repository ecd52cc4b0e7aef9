//! A WebSocket over TLS, driven over an in-memory transport.

use std::collections::VecDeque;
use std::io;

use sansocket::bytes::Buf;
use sansocket::{Accept, ClientRequest, Config, Event, Instant, Role, WebSocket};
use sansocket_drive::{Action, Driver, Error, Layer, LayerScratch};

use crate::support::Numbers;

pub(crate) const NOW: Instant = Instant::EPOCH;

/// One direction of a transport.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) bytes: VecDeque<u8>,
    /// The number of bytes that it holds at most.
    pub(crate) capacity: usize,
    pub(crate) has_ended: bool,
}

impl Wire {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }
}

/// One end of a connection, whose application stores what it receives and echoes messages if it is a server's.
pub(crate) struct Endpoint<L: Layer> {
    pub(crate) driver: Driver<L>,
    pub(crate) messages: Vec<Vec<u8>>,
    /// The code of the Close event, and whether the end was clean.
    pub(crate) close: Option<(u16, bool)>,
    pub(crate) errors: Vec<Error>,
    pub(crate) is_open: bool,
    /// The last action: `Close` or `Abort`.
    pub(crate) end: Option<Action>,
    scratch: LayerScratch,
}

impl<L: Layer> Endpoint<L> {
    pub(crate) fn new(role: Role, config: Config, layer: L) -> Self {
        let ws = match role {
            Role::Client => {
                let request = ClientRequest::new("wss://server.example/chat".parse().unwrap());
                WebSocket::client(request, config, sansocket_drive::masking_keys().unwrap(), NOW).unwrap()
            }
            Role::Server => WebSocket::server(config, NOW),
        };
        Self {
            driver: Driver::with_layer(ws, layer),
            messages: Vec::new(),
            close: None,
            errors: Vec::new(),
            is_open: false,
            end: None,
            scratch: LayerScratch::new(),
        }
    }

    /// Receives bytes and all events that they cause.
    pub(crate) fn receive(&mut self, mut bytes: Vec<u8>) {
        let mut input = self.driver.open(&mut bytes, &mut self.scratch);
        while let Some(event) = self.driver.next_event(&mut input, NOW).transpose() {
            match event {
                Ok(Event::Request(_)) => self.driver.accept(Accept::new(), NOW).unwrap(),
                Ok(Event::Open(_)) => self.is_open = true,
                Ok(Event::Message(message)) => self.messages.push(message.into_bytes()),
                Ok(Event::Close(close)) => {
                    assert!(self.close.is_none(), "a second Close event");
                    self.close = Some((close.code.as_u16(), close.was_clean));
                }
                Ok(_) => {}
                Err(error) => {
                    assert!(self.close.is_none(), "an error after Close: {error}");
                    self.errors.push(error);
                }
            }
        }
        assert!(input.is_empty(), "the driver left input");
    }

    /// Reports the end of the stream.
    pub(crate) fn eof(&mut self) {
        self.driver.eof();
        self.receive(Vec::new());
    }

    /// Reports that the connection was reset.
    pub(crate) fn reset(&mut self) {
        self.driver.read_lost(io::ErrorKind::ConnectionReset.into(), NOW);
        self.receive(Vec::new());
    }

    /// Takes all bytes to write, and obeys the driver until it waits for the peer or has ended.
    pub(crate) fn written(&mut self) -> Vec<u8> {
        let mut wire = Wire::new(usize::MAX);
        while self.turn(&mut Wire::default(), &mut wire, None) {}
        wire.bytes.into()
    }

    /// Moves bytes and obeys the driver once; returns whether anything happened. With `numbers`, the bytes move in
    /// random pieces.
    pub(crate) fn turn(&mut self, from: &mut Wire, to: &mut Wire, mut numbers: Option<&mut Numbers>) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut piece = |limit: usize| match &mut numbers {
            Some(numbers) if limit > 1 => numbers.below(limit.min(3_000)) + 1,
            _ => limit,
        };
        let mut has_moved = self.write(to, &mut piece);
        match self.driver.next_action() {
            Action::Wait { read: true, .. } if !from.bytes.is_empty() => {
                let count = piece(from.bytes.len());
                self.receive(from.bytes.drain(..count).collect());
                has_moved = true;
            }
            Action::Wait { read: true, .. } if from.has_ended => {
                self.eof();
                has_moved = true;
            }
            Action::Wait { .. } => {}
            Action::Again => {
                self.receive(Vec::new());
                has_moved = true;
            }
            Action::ShutdownWrite => {
                to.has_ended = true;
                self.driver.write_shut_down();
                has_moved = true;
            }
            action @ (Action::Close | Action::Abort) => {
                to.has_ended = true;
                self.end = Some(action);
            }
        }
        has_moved
    }

    fn write(&mut self, to: &mut Wire, piece: &mut dyn FnMut(usize) -> usize) -> bool {
        let mut has_written = false;
        while !self.driver.has_write_ended() && to.bytes.len() < to.capacity {
            let mut outgoing = self.driver.to_write();
            let room = outgoing.chunk().len().min(to.capacity - to.bytes.len());
            if room == 0 {
                break;
            }
            let count = piece(room);
            to.bytes.extend(&outgoing.chunk()[..count]);
            outgoing.advance(count);
            has_written = true;
        }
        has_written
    }
}

/// Runs two endpoints until nothing moves.
pub(crate) fn run<L: Layer, M: Layer>(
    client: &mut Endpoint<L>,
    server: &mut Endpoint<M>,
    [up, down]: &mut [Wire; 2],
    mut numbers: Option<&mut Numbers>,
) {
    loop {
        let client_moved = client.turn(down, up, numbers.as_deref_mut());
        let server_moved = server.turn(up, down, numbers.as_deref_mut());
        if !client_moved && !server_moved {
            return;
        }
    }
}
