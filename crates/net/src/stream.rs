//! What a WebSocket runs over: any blocking stream of bytes, with timeouts and half-closing where it has them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A blocking, ordered stream of bytes: TCP, a Unix socket, TLS, a pipe in memory.
///
/// For a stream of your own an empty `impl Stream for MyStream {}` will do. Deadlines ([`Config`](sansocket::Config)'s
/// timeouts) are kept by the stream's timeouts: a stream without them notices a deadline only when it gets or loses bytes,
/// so that a silent peer can hold its thread.
///
/// The stream must block: one that does not is asked again and again.
pub trait Stream: Read + Write {
    /// After how long a `read` that got nothing returns [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut). Does nothing unless implemented.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }

    /// The same for a `write` that could write nothing. Does nothing unless implemented.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Ok(())
    }

    /// Ends the sending direction, so that the peer reads the end of the stream. Does nothing unless implemented.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends both directions; a `read` or `write` that another thread waits in returns. Does nothing unless implemented:
    /// the end comes when the stream is dropped.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn shutdown_both(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream of which two threads can hold a handle each, as [`WebSocket::split`](crate::WebSocket::split) needs.
///
/// The handles are one stream: it ends for both.
pub trait TryClone: Stream + Sized {
    /// Another handle to the same stream.
    ///
    /// # Errors
    ///
    /// The system has no more handles.
    fn try_clone(&self) -> io::Result<Self>;
}

macro_rules! socket {
    ($socket:ty) => {
        impl Stream for $socket {
            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                <$socket>::set_write_timeout(self, timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn shutdown_both(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Both)
            }
        }

        impl TryClone for $socket {
            fn try_clone(&self) -> io::Result<Self> {
                <$socket>::try_clone(self)
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
            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_read_timeout(timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
                (**self).set_write_timeout(timeout)
            }

            fn shutdown_write(&mut self) -> io::Result<()> {
                (**self).shutdown_write()
            }

            fn shutdown_both(&mut self) -> io::Result<()> {
                (**self).shutdown_both()
            }
        }
    };
}

pointer!(Box<S>);
pointer!(&mut S);

/// The timeout that a stream was last given, so that it is not asked to change it before every read and write.
#[derive(Debug, Default)]
pub(crate) struct Timeout {
    set: Option<Option<Duration>>,
}

impl Timeout {
    /// Calls `set` unless the timeout in force will do: to wait a little less than `wanted` is harmless, for nothing
    /// happens then that was not due.
    pub(crate) fn set(
        &mut self,
        wanted: Option<Duration>,
        set: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let will_do = match (self.set, wanted) {
            (Some(None), None) => true,
            (Some(Some(current)), Some(wanted)) => current <= wanted && current >= wanted / 2,
            _ => false,
        };
        if !will_do {
            self.set = None;
            set(wanted)?;
            self.set = Some(wanted);
        }
        Ok(())
    }
}

/// Whether a read or write stopped because its timeout passed.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether the error says no more than that the peer, or the network, has ended the stream.
pub(crate) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
