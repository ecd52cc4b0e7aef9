//! sockudo-ws, with permessage-deflate: its function for the opening handshake agrees to no extension, so this does it
//! with the library's parts.

use std::io;
use std::sync::LazyLock;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use sansocket_benches::CompressionSettings;
use sockudo_ws::deflate::{DeflateWindowBits, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{CompressedWebSocketStream, Config, DeflateConfig, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

static POLICY: LazyLock<DeflateConfig> = LazyLock::new(|| {
    let CompressionSettings { level, window_bits, has_takeover } = CompressionSettings::from_args();
    let window_bits = DeflateWindowBits::try_from(window_bits).expect("a valid window");
    DeflateConfig {
        server_max_window_bits: window_bits,
        client_max_window_bits: window_bits,
        server_no_context_takeover: !has_takeover,
        client_no_context_takeover: !has_takeover,
        compression_level: level.into(),
        ..DeflateConfig::default()
    }
});

fn main() -> io::Result<()> {
    LazyLock::force(&POLICY);
    sansocket_benches::serve(echo)
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut ws = accept(stream).await?;
    while let Some(message) = ws.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.send(message).await?;
        }
    }
    Ok(())
}

async fn accept(mut stream: TcpStream) -> Result<CompressedWebSocketStream<TcpStream>, Error> {
    let mut head = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(Error::ConnectionClosed);
        }
        let Some((request, length)) = parse_request(&head)? else { continue };
        let agreed = request.extensions.and_then(|offers| negotiate_server_deflate(offers, &POLICY));
        let agreed = agreed.ok_or(Error::HandshakeFailed("the client offers no compression"))?;
        let key = generate_accept_key(request.key);
        stream.write_all(&build_response(&key, None, Some(&agreed.to_response_header()))).await?;
        let leftover = (length < head.len()).then(|| head.split_off(length).freeze());
        // Without its timers, which need a runtime that has some: the other servers have none.
        let config = Config::builder().auto_ping(false).idle_timeout(0).build();
        return Ok(CompressedWebSocketStream::server_with_leftover(stream, config, agreed.config, leftover));
    }
}
