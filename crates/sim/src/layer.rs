//! A [`Layer`] that stands in for TLS and is awkward wherever TLS may be: it has a handshake of its own, records that
//! arrive in pieces, plaintext that it holds back, and a farewell.
//!
//! A record is its kind, the length of its body in two bytes, and the body; the body of a data record is obscured.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

use sansocket::{Output, Role};
use sansocket_drive::{Layer, LayerScratch};

const HANDSHAKE: u8 = 1;
const DATA: u8 = 2;
const FAREWELL: u8 = 3;
const HEAD: usize = 3;
const OBSCURE: u8 = 0x5A;

/// See the module.
#[derive(Debug)]
pub(crate) struct StallingLayer {
    /// Handshake records that this end still has to send, and to receive.
    flights: [usize; 2],
    role: Role,
    /// The longest body of a record, and the most plaintext returned at a time.
    record: usize,
    piece: usize,
    /// An incomplete record.
    received: Vec<u8>,
    /// Plaintext that is held back.
    plaintext: VecDeque<u8>,
    has_received_close: bool,
    pending: Vec<u8>,
    written: usize,
    /// The records that make up `pending`: where they end, and how many bytes of output they carry.
    records: VecDeque<(usize, usize)>,
    /// After how many more records the peer's bytes make no sense.
    fails_after: Option<usize>,
    has_failed: bool,
    tap: RefCell<Tap>,
}

/// What the layer has done since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// Bytes taken of the output.
    pub(crate) taken: Vec<u8>,
    /// Bytes of output whose records were written whole.
    pub(crate) delivered: usize,
}

/// What a run chooses for the layers of both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Handshake records that each end sends.
    pub(crate) flights: usize,
    pub(crate) record: usize,
    pub(crate) piece: usize,
    pub(crate) fails_after: Option<usize>,
}

impl StallingLayer {
    pub(crate) fn new(role: Role, settings: Settings) -> Self {
        Self {
            flights: [settings.flights; 2],
            role,
            record: settings.record,
            piece: settings.piece,
            received: Vec::new(),
            plaintext: VecDeque::new(),
            has_received_close: false,
            pending: Vec::new(),
            written: 0,
            records: VecDeque::new(),
            fails_after: settings.fails_after,
            has_failed: false,
            tap: RefCell::default(),
        }
    }

    /// Returns what the layer has done since the last call.
    pub(crate) fn take_tap(&self) -> Tap {
        self.tap.take()
    }

    /// Whether the peer's bytes made no sense.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn push(&mut self, kind: u8, body: &[u8], carries: usize) {
        let [high, low] = (body.len() as u16).to_be_bytes();
        self.pending.extend([kind, high, low]);
        let mask = if kind == DATA { OBSCURE } else { 0 };
        self.pending.extend(body.iter().map(|byte| byte ^ mask));
        self.records.push_back((self.pending.len(), carries));
    }

    /// Sends a handshake record if it is this end's turn: the ends take turns, and the client begins.
    fn shake_hands(&mut self) {
        let [to_send, to_receive] = self.flights;
        let is_our_turn = match self.role {
            Role::Client => to_send == to_receive,
            Role::Server => to_send > to_receive,
        };
        if to_send > 0 && is_our_turn {
            self.flights[0] -= 1;
            self.push(HANDSHAKE, &[7; 40], 0);
        }
    }

    fn is_open(&self) -> bool {
        self.flights == [0; 2]
    }

    fn receive(&mut self) -> io::Result<()> {
        while let &[kind, high, low, ..] = self.received.as_slice() {
            let size = HEAD + usize::from(u16::from_be_bytes([high, low]));
            if self.received.len() < size {
                break;
            }
            let body: Vec<u8> = self.received.drain(..size).skip(HEAD).collect();
            match &mut self.fails_after {
                Some(0) => {
                    self.has_failed = true;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a record that makes no sense"));
                }
                Some(left) => *left -= 1,
                None => {}
            }
            match kind {
                HANDSHAKE => self.flights[1] -= 1,
                DATA => self.plaintext.extend(body.iter().map(|byte| byte ^ OBSCURE)),
                FAREWELL => self.has_received_close = true,
                _ => panic!("a record of kind {kind}"),
            }
        }
        Ok(())
    }
}

impl Layer for StallingLayer {
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]> {
        self.received.extend_from_slice(received);
        self.receive()?;
        let count = self.plaintext.len().min(self.piece);
        let plaintext = scratch.plaintext();
        plaintext.clear();
        plaintext.extend(self.plaintext.drain(..count));
        Ok(plaintext)
    }

    fn holds_plaintext(&self) -> bool {
        !self.plaintext.is_empty()
    }

    fn has_received_close(&self) -> bool {
        self.has_received_close
    }

    fn seal(&mut self, output: &mut Output) {
        assert!(self.pending.is_empty(), "seal was called while bytes are pending");
        if !self.is_open() {
            self.shake_hands();
            return;
        }
        let bytes = output.take_bytes(self.record);
        if !bytes.is_empty() {
            self.tap.get_mut().taken.extend_from_slice(&bytes);
            self.push(DATA, &bytes, bytes.len());
        }
    }

    fn close(&mut self) {
        self.push(FAREWELL, &[], 0);
    }

    fn pending(&self) -> &[u8] {
        &self.pending[self.written..]
    }

    fn advance(&mut self, count: usize) -> usize {
        self.written += count;
        let mut delivered = 0;
        while let Some((end, carries)) = self.records.front()
            && *end <= self.written
        {
            delivered += carries;
            self.records.pop_front();
        }
        if self.written == self.pending.len() {
            self.pending.clear();
            self.written = 0;
        }
        self.tap.get_mut().delivered += delivered;
        delivered
    }
}
