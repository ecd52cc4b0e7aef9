//! sockudo-ws, with its type for connections that compress.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sockudo_ws::deflate::{DeflateConfig, DeflateWindowBits};
use sockudo_ws::{CompressedWebSocketStream, Config, Message};

use super::participant::{Compressing, Inflating};
use crate::CompressionSettings;
use crate::transport::{Stream, Transport, block_on};

/// sockudo-ws.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct Sockudo<T: Transport>(CompressedWebSocketStream<Stream<T>>);

impl<T: Transport> Compressing<T> for Sockudo<T> {
    fn new(settings: CompressionSettings, transport: T) -> Self {
        let CompressionSettings { level, window_bits, has_takeover } = settings;
        let window_bits = DeflateWindowBits::try_from(window_bits).expect("a valid window");
        let deflate = DeflateConfig {
            server_max_window_bits: window_bits,
            client_max_window_bits: window_bits,
            server_no_context_takeover: !has_takeover,
            client_no_context_takeover: !has_takeover,
            compression_level: level.into(),
            ..DeflateConfig::default()
        };
        let config = Config::builder().max_payload_length(16 << 20).build();
        Self(CompressedWebSocketStream::server(Stream(transport), config, deflate))
    }

    fn send(&mut self, message: &[u8]) {
        block_on(self.0.send(Message::Binary(Bytes::copy_from_slice(message)))).unwrap();
    }
}

impl<T: Transport> Inflating<T> for Sockudo<T> {
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        block_on(async {
            for _ in 0..count {
                each(self.0.next().await.unwrap().unwrap().as_bytes());
            }
        });
    }
}
