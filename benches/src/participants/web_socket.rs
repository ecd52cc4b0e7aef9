//! web-socket, buffered as in its examples. It delivers fragments and does not validate UTF-8: this file does both.

use tokio::io::BufReader;
use web_socket::{DataType, Event, MessageType, Stream as Fragment};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Stream, Transport, block_on};

/// web-socket.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct WebSocket<T> {
    socket: web_socket::WebSocket<BufReader<Stream<T>>>,
    message: Vec<u8>,
}

impl<T: Transport> Endpoint<T> for WebSocket<T> {
    fn new(role: Role, transport: T) -> Self {
        let stream = BufReader::new(Stream(transport));
        let socket = match role {
            Role::Client => web_socket::WebSocket::client(stream),
            Role::Server => web_socket::WebSocket::server(stream),
        };
        Self { socket, message: Vec::new() }
    }

    fn receive(&mut self, mut count: usize, mut each: impl FnMut(bool, &[u8])) {
        let mut deliver = |kind: MessageType, payload: &[u8]| {
            if kind.is_text() {
                str::from_utf8(payload).unwrap();
            }
            each(kind.is_text(), payload);
            count -= 1;
            count > 0
        };
        block_on(async {
            loop {
                let Event::Data { ty, data } = self.socket.recv().await.unwrap() else { panic!("no data") };
                let has_more = match ty {
                    DataType::Complete(kind) => deliver(kind, &data),
                    DataType::Stream(fragment) => {
                        self.message.extend_from_slice(&data);
                        let Fragment::End(kind) = fragment else { continue };
                        let has_more = deliver(kind, &self.message);
                        self.message.clear();
                        has_more
                    }
                };
                if !has_more {
                    break;
                }
            }
        });
    }

    fn send(&mut self, payload: Payload<'_>) {
        let bytes = match &payload {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => &bytes[..],
            Payload::Shared(bytes) => &bytes[..],
        };
        block_on(self.socket.send(bytes)).unwrap();
    }
}
