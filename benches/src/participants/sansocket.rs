//! sansocket, driven as the adapters do: bytes are read into a buffer of 64 KiB, and events are fetched from it.
//! Scratch is attached for the whole life of the connection: other libraries keep such buffers in each connection too.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Connection, Event, Input, Instant, MessageKind, Output, Scratch, WebSocket};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Transport};

/// The size of the adapters' read buffer.
const READ: usize = 64 << 10;

/// sansocket.
#[derive(Debug)]
pub struct Sansocket<T> {
    connection: Connection,
    transport: T,
    buffer: Vec<u8>,
    /// The range of the buffer that was read and not received yet.
    unread: Range<usize>,
}

impl<T: Transport> Endpoint<T> for Sansocket<T> {
    fn new(role: Role, transport: T) -> Self {
        let config = Arc::new(Config::default());
        let mut connection = match role {
            // as the adapters do, but with a fixed seed
            Role::Client => Connection::client(config, StdRng::seed_from_u64(1), Instant::EPOCH),
            Role::Server => Connection::server(config, Instant::EPOCH),
        };
        connection.attach_scratch(&mut Scratch::new());
        Self { connection, transport, buffer: vec![0; READ], unread: 0..0 }
    }

    fn receive(&mut self, mut count: usize, mut each: impl FnMut(bool, &[u8])) {
        while count > 0 {
            if self.unread.is_empty() {
                self.unread = 0..self.transport.read_into(&mut self.buffer);
                assert!(!self.unread.is_empty(), "nothing has arrived");
            }
            let mut input = Input::new(&mut self.buffer[self.unread.clone()]);
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
            self.unread.start = self.unread.end - input.remaining().len();
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

/// Writes the output as the adapters do: as one slice if it is contiguous, or as several.
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

/// Returns the response of a server to a request.
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
