//! The streams that a WebSocket runs over.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

/// The shortest timeout: sockets refuse zero.
pub(crate) const SHORTEST_TIMEOUT: Duration = Duration::from_micros(1);

/// A blocking, ordered stream of bytes: TCP, a Unix socket, TLS, a pipe in memory.
///
/// The connection enforces its deadlines ([`Config`](sansocket::Config)) through the timeouts of the stream, so every
/// stream must have them. A stream that wraps another one forwards all methods, as `examples/counting_stream.rs` does:
///
/// ```
#[doc = include_str!("../examples/counting_stream.rs")]
/// ```
///
/// The stream must block: with a non-blocking stream, a waiting thread spins.
pub trait Stream: Read + Write {
    /// Sets the time after which a `read` that received nothing returns [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut); at least one microsecond. If the stream ignored it, a silent peer would
    /// block the thread for ever.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()>;

    /// Sets the time after which a `write` that took nothing returns an error of the same kinds. If the stream ignored
    /// it, a peer that does not read would block the thread for ever.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()>;

    /// Closes the sending direction, so that the peer reads the end of the stream. TLS sends close_notify first.
    ///
    /// # Errors
    ///
    /// The stream's own. [`Unsupported`](io::ErrorKind::Unsupported) if the stream cannot close one direction: the
    /// connection then ends without waiting for the peer, and the last bytes may be lost.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Closes both directions and wakes a thread that blocks in `read` or `write`. Bytes that the stream has taken are
    /// still delivered. A stream that ends only when it is dropped returns `Ok`: its peer then waits until the
    /// application drops the connection.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn shutdown_both(&mut self) -> io::Result<()>;

    /// Closes both directions without waiting for the peer; bytes that it has not acknowledged may be dropped. Sockets
    /// set `SO_LINGER` to zero first.
    ///
    /// The default is [`shutdown_both`](Self::shutdown_both). Its cost over TCP: if the peer never reads, the kernel
    /// keeps the bytes that were sent to it, up to megabytes.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn abort(&mut self) -> io::Result<()> {
        self.shutdown_both()
    }

    /// Returns the number of bytes that the stream has taken and the peer has not acknowledged, if the system reports
    /// it (sockets on Linux). While the number falls, the peer is alive, and no deadline ends the connection.
    ///
    /// The default is `None`. Its cost: a byte counts as delivered when the stream has taken it, and a deadline may end
    /// a connection whose peer is still receiving such bytes.
    fn outstanding(&self) -> Option<usize> {
        None
    }

    /// Reads bytes that have arrived, without waiting for more.
    ///
    /// The default reads with a timeout of one microsecond. Its cost: the system rounds the timeouts of sockets up, on
    /// Linux to between 1 and 10 ms.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut): nothing has arrived. Other
    /// errors are the stream's own.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.set_read_timeout(SHORTEST_TIMEOUT)?;
        self.read(buffer)
    }
}

/// A stream that two threads can use at the same time, as [`WebSocket::split`](crate::WebSocket::split) requires.
pub trait SplitStream: Stream + Sized {
    /// A handle to the stream. The connection reads from one handle and writes to the other.
    type Half: Stream;

    /// Turns the stream into two handles. Shutting down one shuts down both.
    ///
    /// # Errors
    ///
    /// The stream's own. Sockets have none: their handles share one descriptor.
    fn split(self) -> io::Result<(Self::Half, Self::Half)>;
}

/// A handle to a socket that two threads share; dereferences to the socket.
#[derive(Debug)]
pub struct SharedStream<S>(Arc<S>);

impl<S> Deref for SharedStream<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

macro_rules! stream {
    ($stream:ty, $socket:ty) => {
        impl Stream for $stream {
            fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
                <$socket>::set_read_timeout(self, Some(timeout))
            }

            fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
                <$socket>::set_write_timeout(self, Some(timeout))
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                <$socket>::shutdown(self, Shutdown::Write)
            }

            fn shutdown_both(&mut self) -> io::Result<()> {
                <$socket>::shutdown(self, Shutdown::Both)
            }

            fn abort(&mut self) -> io::Result<()> {
                let socket: &$socket = self;
                SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
                self.shutdown_both()
            }

            fn outstanding(&self) -> Option<usize> {
                let socket: &$socket = self;
                sansocket_acked::outstanding(socket)
            }

            #[cfg(unix)]
            fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let socket: &$socket = self;
                let (count, _) = rustix::net::recv(socket, buffer, rustix::net::RecvFlags::DONTWAIT)?;
                Ok(count)
            }

            // A thread that writes meanwhile may get `WouldBlock`, and tries again.
            #[cfg(not(unix))]
            fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.set_nonblocking(true)?;
                let result = self.read(buffer);
                self.set_nonblocking(false)?;
                result
            }
        }
    };
}

/// Implements the traits for a socket and for the [`SharedStream`] of it.
macro_rules! socket {
    ($socket:ty) => {
        stream!($socket, $socket);
        stream!(SharedStream<$socket>, $socket);

        impl SplitStream for $socket {
            type Half = SharedStream<$socket>;

            fn split(self) -> io::Result<(Self::Half, Self::Half)> {
                let socket = Arc::new(self);
                Ok((SharedStream(Arc::clone(&socket)), SharedStream(socket)))
            }
        }

        impl Read for SharedStream<$socket> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&*self.0).read(buffer)
            }
        }

        impl Write for SharedStream<$socket> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                (&*self.0).write(bytes)
            }

            fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self.0).write_vectored(slices)
            }

            fn flush(&mut self) -> io::Result<()> {
                (&*self.0).flush()
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream);

macro_rules! pointer {
    ($pointer:ty) => {
        impl<S: Stream + ?Sized> Stream for $pointer {
            fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }

            fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                (**self).shutdown_write()
            }

            fn shutdown_both(&mut self) -> io::Result<()> {
                (**self).shutdown_both()
            }

            fn abort(&mut self) -> io::Result<()> {
                (**self).abort()
            }

            fn outstanding(&self) -> Option<usize> {
                (**self).outstanding()
            }

            fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (**self).try_read(buffer)
            }
        }
    };
}

pointer!(Box<S>);
pointer!(&mut S);

/// How to end a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Abort,
}

/// Ends both directions of a stream. If that fails, the stream has ended already.
pub(crate) fn end(stream: &mut impl Stream, ending: Ending) {
    let _ = match ending {
        Ending::Close => stream.shutdown_both(),
        Ending::Abort => stream.abort(),
    };
}

/// A stream that is aborted when dropped, unless it was ended or moved out before.
#[derive(Debug)]
pub(crate) struct AbortOnDrop<S: Stream> {
    /// `None` once moved out.
    stream: Option<S>,
    has_ended: bool,
}

impl<S: Stream> AbortOnDrop<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: Some(stream), has_ended: false }
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        self.has_ended = true;
        end(&mut **self, ending);
    }

    pub(crate) fn into_inner(mut self) -> S {
        self.stream.take().expect(PRESENT)
    }
}

const PRESENT: &str = "only `into_inner` moves the stream out";

impl<S: Stream> Deref for AbortOnDrop<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.stream.as_ref().expect(PRESENT)
    }
}

impl<S: Stream> DerefMut for AbortOnDrop<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.stream.as_mut().expect(PRESENT)
    }
}

impl<S: Stream> Drop for AbortOnDrop<S> {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream
            && !self.has_ended
        {
            end(stream, Ending::Abort);
        }
    }
}

/// The timeout that was last set on a stream, so that most reads and writes need not set it.
#[derive(Debug, Default)]
pub(crate) struct Timeout {
    current: Option<Duration>,
}

impl Timeout {
    /// Calls `set` unless the current timeout is between `wanted / 2` and `wanted`. Waking early is harmless: a
    /// deadline takes effect only when it has come.
    pub(crate) fn set(&mut self, wanted: Duration, set: impl FnOnce(Duration) -> io::Result<()>) -> io::Result<()> {
        if self.current.is_none_or(|current| current > wanted || current < wanted / 2) {
            self.current = None;
            set(wanted)?;
            self.current = Some(wanted);
        }
        Ok(())
    }

    /// Forgets the timeout: another method of the stream may have changed it.
    pub(crate) fn forget(&mut self) {
        self.current = None;
    }
}

/// Returns whether a read or write failed because its timeout has passed.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
