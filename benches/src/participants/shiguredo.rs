//! shiguredo_websocket, which does no IO. This file reads in the pieces of its README (4 KiB), and writes what it
//! returns.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use shiguredo_websocket::{
    ClientConnectionOptions, ConnectionEvent, ConnectionOutput, ConnectionState, Error, RandomSource,
    ServerConnectionOptions, Timestamp, WebSocketClientConnection, WebSocketServerConnection,
};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Transport};

/// The size of the read buffer in the README's example, in bytes. Larger reads are slower: the decoder moves the rest
/// of its buffer after each frame.
const README_READ: usize = 4096;

/// shiguredo_websocket.
#[expect(missing_debug_implementations, reason = "the library's types have none")]
pub struct Shiguredo<T> {
    connection: Connection,
    transport: T,
    buffer: [u8; README_READ],
}

impl<T: Transport> Endpoint<T> for Shiguredo<T> {
    fn new(role: Role, transport: T) -> Self {
        Self { connection: Connection::open(role), transport, buffer: [0; README_READ] }
    }

    fn receive(&mut self, mut count: usize, mut each: impl FnMut(bool, &[u8])) {
        loop {
            // before reading: the last call may have left events
            while count > 0
                && let Some(event) = self.connection.poll_event()
            {
                match event {
                    ConnectionEvent::TextMessage(text) => each(true, text.as_bytes()),
                    ConnectionEvent::BinaryMessage(bytes) => each(false, &bytes),
                    other => panic!("{other:?}"),
                }
                count -= 1;
            }
            if count == 0 {
                return;
            }
            let read = self.transport.read_into(&mut self.buffer);
            self.connection.feed(&self.buffer[..read]).unwrap();
        }
    }

    fn send(&mut self, payload: Payload<'_>) {
        let bytes = match &payload {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => &bytes[..],
            Payload::Shared(bytes) => &bytes[..],
        };
        self.connection.send(bytes).unwrap();
        self.connection.write(|data| self.transport.write(data));
    }
}

/// A connection of either role.
enum Connection {
    Client(Box<WebSocketClientConnection<SeededRandom>>),
    Server(Box<WebSocketServerConnection>),
}

impl Connection {
    /// Returns a connection that is open: it has done the opening handshake with another one, which is dropped.
    fn open(role: Role) -> Self {
        let mut client = Self::Client(Box::new(WebSocketClientConnection::new(
            ClientConnectionOptions::new("server.example.com", "/chat"),
            SeededRandom(StdRng::seed_from_u64(1)),
        )));
        let mut server = Self::Server(Box::new(WebSocketServerConnection::new(ServerConnectionOptions::new())));
        if let Self::Client(client) = &mut client {
            client.connect().unwrap();
        }
        client.write(|request| server.feed(request).unwrap());
        server.write(|response| client.feed(response).unwrap());
        let mut connection = if role == Role::Client { client } else { server };
        let events: Vec<_> = std::iter::from_fn(|| connection.poll_event()).collect();
        let open = ConnectionEvent::StateChanged(ConnectionState::Connected);
        assert!(events.contains(&open), "the opening handshake failed: {events:?}");
        connection
    }

    /// Passes bytes to the connection. A server answers a request at once.
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Client(client) => client.feed_recv_buf(bytes, Timestamp::from_millis(0)),
            Self::Server(server) => {
                server.feed_recv_buf(bytes)?;
                match server.state() {
                    ConnectionState::Connecting => server.accept_handshake_auto(),
                    _ => Ok(()),
                }
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Client(client) => client.send_binary(bytes),
            Self::Server(server) => server.send_binary(bytes),
        }
    }

    fn poll_event(&mut self) -> Option<ConnectionEvent> {
        match self {
            Self::Client(client) => client.poll_event(),
            Self::Server(server) => server.poll_event(),
        }
    }

    fn poll_output(&mut self) -> Option<ConnectionOutput> {
        match self {
            Self::Client(client) => client.poll_output(),
            Self::Server(server) => server.poll_output(),
        }
    }

    /// Passes all bytes to send to `put`. Timers are ignored.
    fn write(&mut self, mut put: impl FnMut(&[u8])) {
        while let Some(output) = self.poll_output() {
            if let ConnectionOutput::SendData(data) = output {
                put(&data);
            }
        }
    }
}

/// Masking keys and the nonce from a generator with a fixed seed.
struct SeededRandom(StdRng);

impl RandomSource for SeededRandom {
    fn masking_key(&mut self) -> [u8; 4] {
        self.0.random()
    }

    fn nonce(&mut self) -> [u8; 16] {
        self.0.random()
    }
}

/// Returns the response of a server to a request.
#[must_use]
pub fn answer(request: &'static [u8]) -> Vec<u8> {
    let mut exchange = Exchange::new(request);
    let mut buffer = [0; README_READ];
    let count = exchange.read_into(&mut buffer);
    let mut server = Connection::Server(Box::new(WebSocketServerConnection::new(ServerConnectionOptions::new())));
    server.feed(&buffer[..count]).unwrap();
    server.write(|data| exchange.write(data));
    exchange.response
}
