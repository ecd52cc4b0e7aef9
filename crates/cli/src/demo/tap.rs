//! A stream that records the bytes it writes, so that the transcript can show them.
//!
//! A `Wire` has a `Tap` for each end, and one record of the writes of both, in order. It also has a valve: while it is
//! shut, writes block, as on a network that accepts no bytes.

use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sansocket_net::sansocket::ProtocolError;
use sansocket_net::sansocket::frame::FrameHeader;
use sansocket_net::{SplitStream, Stream};

/// The longest wait at the valve. Waits are short unless something is wrong.
const VALVE_TIMEOUT: Duration = Duration::from_secs(5);

/// An end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// A complete unit of traffic.
#[derive(Debug)]
pub(super) enum Piece {
    /// The head of a handshake message, with the empty line.
    Head { from: End, bytes: Vec<u8> },
    /// A whole frame.
    Frame { from: End, header: FrameHeader, bytes: Vec<u8> },
    /// The end of one direction.
    Fin { from: End },
}

/// Both directions of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    flow: Mutex<Flow>,
    flow_changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    Shut,
    /// Shut, and a write is blocked.
    Blocked,
}

#[derive(Debug, Default)]
struct Record {
    notes: Vec<(End, Note)>,
    client: Direction,
    server: Direction,
}

#[derive(Debug)]
enum Note {
    Bytes(Vec<u8>),
    Fin,
}

impl Wire {
    pub(super) fn tap(&self, stream: TcpStream, end: End) -> Tap {
        Tap { stream, end, wire: self.clone() }
    }

    /// Returns the pieces that have become complete since the last call.
    ///
    /// # Errors
    ///
    /// The bytes are not valid frames.
    pub(super) fn take_pieces(&self) -> Result<Vec<Piece>, ProtocolError> {
        let mut record = self.record();
        let mut pieces = Vec::new();
        for (from, note) in mem::take(&mut record.notes) {
            let direction = match from {
                End::Client => &mut record.client,
                End::Server => &mut record.server,
            };
            direction.add(from, note, &mut pieces)?;
        }
        Ok(pieces)
    }

    /// Shuts the valve until the returned guard is dropped.
    pub(super) fn shut(&self) -> Valve {
        self.set_flow(Flow::Shut);
        Valve(self.clone())
    }

    fn set_flow(&self, flow: Flow) {
        *self.0.flow.lock().unwrap_or_else(PoisonError::into_inner) = flow;
        self.0.flow_changed.notify_all();
    }

    /// Waits until the flow is `wanted`, for [`VALVE_TIMEOUT`] at most.
    fn wait_for(&self, wanted: Flow) {
        let flow = self.0.flow.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.flow_changed.wait_timeout_while(flow, VALVE_TIMEOUT, |flow| *flow != wanted);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Blocks while the valve is shut.
    fn wait_until_open(&self) {
        let is_shut = *self.0.flow.lock().unwrap_or_else(PoisonError::into_inner) != Flow::Open;
        if is_shut {
            self.set_flow(Flow::Blocked);
            self.wait_for(Flow::Open);
        }
    }

    fn note(&self, end: End, note: Note) {
        self.record().notes.push((end, note));
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shut valve. Dropping it opens it.
#[derive(Debug)]
pub(super) struct Valve(Wire);

impl Valve {
    /// Waits until a write is blocked.
    pub(super) fn wait_until_blocked(&self) {
        self.0.wait_for(Flow::Blocked);
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.0.set_flow(Flow::Open);
    }
}

/// The bytes of one direction that do not form a complete piece yet.
#[derive(Debug, Default)]
struct Direction {
    pending: Vec<u8>,
    had_head: bool,
    had_fin: bool,
}

impl Direction {
    fn add(&mut self, from: End, note: Note, pieces: &mut Vec<Piece>) -> Result<(), ProtocolError> {
        match note {
            Note::Bytes(bytes) => self.pending.extend(bytes),
            Note::Fin if mem::replace(&mut self.had_fin, true) => {}
            Note::Fin => pieces.push(Piece::Fin { from }),
        }
        while let Some(piece) = self.next_piece(from)? {
            pieces.push(piece);
        }
        Ok(())
    }

    fn next_piece(&mut self, from: End) -> Result<Option<Piece>, ProtocolError> {
        if !self.had_head {
            let Some(end) = self.pending.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
            self.had_head = true;
            return Ok(Some(Piece::Head { from, bytes: self.pending.drain(..end + 4).collect() }));
        }
        let Some((header, size)) = FrameHeader::decode(&self.pending)? else { return Ok(None) };
        let size = size + header.payload_length as usize;
        if self.pending.len() < size {
            return Ok(None);
        }
        Ok(Some(Piece::Frame { from, header, bytes: self.pending.drain(..size).collect() }))
    }
}

/// The stream of one end.
#[derive(Debug)]
pub(super) struct Tap {
    stream: TcpStream,
    end: End,
    wire: Wire,
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.wait_until_open();
        // The record stays locked during the write, so that the other end's reaction is recorded after it.
        let mut record = self.wire.record();
        let written = self.stream.write(bytes)?;
        record.notes.push((self.end, Note::Bytes(bytes[..written].to_vec())));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Tap {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.stream, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&mut self.stream, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.wire.note(self.end, Note::Fin);
        self.stream.shutdown_write()
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.wire.note(self.end, Note::Fin);
        self.stream.shutdown_both()
    }
}

impl SplitStream for Tap {
    type Half = Self;

    fn split(self) -> io::Result<(Self, Self)> {
        let other = Self { stream: self.stream.try_clone()?, end: self.end, wire: self.wire.clone() };
        Ok((self, other))
    }
}
