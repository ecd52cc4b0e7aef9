//! `Tls`: one TLS connection in terms of bytes, without IO.

use std::fmt;

use rustls::PeerMisbehaved::{TooManyEmptyFragments, TooManyKeyUpdateRequests};
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use sansocket::Role;

use crate::engine::Engine;
use crate::error::TlsError;
use crate::incoming::{Incoming, record_size};
use crate::pending::Pending;

/// The body of the response to a client that speaks plain HTTP, so that the client's error names the cause too.
const USE_TLS: &str = "This port speaks TLS: use wss:// or https:// to reach it.\r\n";

/// One TLS connection, of a client or a server, without IO. It is a [`Layer`](sansocket_drive::Layer) for a
/// [`Driver`](sansocket_drive::Driver); its own methods carry any other bytes, such as HTTP to a proxy.
///
/// * Pass received bytes to [`receive`](Self::receive), and call [`check_eof`](Self::check_eof) at the end of the stream.
/// * Write the bytes of [`pending`](Self::pending) after each call, then call [`advance`](Self::advance).
/// * [`send`](Self::send) data once [`is_open`](Self::is_open), then [`close`](Self::close).
///
/// An open connection that is idle holds no buffer.
///
/// ```
/// # #[cfg(not(all(feature = "self-signed", feature = "ring")))]
/// # fn main() {}
/// # #[cfg(all(feature = "self-signed", feature = "ring"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sansocket_tls::{ClientTls, SelfSigned, ServerTls, Tls};
///
/// fn carry(from: &mut Tls, to: &mut Tls) -> Vec<u8> {
///     let (mut ciphertext, mut plaintext) = (from.pending().to_vec(), Vec::new());
///     from.advance(ciphertext.len());
///     to.receive(&mut ciphertext, &mut plaintext).unwrap();
///     plaintext
/// }
///
/// let certificate = SelfSigned::new(["localhost"])?;
/// let mut client = ClientTls::builder().only_roots(certificate.roots()).build()?.layer("localhost")?;
/// let mut server = ServerTls::new(certificate.identity)?.layer();
/// while !(client.is_open() && server.is_open()) {
///     carry(&mut client, &mut server);
///     carry(&mut server, &mut client);
/// }
/// client.send(b"Hello")?;
/// assert_eq!(carry(&mut client, &mut server), b"Hello");
/// # Ok(())
/// # }
/// ```
pub struct Tls {
    session: Box<Session>,
}

struct Session {
    engine: Engine,
    incoming: Incoming,
    pending: Pending,
    /// The session that carries this one, such as that with a proxy.
    outer: Option<Tls>,
    /// A failure that `receive` has not returned yet.
    failure: Option<Box<TlsError>>,
    records_without_data: u32,
    has_received_record: bool,
    has_received_close: bool,
    has_sent_close: bool,
    has_failed: bool,
}

const _: () = assert!(size_of::<Option<Tls>>() == size_of::<usize>());

impl Tls {
    /// The maximum number of records without application data that a peer may send one after the other after the
    /// handshake: empty ones, KeyUpdates, session tickets.
    pub const MAX_RECORDS_WITHOUT_DATA: u32 = 32;

    /// The maximum number of bytes of a handshake message, with the heads of its records.
    pub const MAX_HANDSHAKE_BYTES: usize = 0xffff;

    /// The maximum number of bytes of plaintext in a record (RFC 8446 5.1).
    pub const MAX_RECORD_PLAINTEXT: usize = 1 << 14;

    pub(crate) fn new(mut engine: Engine) -> Self {
        let mut pending = Pending::default();
        // the first flight of a client
        let received = engine.connection().receive(&mut [], &mut Vec::new(), &mut pending.bytes);
        debug_assert!(received.result.is_ok(), "{:?}", received.result);
        Self {
            session: Box::new(Session {
                engine,
                incoming: Incoming::default(),
                pending,
                outer: None,
                failure: None,
                records_without_data: 0,
                has_received_record: false,
                has_received_close: false,
                has_sent_close: false,
                has_failed: false,
            }),
        }
    }

    /// Carries this connection through another one, which is open: TLS to a server through TLS to a proxy. The
    /// transport then carries the bytes of the outer connection.
    #[must_use]
    pub fn through(mut self, outer: Self) -> Self {
        self.session.outer = Some(outer);
        self.pass_on();
        self
    }

    /// Processes received bytes, which it may overwrite, and appends their plaintext to `plaintext`. Stores an
    /// incomplete record.
    ///
    /// # Errors
    ///
    /// The connection has failed. [`pending`](Self::pending) holds the alert for the peer, if there is one. `plaintext`
    /// holds the data before the failure. Further bytes are ignored.
    pub fn receive(&mut self, ciphertext: &mut [u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        let result = match &mut self.session.outer {
            None => self.session.receive(ciphertext, plaintext),
            Some(outer) => {
                let mut carried = Vec::new();
                let received = outer.receive(ciphertext, &mut carried);
                self.session.receive(&mut carried, plaintext).and(received)
            }
        };
        self.pass_on();
        if let Err(error) = result {
            self.session.has_failed = true;
            return Err(error);
        }
        Ok(())
    }

    /// Checks whether the transport's stream may end now.
    ///
    /// # Errors
    ///
    /// [`TlsError::Truncated`] or [`TlsError::EndedInHandshake`] if the peer has not ended its direction with a
    /// close_notify.
    pub fn check_eof(&self) -> Result<(), TlsError> {
        let session = &self.session;
        let peer = session.peer();
        if session.has_received_close || session.has_failed {
            Ok(())
        } else if self.is_handshaking() {
            Err(TlsError::EndedInHandshake { peer })
        } else {
            Err(TlsError::Truncated { peer })
        }
    }

    /// Encrypts `plaintext` in records of at most [`MAX_RECORD_PLAINTEXT`](Self::MAX_RECORD_PLAINTEXT) bytes.
    ///
    /// # Errors
    ///
    /// [`TlsError::NotOpen`] before the handshake is complete, and after `close` or a failure.
    /// [`TlsError::KeysExhausted`].
    pub fn send(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        if !self.is_open() {
            return Err(TlsError::NotOpen);
        }
        let Session { engine, incoming, pending, .. } = &mut *self.session;
        let result = engine.connection().send(&mut incoming.bytes, plaintext, &mut pending.bytes);
        if result.is_err() {
            self.close();
            self.session.has_failed = true;
            return Err(TlsError::KeysExhausted);
        }
        pending.plaintext += plaintext.len();
        self.pass_on();
        Ok(())
    }

    /// Ends the sending direction with a close_notify, unless it has ended. Data can still be received.
    pub fn close(&mut self) {
        let Session { engine, incoming, pending, has_sent_close, has_failed, .. } = &mut *self.session;
        if !*has_failed && !std::mem::replace(has_sent_close, true) {
            // fails only if the handshake is not complete
            let _ = engine.connection().close(&mut incoming.bytes, &mut pending.bytes);
        }
        self.pass_on();
        if let Some(outer) = &mut self.session.outer {
            outer.close();
        }
    }

    /// Removes `count` bytes that the transport has taken from the front of the pending bytes. Returns the number of
    /// bytes of plaintext that were delivered with them: those of all records, once all bytes are written.
    pub fn advance(&mut self, count: usize) -> usize {
        let Session { pending, outer, .. } = &mut *self.session;
        let count = outer.as_mut().map_or(count, |outer| outer.advance(count));
        pending.advance(count)
    }

    /// Returns the bytes to write to the transport.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        match &self.session.outer {
            Some(outer) => outer.pending(),
            None => self.session.pending.remaining(),
        }
    }

    /// Returns whether the handshake is complete, and data can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let session = &self.session;
        !self.is_handshaking() && !session.has_sent_close && !session.has_failed
    }

    /// Returns whether the handshake is not complete. A connection that fails during its handshake remains in it.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.session.engine.common().is_handshaking()
    }

    /// Returns whether the peer has ended its direction with a close_notify.
    #[must_use]
    pub fn has_received_close(&self) -> bool {
        self.session.has_received_close
    }

    /// Returns the version, once it is agreed.
    #[must_use]
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.session.engine.common().protocol_version()
    }

    /// Returns the application protocol (ALPN), if one was agreed.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.session.engine.common().alpn_protocol()
    }

    /// Returns whether the connection resumes a session, once that is known.
    #[must_use]
    pub fn is_resumed(&self) -> Option<bool> {
        self.session.engine.common().handshake_kind().map(|kind| kind == rustls::HandshakeKind::Resumed)
    }

    /// Returns the peer's certificate and the certificates that it has sent with it, if it has one.
    #[must_use]
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.session.engine.common().peer_certificates()
    }

    /// Stores a failure that `take_failure` returns.
    pub(crate) fn set_failure(&mut self, error: TlsError) {
        self.session.failure = Some(Box::new(error));
    }

    pub(crate) fn take_failure(&mut self) -> Option<TlsError> {
        self.session.failure.take().map(|error| *error)
    }

    pub(crate) fn has_failure(&self) -> bool {
        self.session.failure.is_some()
    }

    /// Reserves room for `ciphertext` bytes.
    pub(crate) fn reserve(&mut self, ciphertext: usize) {
        self.session.pending.bytes.reserve_exact(ciphertext);
    }

    /// Passes pending bytes on to the outer connection.
    fn pass_on(&mut self) {
        let Session { pending, outer: Some(outer), has_failed, .. } = &mut *self.session else { return };
        if pending.passed_on < pending.bytes.len() {
            *has_failed |= outer.send(&pending.bytes[pending.passed_on..]).is_err();
            pending.passed_on = pending.bytes.len();
        }
    }
}

impl Session {
    fn receive(&mut self, mut ciphertext: &mut [u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        while !ciphertext.is_empty() && !self.has_received_close && !self.has_failed {
            if self.incoming.bytes.is_empty() {
                let mut record_start = 0;
                let consumed = self.process(ciphertext, &mut record_start, plaintext)?;
                self.incoming = Incoming { bytes: ciphertext[consumed..].to_vec(), record_start };
                return Ok(());
            }
            ciphertext = self.incoming.complete_record(ciphertext);
            let Incoming { mut bytes, mut record_start } = std::mem::take(&mut self.incoming);
            let consumed = self.process(&mut bytes, &mut record_start, plaintext)?;
            self.incoming = Incoming { bytes, record_start };
            self.incoming.discard(consumed);
        }
        Ok(())
    }

    /// Processes the records in `bytes`, one by one. `record_start` is where the first one begins that was not
    /// processed before; it moves to the incomplete record at the end, less the consumed bytes. Returns how many bytes
    /// at the front were consumed.
    fn process(
        &mut self,
        bytes: &mut [u8],
        record_start: &mut usize,
        plaintext: &mut Vec<u8>,
    ) -> Result<usize, TlsError> {
        let mut consumed = 0;
        while let Some(size) = record_size(&bytes[*record_start..]) {
            let end = *record_start + size;
            let available = end.min(bytes.len());
            let was_open = !self.engine.common().is_handshaking();
            // the head of an incomplete record may be invalid
            let input = &mut bytes[consumed..available];
            let received = self.engine.connection().receive(input, plaintext, &mut self.pending.bytes);
            if let Err(error) = received.result {
                return Err(self.failure(error, &bytes[*record_start..]));
            }
            if received.is_closed {
                self.has_received_close = true;
                *record_start = 0;
                return Ok(bytes.len());
            }
            consumed += received.consumed;
            if available < end {
                break;
            }
            *record_start = end;
            self.has_received_record = true;
            if received.has_plaintext {
                self.records_without_data = 0;
            } else if was_open {
                self.note_record_without_data(&mut bytes[consumed..end])?;
            }
            if end - consumed > Tls::MAX_HANDSHAKE_BYTES {
                return Err(TlsError::HandshakeTooLong { peer: self.peer(), limit: Tls::MAX_HANDSHAKE_BYTES });
            }
        }
        *record_start -= consumed;
        Ok(consumed)
    }

    /// Counts a record without data, and answers it if it was a KeyUpdate.
    fn note_record_without_data(&mut self, held: &mut [u8]) -> Result<(), TlsError> {
        self.records_without_data += 1;
        if self.records_without_data > Tls::MAX_RECORDS_WITHOUT_DATA {
            return Err(self.too_many_records_without_data());
        }
        let answered = self.engine.connection().answer_key_update(held, &mut self.pending.bytes);
        answered.map_err(|_| TlsError::KeysExhausted)
    }

    /// Converts an error that the record at the front of `bytes` has caused.
    fn failure(&mut self, error: rustls::Error, bytes: &[u8]) -> TlsError {
        if let rustls::Error::PeerMisbehaved(TooManyEmptyFragments | TooManyKeyUpdateRequests) = error {
            // the limits of rustls are the same
            return self.too_many_records_without_data();
        }
        let first_bytes = (!self.has_received_record).then_some(bytes);
        let error = TlsError::new(error, self.peer(), first_bytes);
        if matches!(error, TlsError::PlainHttp { peer: Role::Client }) {
            let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n";
            self.pending.replace(format!("{head}Content-Length: {}\r\n\r\n{USE_TLS}", USE_TLS.len()).into_bytes());
        }
        error
    }

    fn too_many_records_without_data(&self) -> TlsError {
        TlsError::TooManyRecordsWithoutData { peer: self.peer(), limit: Tls::MAX_RECORDS_WITHOUT_DATA }
    }

    fn peer(&self) -> Role {
        match self.engine {
            Engine::Client(_) => Role::Server,
            Engine::Server(_) => Role::Client,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("peer", &self.session.peer())
            .field("protocol_version", &self.protocol_version())
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}
