//! A [`Layer`] that stands in for TLS and behaves in every awkward way that TLS may: it has a handshake, records that
//! arrive in parts, plaintext that it buffers, and a closing record.
//!
//! A record consists of its kind, the length of its body in two bytes, and the body. A XOR obscures the body of data.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

use sansocket::{Output, Role};
use sansocket_drive::{Layer, LayerScratch};

const HANDSHAKE: u8 = 1;
const DATA: u8 = 2;
const CLOSE: u8 = 3;
const HEAD: usize = 3;
const OBSCURING_KEY: u8 = 0x5A;

/// The state of the layer at one end.
#[derive(Debug)]
pub(crate) struct StallingLayer {
    /// Handshake records that this end has yet to send and to receive.
    handshake_records: [usize; 2],
    role: Role,
    /// The maximum body of a record, and the maximum plaintext returned by a call, in bytes.
    max_record: usize,
    max_plaintext: usize,
    /// An incomplete record.
    received: Vec<u8>,
    /// Plaintext not returned yet.
    plaintext: VecDeque<u8>,
    has_received_close: bool,
    pending: Vec<u8>,
    written: usize,
    /// The records in `pending`: their ends, and the bytes of output that they carry.
    records: VecDeque<(usize, usize)>,
    /// The number of records before one that the layer rejects.
    fails_after: Option<usize>,
    has_failed: bool,
    progress: RefCell<LayerProgress>,
}

/// What the layer has taken and delivered since the last query.
#[derive(Debug, Default)]
pub(crate) struct LayerProgress {
    /// Bytes taken from the core's output.
    pub(crate) taken: Vec<u8>,
    /// The number of bytes of output whose records were fully written.
    pub(crate) delivered: usize,
}

/// The parameters of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerSettings {
    /// Handshake records that each end sends.
    pub(crate) handshake_records: usize,
    pub(crate) max_record: usize,
    pub(crate) max_plaintext: usize,
    pub(crate) fails_after: Option<usize>,
}

impl StallingLayer {
    pub(crate) fn new(role: Role, settings: LayerSettings) -> Self {
        Self {
            handshake_records: [settings.handshake_records; 2],
            role,
            max_record: settings.max_record,
            max_plaintext: settings.max_plaintext,
            received: Vec::new(),
            plaintext: VecDeque::new(),
            has_received_close: false,
            pending: Vec::new(),
            written: 0,
            records: VecDeque::new(),
            fails_after: settings.fails_after,
            has_failed: false,
            progress: RefCell::default(),
        }
    }

    /// Returns what the layer has taken and delivered since the last call.
    pub(crate) fn take_progress(&self) -> LayerProgress {
        self.progress.take()
    }

    /// Returns whether the layer has rejected a record.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn push(&mut self, kind: u8, body: &[u8], carries: usize) {
        let [high, low] = (body.len() as u16).to_be_bytes();
        self.pending.extend([kind, high, low]);
        let mask = if kind == DATA { OBSCURING_KEY } else { 0 };
        self.pending.extend(body.iter().map(|byte| byte ^ mask));
        self.records.push_back((self.pending.len(), carries));
    }

    /// Queues a handshake record if it is this end's turn. The ends alternate; the client begins.
    fn shake_hands(&mut self) {
        let [to_send, to_receive] = self.handshake_records;
        let is_our_turn = match self.role {
            Role::Client => to_send == to_receive,
            Role::Server => to_send > to_receive,
        };
        if to_send > 0 && is_our_turn {
            self.handshake_records[0] -= 1;
            self.push(HANDSHAKE, &[7; 40], 0);
        }
    }

    fn is_open(&self) -> bool {
        self.handshake_records == [0; 2]
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
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the layer rejects this record"));
                }
                Some(remaining) => *remaining -= 1,
                None => {}
            }
            match kind {
                HANDSHAKE => self.handshake_records[1] -= 1,
                DATA => self.plaintext.extend(body.iter().map(|byte| byte ^ OBSCURING_KEY)),
                CLOSE => self.has_received_close = true,
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
        let count = self.plaintext.len().min(self.max_plaintext);
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
        let bytes = output.take_bytes(self.max_record);
        if !bytes.is_empty() {
            self.progress.get_mut().taken.extend_from_slice(&bytes);
            self.push(DATA, &bytes, bytes.len());
        }
    }

    fn close(&mut self) {
        self.push(CLOSE, &[], 0);
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
        self.progress.get_mut().delivered += delivered;
        delivered
    }
}
