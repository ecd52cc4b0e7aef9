//! soketto, with permessage-deflate, as its example `autobahn_server`. It has neither takeover nor levels: it compresses
//! at level 1.

use std::io;

use sansocket_benches::CompressionSettings;
use soketto::connection::Error;
use soketto::extension::deflate::Deflate;
use soketto::handshake::{Server, server::Response};
use soketto::{BoxedError, Mode};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;

fn main() -> io::Result<()> {
    let CompressionSettings { level, has_takeover, .. } = CompressionSettings::from_args();
    assert!(level == 1 && !has_takeover, "soketto has level 1 and no takeover only");
    sansocket_benches::serve(echo)
}

async fn echo(stream: TcpStream) -> Result<(), BoxedError> {
    use futures_util::io::{BufReader, BufWriter};
    let stream = BufReader::with_capacity(8 << 10, BufWriter::with_capacity(16 << 10, stream.compat()));
    let mut server = Server::new(stream);
    server.add_extension(Box::new(Deflate::new(Mode::Server)));
    let key = server.receive_request().await?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await?;
    let (mut sender, mut receiver) = server.into_builder().finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive_data(&mut message).await {
            Ok(_) => sender.send_binary_mut(&mut message).await?,
            Err(Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        sender.flush().await?;
    }
}
