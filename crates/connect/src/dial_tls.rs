//! TLS of a client that is dialing: with a proxy, and the layer for the server. Without the feature `tls`, there is
//! none.

use std::io;

use sansocket_drive::Error;

#[cfg(not(feature = "tls"))]
pub(crate) use disabled::DialTls;
#[cfg(feature = "tls")]
pub(crate) use enabled::DialTls;

/// Why an opening handshake failed, which may have run together with that of TLS.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "without TLS, only the opening handshake can fail"))]
pub(crate) enum OpeningFailure {
    /// TLS failed.
    Tls { error: io::Error, is_permanent: bool },
    /// The opening timeout has passed before TLS was ready.
    TlsTimedOut,
    /// The opening handshake itself failed.
    Opening(Error),
}

/// Bytes read from a proxy at a time.
const PROXY_READ: usize = 4096;

#[cfg(feature = "tls")]
mod enabled {
    use std::io::{self, ErrorKind, Read as _, Write as _};

    use mio::net::TcpStream;
    use sansocket_dial::{StartTls, TlsPeer};
    use sansocket_drive::Error;
    use sansocket_drive::sansocket::Error as PeerError;
    use sansocket_tls::{ClientTls, ConfigError, Tls, TlsError};

    use super::{OpeningFailure, PROXY_READ};
    use crate::security::Security;
    use crate::settings::Settings;

    /// The TLS connections of a dial.
    #[derive(Default)]
    pub(crate) struct DialTls {
        /// With the proxy.
        proxy: Option<Tls>,
        /// With the server, through the one with the proxy, if there is one.
        server: Option<Tls>,
    }

    impl DialTls {
        pub(crate) const IS_BUILT_IN: bool = true;

        /// Returns whether a failure of TLS is permanent; `None` if it is another failure.
        pub(crate) fn permanence(error: &io::Error) -> Option<bool> {
            let is_configuration = || error.get_ref().is_some_and(|error| error.is::<ConfigError>());
            TlsError::of(error).map(TlsError::is_permanent).or_else(|| is_configuration().then_some(true))
        }

        /// Returns which of both handshakes failed.
        pub(crate) fn failure_of_opening(error: Error, security: &Security) -> OpeningFailure {
            // a connection whose handshake was complete may have been closed since
            let is_tls_ready = !security.tls().is_some_and(Tls::is_handshaking);
            match error {
                Error::Io(error) => match Self::permanence(&error) {
                    Some(is_permanent) => OpeningFailure::Tls { error, is_permanent },
                    None if !is_tls_ready => OpeningFailure::Tls { error, is_permanent: false },
                    None => OpeningFailure::Opening(error.into()),
                },
                error if is_tls_ready => OpeningFailure::Opening(error),
                Error::Peer(PeerError::Timeout(_)) => OpeningFailure::TlsTimedOut,
                _ => OpeningFailure::Tls { error: ErrorKind::UnexpectedEof.into(), is_permanent: false },
            }
        }

        /// Starts TLS. Returns whether that is all: the handshake with the server runs in the layer.
        pub(crate) fn start(&mut self, settings: &Settings, start: StartTls) -> io::Result<bool> {
            let config = settings.tls.clone().map_or_else(ClientTls::shared, Ok);
            let tls = config.and_then(|config| config.layer(&start.server_name));
            let mut tls = tls.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
            // If the proxy is reached over TLS, the bytes behind its answer have been decrypted. They are no data, which
            // cannot come before the client's part of the handshake.
            tls.receive(&mut Vec::from(start.leftover), &mut Vec::new())?;
            if let Some(proxy) = self.proxy.take() {
                tls = tls.through(proxy);
            }
            let is_server = start.peer == TlsPeer::Server;
            *(if is_server { &mut self.server } else { &mut self.proxy }) = Some(tls);
            Ok(is_server)
        }

        /// Continues the handshake with the proxy. Returns whether it has just become complete.
        pub(crate) fn continue_with_proxy(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
            let Some(tls) = self.proxy.as_mut().filter(|tls| !tls.is_open()) else { return Ok(false) };
            while !tls.is_open() {
                if !flush(tls, stream)? {
                    return Ok(false);
                }
                // a proxy sends nothing before it is asked
                if !tls.is_open() && receive(tls, stream, &mut Vec::new())? == 0 {
                    tls.check_eof()?;
                }
            }
            Ok(true)
        }

        /// Writes bytes to the proxy. Returns how many were taken.
        pub(crate) fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
            let Some(tls) = &mut self.proxy else { return stream.write(bytes) };
            if !flush(tls, stream)? {
                return Err(ErrorKind::WouldBlock.into());
            }
            tls.send(bytes)?;
            // `read` writes what the transport does not take now
            flush(tls, stream)?;
            Ok(bytes.len())
        }

        /// Reads from the proxy. Returns `None` at the end of the stream.
        pub(crate) fn read(&mut self, stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
            let Some(tls) = &mut self.proxy else {
                let mut buffer = vec![0; PROXY_READ];
                let count = stream.read(&mut buffer)?;
                buffer.truncate(count);
                return Ok(Some(buffer).filter(|_| count > 0));
            };
            flush(tls, stream)?;
            if tls.has_received_close() {
                return Ok(None);
            }
            let mut plaintext = Vec::new();
            let is_end = receive(tls, stream, &mut plaintext)? == 0;
            Ok(Some(plaintext).filter(|_| !is_end))
        }

        /// Returns the layer of the WebSocket.
        pub(crate) fn into_layer(self) -> Security {
            self.server.or(self.proxy).into()
        }
    }

    /// Writes pending bytes. Returns whether all are written.
    fn flush(tls: &mut Tls, stream: &mut TcpStream) -> io::Result<bool> {
        while !tls.pending().is_empty() {
            match stream.write(tls.pending()) {
                Ok(count) => _ = tls.advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads once. Returns the number of bytes of ciphertext, 0 at the end of the stream.
    fn receive(tls: &mut Tls, stream: &mut TcpStream, plaintext: &mut Vec<u8>) -> io::Result<usize> {
        let mut buffer = [0; PROXY_READ];
        let count = stream.read(&mut buffer)?;
        let received = tls.receive(&mut buffer[..count], plaintext);
        if received.is_err() {
            // the alert, as far as the transport takes it
            let _ = flush(tls, stream);
        }
        received?;
        Ok(count)
    }
}

#[cfg(not(feature = "tls"))]
mod disabled {
    use std::io::{self, Read as _, Write as _};

    use mio::net::TcpStream;
    use sansocket_dial::StartTls;
    use sansocket_drive::Error;

    use super::{OpeningFailure, PROXY_READ};
    use crate::security::{PLAIN, Security};
    use crate::settings::Settings;

    /// No TLS.
    #[derive(Default)]
    pub(crate) struct DialTls {}

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same interface as with the feature")]
    impl DialTls {
        pub(crate) const IS_BUILT_IN: bool = false;

        pub(crate) const fn permanence(_: &io::Error) -> Option<bool> {
            None
        }

        pub(crate) const fn failure_of_opening(error: Error, _: &Security) -> OpeningFailure {
            OpeningFailure::Opening(error)
        }

        pub(crate) fn start(&mut self, _: &Settings, _: StartTls) -> io::Result<bool> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) const fn continue_with_proxy(&mut self, _: &mut TcpStream) -> io::Result<bool> {
            Ok(false)
        }

        pub(crate) fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
            stream.write(bytes)
        }

        pub(crate) fn read(&mut self, stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
            let mut buffer = vec![0; PROXY_READ];
            let count = stream.read(&mut buffer)?;
            buffer.truncate(count);
            Ok(Some(buffer).filter(|_| count > 0))
        }

        pub(crate) const fn into_layer(self) -> Security {
            PLAIN
        }
    }
}
