//! sockudo-ws, with its defaults.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::{Config, Message, WebSocketStream, handshake};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Stream, Transport, block_on};

/// sockudo-ws.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct Sockudo<T: Transport>(WebSocketStream<Stream<T>>);

impl<T: Transport> Endpoint<T> for Sockudo<T> {
    fn new(role: Role, transport: T) -> Self {
        let role = match role {
            Role::Client => sockudo_ws::Role::Client,
            Role::Server => sockudo_ws::Role::Server,
        };
        Self(WebSocketStream::from_raw(Stream(transport), role, Config::default()))
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(bool, &[u8])) {
        block_on(async {
            for _ in 0..count {
                let message = self.0.next().await.unwrap().unwrap();
                each(message.is_text(), message.as_bytes());
            }
        });
    }

    fn send(&mut self, payload: Payload<'_>) {
        block_on(self.0.send(Message::Binary(payload.into_bytes()))).unwrap();
    }
}

/// Returns the response of a server to a request.
#[must_use]
pub fn answer(request: &'static [u8]) -> Vec<u8> {
    let mut stream = Stream(Exchange::new(request));
    block_on(handshake::server_handshake(&mut stream)).unwrap();
    stream.0.response
}
