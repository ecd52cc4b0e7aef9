//! yawc, with limits that allow 1 MiB, and with validation of text, which is off by default.

use futures_util::SinkExt;
use yawc::{Frame, OpCode, Options, WebSocket};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Stream, Transport, block_on};

/// yawc.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct Yawc<T: Transport>(WebSocket<Stream<T>>);

impl<T: Transport> Endpoint<T> for Yawc<T> {
    fn new(role: Role, transport: T) -> Self {
        let role = match role {
            Role::Client => yawc::Role::Client,
            Role::Server => yawc::Role::Server,
        };
        let options = Options::default().with_utf8().with_limits(16 << 20, 32 << 20);
        Self(WebSocket::from_stream(Stream(transport), role, options).unwrap())
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(bool, &[u8])) {
        block_on(async {
            for _ in 0..count {
                let frame = self.0.next_frame().await.unwrap();
                each(frame.opcode() == OpCode::Text, frame.payload());
            }
        });
    }

    fn send(&mut self, payload: Payload<'_>) {
        block_on(self.0.send(Frame::binary(payload.into_bytes()))).unwrap();
    }
}
