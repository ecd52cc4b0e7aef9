//! A tap on the wire: a stream that notes what its end writes, so that the transcript can show what travelled.
//!
//! One wire has two taps and one record, in the order in which things happened. It also has a valve: while that is shut,
//! whoever writes waits, as on a network that takes no more.

use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sansocket_net::sansocket::ProtocolError;
use sansocket_net::sansocket::frame::FrameHeader;
use sansocket_net::{SplitStream, Stream};

/// How long one end waits for the other at the valve: a moment, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// One thing that travelled.
#[derive(Debug)]
pub(super) enum Piece {
    /// The head of a handshake message, its empty line included.
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
    /// Shut, and someone waits to write.
    Awaited,
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

    /// What has travelled since this was last asked, as far as it is whole.
    ///
    /// # Errors
    ///
    /// What travelled is not frames.
    pub(super) fn take(&self) -> Result<Vec<Piece>, ProtocolError> {
        let mut record = self.record();
        let mut pieces = Vec::new();
        for (from, note) in mem::take(&mut record.notes) {
            let direction = match from {
                End::Client => &mut record.client,
                End::Server => &mut record.server,
            };
            direction.note(from, note, &mut pieces)?;
        }
        Ok(pieces)
    }

    /// Shuts the valve.
    pub(super) fn shut(&self) -> Valve {
        self.set_flow(Flow::Shut);
        Valve(self.clone())
    }

    fn set_flow(&self, flow: Flow) {
        *self.0.flow.lock().unwrap_or_else(PoisonError::into_inner) = flow;
        self.0.flow_changed.notify_all();
    }

    /// Waits until the flow is as wanted, but not for ever.
    fn wait_for(&self, wanted: Flow) {
        let flow = self.0.flow.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.flow_changed.wait_timeout_while(flow, PATIENCE, |flow| *flow != wanted);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn pass(&self) {
        let is_shut = *self.0.flow.lock().unwrap_or_else(PoisonError::into_inner) != Flow::Open;
        if is_shut {
            self.set_flow(Flow::Awaited);
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

/// A shut valve; opened when dropped.
#[derive(Debug)]
pub(super) struct Valve(Wire);

impl Valve {
    /// Waits until someone waits to write.
    pub(super) fn wait(&self) {
        self.0.wait_for(Flow::Awaited);
    }

    pub(super) fn open(self) {}
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.0.set_flow(Flow::Open);
    }
}

/// The bytes of one direction that are not yet a whole piece.
#[derive(Debug, Default)]
struct Direction {
    pending: Vec<u8>,
    had_head: bool,
    had_fin: bool,
}

impl Direction {
    fn note(&mut self, from: End, note: Note, pieces: &mut Vec<Piece>) -> Result<(), ProtocolError> {
        match note {
            Note::Bytes(bytes) => self.pending.extend(bytes),
            Note::Fin if mem::replace(&mut self.had_fin, true) => {}
            Note::Fin => pieces.push(Piece::Fin { from }),
        }
        while let Some(piece) = self.piece(from)? {
            pieces.push(piece);
        }
        Ok(())
    }

    fn piece(&mut self, from: End) -> Result<Option<Piece>, ProtocolError> {
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

/// One end's stream.
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
        self.wire.pass();
        // The record is kept from the other end meanwhile, so that whatever this brings about is noted after it.
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
