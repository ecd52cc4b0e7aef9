//! A connection to the server: a socket, and its place in the cycle of messages.

use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sansocket_mio::mio::net::TcpStream;

use super::checker::Checkers;
use super::messages::Messages;
use crate::echo::{Compression, Tally};
use crate::raw::{FrameHead, open};

/// The maximum length of the head of a server's frame, in bytes.
const HEAD_MAX: usize = 10;

/// An open connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    /// Whether all its echoes are checked, rather than the first one only.
    is_first: bool,
    /// The numbers of the next message to send, and of the next one to receive.
    sent: u64,
    received: u64,
    /// The frames that remain to be written.
    unwritten: Range<usize>,
    sent_at: Instant,
    /// The bytes of a frame's head that has not arrived completely.
    head: Vec<u8>,
    /// The number of bytes that remain of a frame's payload; `None` between frames.
    remaining: Option<usize>,
    /// The payload, if this echo is checked.
    payload: Vec<u8>,
}

impl Client {
    /// Connects, and performs the opening handshake.
    pub(super) fn connect(address: SocketAddr, compression: Compression, is_first: bool) -> Result<Self> {
        let (stream, extensions) = open(address, compression.offer().as_deref())?;
        compression.check_response(extensions.as_deref())?;
        Ok(Self {
            stream,
            is_first,
            sent: 0,
            received: 0,
            unwritten: 0..0,
            sent_at: Instant::now(),
            head: Vec::new(),
            remaining: None,
            payload: Vec::new(),
        })
    }

    /// Returns the socket, for a poll.
    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Returns whether all echoes have arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.received == self.sent
    }

    /// Sends the next `count` messages: in one write, unless the socket's buffer is too small.
    pub(super) fn send(&mut self, messages: &Messages, count: usize, now: Instant) -> Result<()> {
        self.unwritten = messages.range(self.sent, count);
        self.sent += count as u64;
        self.sent_at = now;
        self.write(messages)
    }

    /// Writes what remains.
    pub(super) fn write(&mut self, messages: &Messages) -> Result<()> {
        while !self.unwritten.is_empty() {
            match self.stream.write(messages.frames(self.unwritten.clone())) {
                Ok(count) => self.unwritten.start += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot write"),
            }
        }
        Ok(())
    }

    /// Reads what has arrived, and counts the echoes.
    ///
    /// # Errors
    ///
    /// If a checked echo differs from the message, a frame is not a whole message, compressed as this measurement says,
    /// or the connection has ended.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        messages: &Messages,
        checkers: &mut Checkers,
        tally: &mut Tally,
    ) -> Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read"),
            };
            tally.wire_bytes += count as u64;
            let mut bytes = &buffer[..count];
            while !bytes.is_empty() {
                if self.take(&mut bytes, messages.first_byte())? {
                    self.finish(messages, checkers, tally)?;
                }
            }
            // The socket is empty: the poll reports what arrives later.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Takes bytes of one frame. Returns whether it is complete.
    fn take(&mut self, bytes: &mut &[u8], first_byte: u8) -> Result<bool> {
        let remaining = match self.remaining {
            Some(remaining) => remaining,
            None => match self.take_head(bytes) {
                Some(head) => {
                    let byte = head.first;
                    ensure!(byte == first_byte, "a frame begins with 0x{byte:02x} instead of 0x{first_byte:02x}");
                    head.payload
                }
                None => return Ok(false),
            },
        };
        let (payload, rest) = bytes.split_at(remaining.min(bytes.len()));
        if self.is_checked() {
            self.payload.extend_from_slice(payload);
        }
        *bytes = rest;
        let remaining = remaining - payload.len();
        self.remaining = (remaining > 0).then_some(remaining);
        Ok(remaining == 0)
    }

    /// Takes the head of a frame; `None` if it is not complete.
    fn take_head(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let before = self.head.len();
        let count = bytes.len().min(HEAD_MAX - before);
        self.head.extend_from_slice(&bytes[..count]);
        let head = FrameHead::decode(&self.head);
        *bytes = &bytes[head.map_or(count, |head| head.length - before)..];
        if head.is_some() {
            self.head.clear();
        }
        head
    }

    fn finish(&mut self, messages: &Messages, checkers: &mut Checkers, tally: &mut Tally) -> Result<()> {
        let number = self.received;
        ensure!(number < self.sent, "an echo arrived without a message");
        if self.is_checked() {
            let payload = mem::take(&mut self.payload);
            checkers
                .check(payload, messages.payload(number), self.is_first)
                .with_context(|| format!("echo {number}"))?;
        }
        self.received += 1;
        tally.messages += 1;
        tally.add_latency(self.sent_at.elapsed());
        Ok(())
    }

    fn is_checked(&self) -> bool {
        self.is_first || self.received == 0
    }
}
