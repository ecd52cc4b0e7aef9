//! Counts the bytes of a connection, with a stream that wraps a socket: `cargo run --example counting_stream`.

use std::error::Error;
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sansocket_net::{Acceptor, Connector, Stream};

/// Counts what it reads and writes, and forwards everything to the stream within.
struct Counting<S> {
    inner: S,
    read: usize,
    written: usize,
}

impl<S> Counting<S> {
    fn new(inner: S) -> Self {
        Self { inner, read: 0, written: 0 }
    }
}

impl<S: Stream> Read for Counting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

impl<S: Stream> Write for Counting<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    // Without it, a long message and its header would be written one after the other.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.inner.write_vectored(slices)?;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Stream> Stream for Counting<S> {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.inner.shutdown_write()
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.inner.shutdown_both()
    }

    fn abort(&mut self) -> io::Result<()> {
        self.inner.abort()
    }

    fn outstanding(&self) -> Option<usize> {
        self.inner.outstanding()
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.try_read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let server = thread::spawn(move || {
        let stream = listener.accept()?.0;
        Acceptor::new().incoming(stream).accept()?.finish()
    });
    let mut ws = Connector::new().handshake("ws://localhost/", Counting::new(client))?;
    while ws.read()?.is_some() {} // the server closes
    let Counting { read, written, .. } = ws.into_stream();
    println!("{read} bytes read, {written} written");
    assert!(read > 0 && written > 0);
    assert!(server.join().expect("does not panic")?.was_clean);
    Ok(())
}
