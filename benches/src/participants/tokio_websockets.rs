//! tokio-websockets, as a stream and a sink of messages.

use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Message, ServerBuilder, WebSocketStream};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Stream, Transport, block_on};

/// tokio-websockets.
#[derive(Debug)]
pub struct TokioWebsockets<T: Transport>(WebSocketStream<Stream<T>>);

impl<T: Transport> Endpoint<T> for TokioWebsockets<T> {
    fn new(role: Role, transport: T) -> Self {
        Self(match role {
            Role::Client => ClientBuilder::new().take_over(Stream(transport)),
            Role::Server => ServerBuilder::new().serve(Stream(transport)),
        })
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(bool, &[u8])) {
        block_on(async {
            for _ in 0..count {
                let message = self.0.next().await.unwrap().unwrap();
                each(message.is_text(), message.as_payload());
            }
        });
    }

    fn send(&mut self, payload: Payload<'_>) {
        block_on(self.0.send(Message::binary(payload.into_bytes()))).unwrap();
    }
}

/// Returns the response of a server to a request.
#[must_use]
pub fn answer(request: &'static [u8]) -> Vec<u8> {
    let (_, ws) = block_on(ServerBuilder::new().accept(Stream(Exchange::new(request)))).unwrap();
    ws.into_inner().0.response
}
