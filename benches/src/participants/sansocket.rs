//! Ours, driven as the adapters do: bytes into a buffer of the caller's, events out of it. Memory is lent for the whole
//! life of the connection, since there is no other: like the buffers that other libraries keep in each of theirs.

use std::io::IoSlice;
use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use sansocket::bytes::Buf;
use sansocket::frame::FrameHeader;
use sansocket::{Accept, Config, Connection, Event, Input, Instant, MessageKind, Output, Scratch, WebSocket};

use super::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Transport};

/// Long enough for a message of 1 MiB in as many fragments as there are in any bench, so that it is unmasked where it lies.
const WHOLE: usize = 5 << 18;

/// So much of a message is moved to the front of the buffer: that costs less than a read of no more than is missing.
const SHORT: usize = 2 << 10;

/// sansocket with a buffer of so many bytes, into which it reads at most so many at a time, and a head. If those are fewer, it
/// is refilled: what is left of a long message stays there, and no more is read than it lacks; of a short one it is moved.
#[derive(Debug)]
pub struct Sansocket<T, const BUFFER: usize = WHOLE, const READ: usize = { 16 << 10 }> {
    connection: Connection,
    transport: T,
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet received.
    start: usize,
    end: usize,
    /// How much a message lacks that was left there.
    missing: usize,
}

impl<T: Transport, const BUFFER: usize, const READ: usize> Sansocket<T, BUFFER, READ> {
    const CAPACITY: usize = if READ < BUFFER { BUFFER } else { 0 };

    fn read(&mut self) {
        let left = self.end - self.start;
        if left <= SHORT || self.end + self.missing > BUFFER {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = left;
            self.start = 0;
        }
        let most = if left > SHORT { self.missing.min(READ) } else { READ + FrameHeader::MAX_SIZE };
        let most = most.min(BUFFER - self.end);
        let count = self.transport.read_into(&mut self.buffer[self.end..self.end + most]);
        assert!(count > 0, "nothing has arrived");
        self.end += count;
    }
}

impl<T: Transport, const BUFFER: usize, const READ: usize> Endpoint<T> for Sansocket<T, BUFFER, READ> {
    fn new(role: Role, transport: T) -> Self {
        let config = Arc::new(Config::default());
        let mut connection = match role {
            // as the adapters; the seed alone is not theirs
            Role::Client => Connection::client(config, StdRng::seed_from_u64(1), Instant::EPOCH),
            Role::Server => Connection::server(config, Instant::EPOCH),
        };
        connection.attach_scratch(&mut Scratch::new());
        Self { connection, transport, buffer: vec![0; BUFFER], start: 0, end: 0, missing: 0 }
    }

    fn receive(&mut self, mut count: usize, mut each: impl FnMut(bool, &[u8])) {
        while count > 0 {
            if self.start == self.end || self.missing > 0 {
                self.read();
            }
            let mut input = Input::refillable(&mut self.buffer[self.start..self.end], Self::CAPACITY);
            while count > 0 {
                match self.connection.receive(&mut input, Instant::EPOCH) {
                    Ok(Some(Event::Message(message))) => {
                        each(message.kind() == MessageKind::Text, message.as_bytes());
                        self.connection.recycle(message);
                    }
                    Ok(None) => break,
                    other => panic!("{other:?}"),
                }
                count -= 1;
            }
            self.missing = input.missing();
            self.start = self.end - input.remaining().len();
        }
    }

    fn send(&mut self, payload: Payload<'_>) {
        match payload {
            Payload::Borrowed(bytes) => self.connection.send(bytes).unwrap(),
            Payload::Owned(bytes) => self.connection.send(bytes).unwrap(),
            Payload::Shared(bytes) => self.connection.send_shared(MessageKind::Binary, bytes).unwrap(),
        }
        let output = self.connection.output();
        while output.has_remaining() {
            let count = write(&mut self.transport, output);
            output.advance(count);
        }
    }
}

/// Writes what lies together, or else the pieces: as the adapters.
#[inline]
fn write(transport: &mut impl Transport, output: &Output) -> usize {
    let chunk = output.chunk();
    if chunk.len() == output.remaining() {
        transport.write(chunk);
        return chunk.len();
    }
    let mut slices = [IoSlice::new(&[]); 4];
    let count = output.chunks_vectored(&mut slices);
    slices[..count].iter().fold(0, |written, slice| {
        transport.write(slice);
        written + slice.len()
    })
}

/// The response of a server to a request.
#[must_use]
pub fn answer(request: &'static [u8], config: &Arc<Config>) -> Vec<u8> {
    let mut exchange = Exchange::new(request);
    let mut buffer = [0; 1024];
    let mut ws = WebSocket::server(Arc::clone(config), Instant::EPOCH);
    let count = exchange.read_into(&mut buffer);
    let mut input = Input::new(&mut buffer[..count]);
    let Ok(Some(Event::Request(_))) = ws.receive(&mut input, Instant::EPOCH) else { panic!("no request") };
    ws.accept(Accept::new(), Instant::EPOCH).unwrap();
    let output = ws.output();
    while output.has_remaining() {
        let count = output.chunk().len();
        exchange.write(output.chunk());
        output.advance(count);
    }
    exchange.response
}
