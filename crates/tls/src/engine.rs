//! The only file that uses the connections of rustls: it turns the unbuffered API into operations on bytes.
//! rustls 0.24, whose callers own the buffers, needs another implementation of [`Connection`] and no other change.

use std::ops::Deref;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

/// The maximum number of bytes that a record adds to its plaintext: its header, an explicit nonce, its inner type and a
/// tag.
pub(crate) const RECORD_OVERHEAD_MAX: usize = 32;

/// The maximum size of an alert, in bytes.
const ALERT_SIZE_MAX: usize = 2 + RECORD_OVERHEAD_MAX;

/// A TLS connection as operations on bytes. `held` is the input that [`receive`](Self::receive) has not consumed.
pub(crate) trait Connection {
    /// Processes records. Appends their plaintext to `plaintext`, and the records to send to `ciphertext`: handshake
    /// messages, and the alert after an error. Do not call it after an error.
    fn receive(&mut self, input: &mut [u8], plaintext: &mut Vec<u8>, ciphertext: &mut Vec<u8>) -> Received;

    /// Appends records with `plaintext` to `ciphertext`. The handshake is complete.
    fn send(&mut self, held: &mut [u8], plaintext: &[u8], ciphertext: &mut Vec<u8>) -> Result<(), EncryptError>;

    /// Appends a close_notify to `ciphertext`, if the handshake is complete and no alert was sent before.
    fn close(&mut self, held: &mut [u8], ciphertext: &mut Vec<u8>) -> Result<(), EncryptError>;

    /// Appends the answer to a KeyUpdate to `ciphertext`, if one is due. rustls would send it with the next application
    /// data, but an endpoint that only reads sends none.
    fn answer_key_update(&mut self, held: &mut [u8], ciphertext: &mut Vec<u8>) -> Result<(), EncryptError>;
}

/// What [`Connection::receive`] did.
pub(crate) struct Received {
    /// The number of bytes at the front of the input that are not needed any more. Pass the others again, unchanged,
    /// with new bytes appended.
    pub(crate) consumed: usize,
    /// Whether the input contained application data.
    pub(crate) has_plaintext: bool,
    /// Whether the peer has ended its direction. The rest of the input is ignored (RFC 8446 6.1).
    pub(crate) is_closed: bool,
    pub(crate) result: Result<(), Error>,
}

/// A connection of rustls.
pub(crate) enum Engine {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

impl Engine {
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name).map(Self::Client)
    }

    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(Self::Server)
    }

    pub(crate) fn connection(&mut self) -> &mut dyn Connection {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }

    /// Returns what both roles know of the connection.
    pub(crate) fn common(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
}

/// What the two roles of rustls' unbuffered API have in common.
trait Unbuffered: Deref<Target: Deref<Target = CommonState>> {
    type Data;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
}

impl<C: Unbuffered> Connection for C {
    fn receive(&mut self, input: &mut [u8], plaintext: &mut Vec<u8>, ciphertext: &mut Vec<u8>) -> Received {
        let mut received = Received { consumed: 0, has_plaintext: false, is_closed: false, result: Ok(()) };
        loop {
            let UnbufferedStatus { mut discard, state } = self.process(&mut input[received.consumed..]);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        plaintext.extend_from_slice(record.payload);
                        received.has_plaintext = true;
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, ciphertext);
                    false
                }
                // the caller sends all ciphertext in order
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    received.is_closed = true;
                    true
                }
                // Early data needs a configuration that `ServerTls` does not accept.
                Ok(_) => true,
                Err(error) => {
                    received.result = Err(error);
                    true
                }
            };
            received.consumed += discard;
            if is_done {
                break;
            }
        }
        if received.result.is_err() {
            // the alert: rustls panics unless the input is passed again, without what it has discarded
            while self.wants_write()
                && let UnbufferedStatus { discard, state: Ok(ConnectionState::EncodeTlsData(mut data)) } =
                    self.process(&mut input[received.consumed..])
            {
                encode(&mut data, ciphertext);
                received.consumed += discard;
            }
        }
        received
    }

    fn send(&mut self, held: &mut [u8], plaintext: &[u8], ciphertext: &mut Vec<u8>) -> Result<(), EncryptError> {
        let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } = self.process(held) else {
            return Ok(());
        };
        append(ciphertext, plaintext.len() + RECORD_OVERHEAD_MAX, |room| traffic.encrypt(plaintext, room))
    }

    fn close(&mut self, held: &mut [u8], ciphertext: &mut Vec<u8>) -> Result<(), EncryptError> {
        let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } = self.process(held) else {
            return Ok(());
        };
        append(ciphertext, ALERT_SIZE_MAX, |room| traffic.queue_close_notify(room))
    }

    fn answer_key_update(&mut self, held: &mut [u8], ciphertext: &mut Vec<u8>) -> Result<(), EncryptError> {
        let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } = self.process(held) else {
            return Ok(());
        };
        // rustls queues the answer before it finds that the buffer has no room for a record
        match traffic.encrypt(&[0], &mut []) {
            Ok(_) | Err(EncryptError::InsufficientSize(_)) => {}
            Err(error) => return Err(error),
        }
        loop {
            match self.process(held).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, ciphertext),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return Ok(()),
            }
        }
    }
}

/// Appends a handshake message or an alert to `ciphertext`.
fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, ciphertext: &mut Vec<u8>) {
    // the only way to learn the size
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut []) else {
        return;
    };
    let start = ciphertext.len();
    ciphertext.resize(start + required_size, 0);
    let _written = data.encode(&mut ciphertext[start..]);
    debug_assert!(matches!(_written, Ok(written) if written == required_size), "{_written:?}");
}

/// Appends what `encrypt` writes to `ciphertext`: `room` bytes, unless `encrypt` requires more.
fn append(
    ciphertext: &mut Vec<u8>,
    mut room: usize,
    mut encrypt: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    let start = ciphertext.len();
    loop {
        ciphertext.resize(start + room, 0);
        let result = encrypt(&mut ciphertext[start..]);
        ciphertext.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            // a smaller maximum of the record size in the caller's configuration
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) if required_size > room => {
                room = required_size;
            }
            result => return result.map(drop),
        }
    }
}
