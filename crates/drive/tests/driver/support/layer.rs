//! A layer that stands in for TLS: it has a handshake, records and a close message, but no secrets.

use std::io;

use sansocket::{Output, Role};
use sansocket_drive::{Layer, LayerScratch};

pub(crate) const HELLO: u8 = 1;
pub(crate) const DATA: u8 = 2;
pub(crate) const GOODBYE: u8 = 3;
pub(crate) const ALERT: u8 = 4;

/// A record's head: its kind and the length of its body.
const HEAD_SIZE: usize = 3;
/// The key that encrypts a record: each byte is XORed with it.
const KEY: u8 = 0x55;

/// The records of one end. A body is encrypted, and followed by a checksum.
#[derive(Debug)]
pub(crate) struct Records {
    /// The most plaintext bytes of a record.
    pub(crate) record_size: usize,
    /// The most plaintext bytes that `open` returns.
    pub(crate) scratch_size: usize,
    has_sent_hello: bool,
    pub(crate) is_open: bool,
    has_received_close: bool,
    pub(crate) has_closed: bool,
    /// Received bytes that are not opened yet.
    received: Vec<u8>,
    /// Ciphertext, of which `written` bytes are written.
    pending: Vec<u8>,
    written: usize,
    /// The number of output bytes in the pending ciphertext.
    plaintext: usize,
}

impl Records {
    pub(crate) fn new(role: Role) -> Self {
        let mut records = Self {
            record_size: 1000,
            scratch_size: 1500,
            has_sent_hello: false,
            is_open: false,
            has_received_close: false,
            has_closed: false,
            received: vec![],
            pending: vec![],
            written: 0,
            plaintext: 0,
        };
        if role == Role::Client {
            records.send_hello();
        }
        records
    }

    fn send_hello(&mut self) {
        if !self.has_sent_hello {
            self.has_sent_hello = true;
            self.pending.extend(record(HELLO, b"hello"));
        }
    }

    /// Returns the kind of the first record and the size of its body, if the record is complete.
    fn front(&self) -> Option<(u8, usize)> {
        let &[kind, high, low] = self.received.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        (self.received.len() > HEAD_SIZE + length).then_some((kind, length))
    }

    fn fail(&mut self) -> io::Error {
        self.received.clear();
        self.pending.extend(record(ALERT, b""));
        io::Error::new(io::ErrorKind::InvalidData, "a broken record")
    }
}

/// Encodes a record.
pub(crate) fn record(kind: u8, plaintext: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((plaintext.len() as u16).to_be_bytes());
    bytes.extend(plaintext.iter().map(|byte| byte ^ KEY));
    bytes.push(checksum(plaintext));
    bytes
}

/// Decodes records into their kinds and plaintexts.
pub(crate) fn records(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = vec![];
    while let &[kind, high, low, ref rest @ ..] = bytes {
        let (body, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])));
        records.push((kind, body.iter().map(|byte| byte ^ KEY).collect()));
        bytes = &rest[1..];
    }
    records
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0x33, |sum, byte| sum ^ byte)
}

impl Layer for Records {
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]> {
        self.received.extend(&*received);
        let plaintext = scratch.plaintext();
        plaintext.clear();
        while let Some((kind, length)) = self.front() {
            let is_first = plaintext.is_empty();
            if !is_first && plaintext.len() + length > self.scratch_size {
                break;
            }
            let body = self.received[HEAD_SIZE..HEAD_SIZE + length].iter().map(|byte| byte ^ KEY);
            let body = body.collect::<Vec<_>>();
            let is_valid = checksum(&body) == self.received[HEAD_SIZE + length];
            match kind {
                HELLO if is_valid => {
                    self.send_hello();
                    self.is_open = true;
                }
                DATA if is_valid && self.is_open => plaintext.extend(body),
                GOODBYE if is_valid => self.has_received_close = true,
                // earlier plaintext is returned first
                _ if !is_first => break,
                _ => return Err(self.fail()),
            }
            self.received.drain(..HEAD_SIZE + length + 1);
        }
        Ok(plaintext)
    }

    fn holds_plaintext(&self) -> bool {
        self.front().is_some()
    }

    fn has_received_close(&self) -> bool {
        self.has_received_close
    }

    fn check_eof(&self) -> io::Result<()> {
        if self.has_received_close { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "truncated")) }
    }

    fn seal(&mut self, output: &mut Output) {
        assert!(self.pending.is_empty(), "the previous ciphertext was not written");
        assert!(!self.has_closed, "output after the close message");
        if self.is_open {
            let bytes = output.take_bytes(self.record_size);
            if !bytes.is_empty() {
                self.plaintext = bytes.len();
                self.pending = record(DATA, &bytes);
            }
        }
    }

    fn close(&mut self) {
        assert!(!self.has_closed, "closed twice");
        self.has_closed = true;
        self.pending.extend(record(GOODBYE, b""));
    }

    fn pending(&self) -> &[u8] {
        &self.pending[self.written..]
    }

    fn advance(&mut self, count: usize) -> usize {
        self.written += count;
        assert!(self.written <= self.pending.len());
        if self.written < self.pending.len() {
            return 0;
        }
        self.pending.clear();
        self.written = 0;
        std::mem::take(&mut self.plaintext)
    }
}
