//! tokio-tungstenite, tuned: a smaller read buffer, which the library clears before each read, and one flush for all
//! messages that arrived together.

use std::io;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

fn main() -> io::Result<()> {
    sansocket_benches::serve(echo)
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let mut ws = accept_async_with_config(stream, Some(config)).await?;
    let mut next = ws.next().await;
    while let Some(message) = next {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.feed(message).await?;
        }
        next = match ws.next().now_or_never() {
            Some(next) => next,
            None => {
                ws.flush().await?;
                ws.next().await
            }
        };
    }
    Ok(())
}
