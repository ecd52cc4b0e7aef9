//! The code that the benches and the echo servers of all libraries share, so that only the library differs.
//!
//! Each bench (`benches/`, with the feature `peers`) measures one operation of all participants, in memory. Each echo
//! server (`src/bin/echo-*`) follows its library's documentation. All have one thread (tungstenite has one per
//! connection), set `TCP_NODELAY`, and take the address to listen on as their last argument. The servers
//! `src/bin/compress-echo-*` compress, and take [`CompressionSettings`] before it.

#[cfg(any(feature = "peers", feature = "peers-zlib"))]
pub mod compressing;
mod compression;
pub mod deflate;
pub mod opened;
pub mod operations;
#[cfg(feature = "peers")]
pub mod participants;
#[cfg(any(feature = "peers", feature = "peers-zlib"))]
pub mod table;
#[cfg(any(feature = "peers", feature = "peers-zlib"))]
pub mod transport;
pub mod wire;

use std::env;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::TcpListener;

use tokio::net::TcpStream;

pub use compression::CompressionSettings;

/// Listens on the address in the program's last argument, and prints it.
///
/// # Errors
///
/// Returns the error of the system.
pub fn listen() -> io::Result<TcpListener> {
    let address = env::args().skip(1).last().unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

/// Runs a tokio runtime on this thread, with a task that echoes for each connection.
///
/// # Errors
///
/// Returns the error of the system. Errors of a task are printed.
pub fn serve<F, E>(echo: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = listen()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                if let Err(error) = echo(stream).await {
                    eprintln!("{error}");
                }
            });
        }
    })
}
