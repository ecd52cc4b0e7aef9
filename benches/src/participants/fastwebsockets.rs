//! fastwebsockets, with its `FragmentCollector` for whole messages.

use fastwebsockets::{FragmentCollector, Frame, OpCode, WebSocket};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Stream, Transport, block_on};

/// fastwebsockets.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct Fastwebsockets<T>(FragmentCollector<Stream<T>>);

impl<T: Transport> Endpoint<T> for Fastwebsockets<T> {
    fn new(role: Role, transport: T) -> Self {
        let role = match role {
            Role::Client => fastwebsockets::Role::Client,
            Role::Server => fastwebsockets::Role::Server,
        };
        Self(FragmentCollector::new(WebSocket::after_handshake(Stream(transport), role)))
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(bool, &[u8])) {
        block_on(async {
            for _ in 0..count {
                let frame = self.0.read_frame().await.unwrap();
                each(frame.opcode == OpCode::Text, &frame.payload);
            }
        });
    }

    fn send(&mut self, payload: Payload<'_>) {
        let payload = match &payload {
            Payload::Borrowed(bytes) => (*bytes).into(),
            Payload::Owned(_) => {
                let Payload::Owned(bytes) = payload else { unreachable!() };
                bytes.into()
            }
            Payload::Shared(bytes) => bytes[..].into(),
        };
        block_on(self.0.write_frame(Frame::binary(payload))).unwrap();
    }
}
