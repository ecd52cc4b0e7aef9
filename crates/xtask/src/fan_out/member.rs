//! A connection to the server: a socket, and how much of a burst it has received.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use sansocket_mio::mio::net::TcpStream;

use super::burst::Burst;
use crate::raw::open;

/// An open connection.
#[derive(Debug)]
pub(super) struct Member {
    stream: TcpStream,
    /// The number of bytes received of the current burst.
    received: usize,
}

impl Member {
    /// Connects, and performs the opening handshake.
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let (stream, _) = open(address, None)?;
        Ok(Self { stream, received: 0 })
    }

    /// Returns the socket, for a poll.
    pub(super) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Prepares for the next burst.
    pub(super) fn begin(&mut self) {
        self.received = 0;
    }

    /// Writes as much as the socket takes, and returns the number of bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            result => result.context("cannot publish"),
        }
    }

    /// Reads what has arrived, and compares it with the burst. Returns whether this completes it.
    ///
    /// # Errors
    ///
    /// If anything but the messages of the burst, in order and once each, has arrived, or the connection has ended.
    pub(super) fn receive(&mut self, buffer: &mut [u8], burst: &Burst) -> Result<bool> {
        let begin = self.received;
        loop {
            let bytes = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read"),
            };
            self.check(bytes, burst)?;
            self.received += bytes.len();
            // The socket is empty: the poll reports what arrives later.
            if bytes.len() < buffer.len() {
                break;
            }
        }
        Ok(self.received > begin && self.received == burst.expected().len())
    }

    /// Compares bytes with those that follow the received ones.
    fn check(&self, bytes: &[u8], burst: &Burst) -> Result<()> {
        let expected = &burst.expected()[self.received..];
        if expected.starts_with(bytes) {
            return Ok(());
        }
        let same = bytes.iter().zip(expected).take_while(|(byte, expected)| byte == expected).count();
        ensure!(same < expected.len(), "{} bytes arrived after the last published message", bytes.len() - same);
        let offset = self.received + same;
        bail!(
            "other bytes arrived instead of message {}: a message is missing, repeated, changed or out of order, or \
             the server sent another frame, such as a Ping (byte {offset} of the burst is 0x{:02x}, not 0x{:02x})",
            burst.sequence_number(offset),
            bytes[same],
            expected[same]
        );
    }
}
