//! yawc, with permessage-deflate: over hyper, and without takeover with its pool of codecs.

use std::sync::LazyLock;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sansocket_benches::CompressionSettings;
use tokio::net::TcpStream;
use yawc::{CompressionLevel, DeflatePool, OpCode, Options, UpgradeFut, WebSocket, WebSocketError};

/// The options of every connection, which share a pool.
static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    let CompressionSettings { level, window_bits, has_takeover } = CompressionSettings::from_args();
    let options = Options::default()
        .with_limits(16 << 20, 32 << 20)
        .with_compression_level(CompressionLevel::new(level.into()))
        .with_client_max_window_bits(window_bits)
        .with_server_max_window_bits(window_bits);
    if has_takeover {
        return options;
    }
    options.client_no_context_takeover().server_no_context_takeover().with_deflate_pool(DeflatePool::new(1))
});

fn main() -> std::io::Result<()> {
    LazyLock::force(&OPTIONS);
    sansocket_benches::serve(serve)
}

async fn serve(stream: TcpStream) -> Result<(), hyper::Error> {
    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(accept)).with_upgrades().await
}

async fn accept(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgrade) = WebSocket::upgrade_with_options(&mut request, OPTIONS.clone())?;
    tokio::spawn(async move {
        if let Err(error) = echo(upgrade).await {
            eprintln!("{error}");
        }
    });
    Ok(response)
}

async fn echo(upgrade: UpgradeFut) -> Result<(), WebSocketError> {
    let mut ws = upgrade.await?;
    while let Some(frame) = ws.next().await {
        if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
            ws.send(frame).await?;
        }
    }
    Ok(())
}
