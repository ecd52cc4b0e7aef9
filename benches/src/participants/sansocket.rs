//! sansocket, driven as the event loop of `sansocket-mio` drives it, and in other ways, each of which has a name.

use std::fmt::Debug;
use std::io::IoSlice;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Event, Input, Instant, MessageKind, Output, Scratch, WebSocket};

use super::endpoint::{Endpoint, Payload, Role};
use crate::opened::open;
use crate::transport::{Exchange, READ, Transport};
use crate::wire::From;

/// A way to drive the core.
pub trait Driving: Debug + 'static {
    /// The size of the read buffer, in bytes.
    const BUFFER: usize;
    /// Whether scratch memory is attached for each turn.
    const HAS_SCRATCH: bool;
    /// Whether the application returns the memory of messages that it has handled.
    const RECYCLES: bool;
}

/// As the event loop of `sansocket-mio` does, for a handler that only looks at messages.
#[derive(Debug)]
pub struct EventLoop;

/// With the smaller buffer of `sansocket-net`, and without scratch memory, as it does.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a marker")]
pub struct Blocking;

/// As an event loop whose handler returns the memory of each message.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a marker")]
pub struct Recycling;

/// With a buffer that holds every message of the benches, which is the default of no adapter.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a marker")]
pub struct LargeBuffer;

impl Driving for EventLoop {
    const BUFFER: usize = READ;
    const HAS_SCRATCH: bool = true;
    const RECYCLES: bool = false;
}

impl Driving for Blocking {
    const BUFFER: usize = 16 << 10;
    const HAS_SCRATCH: bool = false;
    const RECYCLES: bool = false;
}

impl Driving for Recycling {
    const BUFFER: usize = READ;
    const HAS_SCRATCH: bool = true;
    const RECYCLES: bool = true;
}

impl Driving for LargeBuffer {
    const BUFFER: usize = (1 << 20) + (256 << 10);
    const HAS_SCRATCH: bool = true;
    const RECYCLES: bool = false;
}

/// sansocket.
#[derive(Debug)]
pub struct Sansocket<T, D = EventLoop> {
    ws: WebSocket,
    transport: T,
    scratch: Scratch,
    buffer: Vec<u8>,
    /// The range of the buffer that was read and not received: a bench may ask for fewer messages than a read has.
    unread: Range<usize>,
    driving: PhantomData<D>,
}

impl<T: Transport, D: Driving> Endpoint<T> for Sansocket<T, D> {
    fn new(role: Role, transport: T) -> Self {
        let (scratch, buffer) = (Scratch::new(), vec![0; D::BUFFER]);
        let end = if role == Role::Client { From::Client } else { From::Server };
        Self { ws: open(end, Config::default()), transport, scratch, buffer, unread: 0..0, driving: PhantomData }
    }

    fn receive(&mut self, mut count: usize, mut each: impl FnMut(bool, &[u8])) {
        while count > 0 {
            count -= self.turn(count, &mut each);
        }
    }

    fn send(&mut self, payload: Payload<'_>) {
        self.attach_scratch();
        match payload {
            Payload::Borrowed(bytes) => self.ws.send(bytes).unwrap(),
            Payload::Owned(bytes) => self.ws.send(bytes).unwrap(),
            Payload::Shared(bytes) => self.ws.send_shared(MessageKind::Binary, bytes).unwrap(),
        }
        self.finish_turn();
    }
}

impl<T: Transport, D: Driving> Sansocket<T, D> {
    /// Does what a turn of the event loop does: attaches the scratch, reads until a read yields a message, dispatches
    /// all messages of that read, writes, and detaches the scratch. Returns the number of messages, at most `max`.
    fn turn(&mut self, max: usize, each: &mut impl FnMut(bool, &[u8])) -> usize {
        self.attach_scratch();
        let mut count = 0;
        while count == 0 {
            if self.unread.is_empty() {
                self.unread = 0..self.transport.read_into(&mut self.buffer);
                assert!(!self.unread.is_empty(), "nothing has arrived");
            }
            let mut input = Input::new(&mut self.buffer[self.unread.clone()]);
            while count < max {
                match self.ws.receive(&mut input, Instant::EPOCH) {
                    Ok(Some(Event::Message(message))) => {
                        each(message.kind() == MessageKind::Text, message.as_bytes());
                        if D::RECYCLES {
                            self.ws.recycle(message);
                        }
                    }
                    Ok(None) => break,
                    other => panic!("{other:?}"),
                }
                count += 1;
            }
            self.unread.start = self.unread.end - input.remaining().len();
        }
        self.finish_turn();
        count
    }

    #[inline]
    fn attach_scratch(&mut self) {
        if D::HAS_SCRATCH {
            self.ws.attach_scratch(&mut self.scratch);
        }
    }

    /// Writes the output, and detaches the scratch.
    #[inline]
    fn finish_turn(&mut self) {
        let output = self.ws.output();
        while output.has_remaining() {
            let count = write(&mut self.transport, output);
            output.advance(count);
        }
        if D::HAS_SCRATCH {
            self.ws.detach_scratch(&mut self.scratch);
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
