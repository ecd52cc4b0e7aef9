//! tokio-tungstenite over tokio-rustls, with the configuration of rustls that ours has: the same crypto provider and
//! session tickets.

use std::error::Error;
use std::future;
use std::io;
use std::sync::{Arc, LazyLock};

use futures_util::{StreamExt, TryStreamExt};
use sansocket_mio::tls::{SelfSigned, ServerTls};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async;

static ACCEPTOR: LazyLock<TlsAcceptor> = LazyLock::new(|| {
    let certificate = SelfSigned::new(["127.0.0.1"]).expect("a certificate");
    let tls = ServerTls::new(certificate.identity).expect("a configuration");
    TlsAcceptor::from(Arc::clone(tls.config()))
});

fn main() -> io::Result<()> {
    sansocket_benches::serve(echo)
}

async fn echo(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = ACCEPTOR.accept(stream).await?;
    let (write, read) = accept_async(stream).await?.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary())).forward(write).await?;
    Ok(())
}
