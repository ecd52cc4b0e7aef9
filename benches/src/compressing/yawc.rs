//! yawc, without takeover with its pool of codecs.

use futures_util::SinkExt;
use yawc::{CompressionLevel, DeflatePool, Frame, Options, Role, WebSocket};

use super::participant::{Compressing, Inflating};
use crate::CompressionSettings;
use crate::transport::{Stream, Transport, block_on};

/// yawc.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct Yawc<T: Transport>(WebSocket<Stream<T>>);

impl<T: Transport> Compressing<T> for Yawc<T> {
    fn new(settings: CompressionSettings, transport: T) -> Self {
        let CompressionSettings { level, window_bits, has_takeover } = settings;
        let options = Options::default()
            .with_limits(16 << 20, 32 << 20)
            .with_compression_level(CompressionLevel::new(level.into()));
        let mut agreed =
            format!("permessage-deflate; server_max_window_bits={window_bits}; client_max_window_bits={window_bits}");
        let options = if has_takeover {
            options
        } else {
            agreed.push_str("; server_no_context_takeover; client_no_context_takeover");
            options.with_deflate_pool(DeflatePool::new(1))
        };
        let ws = WebSocket::from_stream_with_extensions(Stream(transport), Role::Server, Some(&agreed), options);
        Self(ws.unwrap())
    }

    fn send(&mut self, message: &[u8]) {
        block_on(self.0.send(Frame::binary(message.to_vec()))).unwrap();
    }
}

impl<T: Transport> Inflating<T> for Yawc<T> {
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        block_on(async {
            for _ in 0..count {
                each(self.0.next_frame().await.unwrap().payload());
            }
        });
    }
}
