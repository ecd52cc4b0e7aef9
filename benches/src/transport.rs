//! Transports in memory that are always ready: what a participant reads is copied once, as `recv` would copy it, and what
//! it writes is looked at. No system call, no runtime, no waiting.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

use crate::wire;

/// One end of a connection.
pub trait Transport: Unpin + 'static {
    /// Hands over up to `limit` bytes that have arrived, and returns how many; 0 if there are none.
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize;

    /// Takes bytes that are to be sent.
    fn write(&mut self, bytes: &[u8]);

    /// Reads into a buffer of the caller's.
    fn read_into(&mut self, buffer: &mut [u8]) -> usize {
        self.read(buffer.len(), |bytes| wire::copy(&mut buffer[..bytes.len()], bytes))
    }
}

/// Bytes that arrive again and again, for ever; a read ends where they do.
///
/// To copy takes a tenth less time if source and destination begin alike within 32 bytes. Who has that luck is decided by
/// where the allocator has put buffers, to a multiple of 16. So the bytes lie in two places that differ in this, and every
/// other round comes from the other one.
#[derive(Clone, Debug)]
pub struct Circle {
    places: Rc<[u8]>,
    length: usize,
    /// Where this round began, and where the next one will.
    begin: usize,
    next: usize,
    /// How many bytes of this round have been read.
    at: usize,
}

impl Circle {
    /// These bytes, from their beginning.
    #[must_use]
    pub fn new(wire: &[u8]) -> Self {
        let (length, next) = (wire.len(), wire.len().next_multiple_of(32) + 16);
        let mut places = vec![0; next + length];
        places[..length].copy_from_slice(wire);
        places[next..].copy_from_slice(wire);
        Self { places: places.into(), length, begin: 0, next, at: 0 }
    }
}

impl Transport for Circle {
    #[inline]
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize {
        let count = limit.min(self.length - self.at);
        put(&self.places[self.begin + self.at..][..count]);
        self.at += count;
        if self.at == self.length {
            self.at = 0;
            mem::swap(&mut self.begin, &mut self.next);
        }
        count
    }

    fn write(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
}

/// What a [`Sink`] keeps while it is told to.
#[derive(Debug, Default)]
pub struct Record {
    /// Whether it keeps.
    pub is_on: Cell<bool>,
    /// What it has kept.
    pub bytes: RefCell<Vec<u8>>,
}

/// Where bytes go that nobody waits for. They are not copied: in what is measured, that would be the system's part.
#[derive(Clone, Debug, Default)]
pub struct Sink(pub Rc<Record>);

impl Transport for Sink {
    fn read(&mut self, _: usize, _: impl FnOnce(&[u8])) -> usize {
        0
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        black_box(bytes);
        if self.0.is_on.get() {
            self.0.bytes.borrow_mut().extend_from_slice(bytes);
        }
    }
}

#[derive(Debug, Default)]
struct Flow {
    bytes: Vec<u8>,
    read: usize,
}

/// One end of a pair: what one writes, the other reads.
#[derive(Debug)]
pub struct End {
    from: Rc<RefCell<Flow>>,
    to: Rc<RefCell<Flow>>,
}

impl End {
    /// Both ends.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (here, there) = <(Rc<RefCell<Flow>>, Rc<RefCell<Flow>>)>::default();
        (Self { from: Rc::clone(&here), to: Rc::clone(&there) }, Self { from: there, to: here })
    }
}

impl Transport for End {
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize {
        let mut flow = self.from.borrow_mut();
        let rest = &flow.bytes[flow.read..];
        let count = limit.min(rest.len());
        put(&rest[..count]);
        flow.read += count;
        if flow.read == flow.bytes.len() {
            flow.bytes.clear();
            flow.read = 0;
        }
        count
    }

    fn write(&mut self, bytes: &[u8]) {
        let flow = &mut self.to.borrow_mut().bytes;
        bytes.chunks(wire::PIECE).for_each(|piece| flow.extend_from_slice(piece));
    }
}

/// A request that has arrived, and the response to it.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: &'static [u8],
    /// What was answered.
    pub response: Vec<u8>,
}

impl Exchange {
    /// This request, unanswered.
    #[must_use]
    pub fn new(request: &'static [u8]) -> Self {
        Self { request, response: Vec::with_capacity(512) }
    }
}

impl Transport for Exchange {
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize {
        let (now, rest) = self.request.split_at(limit.min(self.request.len()));
        put(now);
        self.request = rest;
        now.len()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.response.extend_from_slice(bytes);
    }
}

/// A transport as libraries want it: `std::io`, tokio's traits, those of `futures`.
pub struct Stream<T>(pub T);

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl<T: Transport> Stream<T> {
    fn write_all(&mut self, slices: &[IoSlice<'_>]) -> usize {
        slices.iter().map(|slice| (self.0.write(slice), slice.len()).1).sum()
    }
}

impl<T: Transport> io::Read for Stream<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.read_into(buffer))
    }
}

impl<T: Transport> io::Write for Stream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.write_all(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Transport> tokio::io::AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // not `initialize_unfilled`: a socket does not ask for zeroes
        self.0.read(buffer.remaining(), |bytes| bytes.chunks(wire::PIECE).for_each(|piece| buffer.put_slice(piece)));
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> tokio::io::AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.write_all(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> futures_util::io::AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.0.read_into(buffer)))
    }
}

impl<T: Transport> futures_util::io::AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.write_all(slices)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that waits for nothing.
///
/// # Panics
///
/// It does wait.
#[inline]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits for a transport that is always ready"),
    }
}
