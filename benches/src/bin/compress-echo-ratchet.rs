//! ratchet, with permessage-deflate, as its example `autobahn-server`.

use std::io;
use std::sync::LazyLock;

use bytes::BytesMut;
use ratchet_rs::deflate::{Compression, DeflateConfig, DeflateExtProvider, WindowBits};
use ratchet_rs::{Error, Message, PayloadType, SubprotocolRegistry, WebSocketConfig};
use sansocket_benches::CompressionSettings;
use tokio::io::{BufReader, BufWriter};
use tokio::net::TcpStream;

static CONFIG: LazyLock<DeflateConfig> = LazyLock::new(|| {
    let CompressionSettings { level, window_bits, has_takeover } = CompressionSettings::from_args();
    let window_bits = WindowBits::try_from(window_bits).expect("a valid window");
    DeflateConfig {
        server_max_window_bits: window_bits,
        client_max_window_bits: window_bits,
        request_server_no_context_takeover: !has_takeover,
        request_client_no_context_takeover: !has_takeover,
        accept_no_context_takeover: true,
        compression_level: Compression::new(level.into()),
    }
});

fn main() -> io::Result<()> {
    LazyLock::force(&CONFIG);
    sansocket_benches::serve(echo)
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let stream = BufReader::new(BufWriter::new(stream));
    let deflate = DeflateExtProvider::with_config(*CONFIG);
    let upgrader =
        ratchet_rs::accept_with(stream, WebSocketConfig::default(), deflate, SubprotocolRegistry::default()).await?;
    let mut ws = upgrader.upgrade().await?.websocket;
    let mut message = BytesMut::new();
    loop {
        match ws.read(&mut message).await? {
            Message::Text | Message::Binary => {
                ws.write(&mut message, PayloadType::Binary).await?;
                ws.flush().await?;
                message.clear();
            }
            Message::Close(_) => return Ok(()),
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}
