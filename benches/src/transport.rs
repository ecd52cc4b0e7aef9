//! Transports in memory that are always ready. Reading copies bytes once, as `recv` would; writing does not copy,
//! except between the two ends of a pair and for a response. There are no system calls, no runtime and no waiting.

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

/// The size of a read buffer, in bytes: that of the event loop of `sansocket-mio` by default. The participants that
/// leave reading to the application use it too, and so does the floor.
pub const READ: usize = (64 << 10) + 14;

/// One end of a connection.
pub trait Transport: Unpin + 'static {
    /// Passes up to `limit` bytes that have arrived to `put`, and returns how many; 0 if there are none.
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize;

    /// Takes bytes to send.
    fn write(&mut self, bytes: &[u8]);

    /// Reads into `buffer`, and returns how many bytes.
    fn read_into(&mut self, buffer: &mut [u8]) -> usize {
        self.read(buffer.len(), |bytes| wire::copy(&mut buffer[..bytes.len()], bytes))
    }
}

/// Delivers the same bytes again and again. A read ends at the end of a round.
///
/// Copying takes a tenth less time if source and destination have the same offset modulo 32. The allocator decides
/// that: it aligns buffers to 16 bytes. So there are two copies of the bytes with different offsets, which alternate.
#[derive(Clone, Debug)]
pub struct Circle {
    copies: Rc<[u8]>,
    length: usize,
    /// Where this round and the next one begin.
    begin: usize,
    next: usize,
    /// The number of bytes of this round that were read.
    at: usize,
}

impl Circle {
    /// Creates a transport that delivers `wire`.
    #[must_use]
    pub fn new(wire: &[u8]) -> Self {
        let (length, next) = (wire.len(), wire.len().next_multiple_of(32) + 16);
        let mut copies = vec![0; next + length];
        copies[..length].copy_from_slice(wire);
        copies[next..].copy_from_slice(wire);
        Self { copies: copies.into(), length, begin: 0, next, at: 0 }
    }
}

impl Transport for Circle {
    #[inline]
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize {
        let count = limit.min(self.length - self.at);
        put(&self.copies[self.begin + self.at..][..count]);
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

/// Bytes that a [`Sink`] records.
#[derive(Debug, Default)]
pub struct Record {
    /// Whether the sink records.
    pub is_on: Cell<bool>,
    /// The recorded bytes.
    pub bytes: RefCell<Vec<u8>>,
}

/// Discards bytes. It does not copy them, because copying is the system's part and not measured.
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

/// One end of a pair: each reads what the other writes.
#[derive(Debug)]
pub struct End {
    from: Rc<RefCell<Flow>>,
    to: Rc<RefCell<Flow>>,
}

impl End {
    /// Creates both ends.
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

/// Delivers a request, and collects the response.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: &'static [u8],
    /// The response so far.
    pub response: Vec<u8>,
}

impl Exchange {
    /// Creates an exchange for a request.
    #[must_use]
    pub fn new(request: &'static [u8]) -> Self {
        Self { request, response: Vec::with_capacity(512) }
    }
}

impl Transport for Exchange {
    fn read(&mut self, limit: usize, put: impl FnOnce(&[u8])) -> usize {
        let (chunk, rest) = self.request.split_at(limit.min(self.request.len()));
        put(chunk);
        self.request = rest;
        chunk.len()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.response.extend_from_slice(bytes);
    }
}

/// Adapts a transport to the traits of `std::io`, tokio and `futures`.
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
        // without `initialize_unfilled`, as a socket: it zeroes the buffer
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

/// Runs a future that is ready at the first poll.
///
/// # Panics
///
/// If it is pending.
#[inline]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is pending, although the transport is always ready"),
    }
}
