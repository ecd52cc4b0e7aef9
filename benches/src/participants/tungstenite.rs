//! tungstenite, with its default buffers.

use tungstenite::protocol::{self, Message};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Stream, Transport};

/// tungstenite.
#[derive(Debug)]
pub struct Tungstenite<T>(protocol::WebSocket<Stream<T>>);

impl<T: Transport> Endpoint<T> for Tungstenite<T> {
    fn new(role: Role, transport: T) -> Self {
        let role = match role {
            Role::Client => protocol::Role::Client,
            Role::Server => protocol::Role::Server,
        };
        Self(protocol::WebSocket::from_raw_socket(Stream(transport), role, None))
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(bool, &[u8])) {
        for _ in 0..count {
            match self.0.read().unwrap() {
                Message::Text(text) => each(true, text.as_bytes()),
                Message::Binary(bytes) => each(false, &bytes),
                other => panic!("{other:?}"),
            }
        }
    }

    fn send(&mut self, payload: Payload<'_>) {
        self.0.send(Message::Binary(payload.into_bytes())).unwrap();
    }
}

/// Returns the response of a server to a request.
#[must_use]
pub fn answer(request: &'static [u8]) -> Vec<u8> {
    tungstenite::accept(Stream(Exchange::new(request))).unwrap().into_inner().0.response
}
