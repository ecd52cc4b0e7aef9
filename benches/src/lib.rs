//! What the benches and the echo servers of other libraries have in common, so that they differ in nothing but the library.
//!
//! The benches (`benches/`, of the feature `peers`) ask one question each, of all participants, in memory. An echo server
//! (`src/bin/echo-*`) is written as its library's own documentation writes one. What that leaves open is the same for all:
//! one thread (but for tungstenite, which has one for each connection), `TCP_NODELAY`, and the address to listen at as the
//! only argument.

#[cfg(feature = "peers")]
pub mod participants;
#[cfg(feature = "peers")]
pub mod table;
#[cfg(feature = "peers")]
pub mod transport;
pub mod wire;

use std::env;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::TcpListener;

use tokio::net::TcpStream;

/// Listens at the address that is the program's argument, and says so.
///
/// # Errors
///
/// The system's.
pub fn listen() -> io::Result<TcpListener> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

/// A tokio runtime on this thread that has every connection echoed by a task.
///
/// # Errors
///
/// The system's. Those of a task are printed.
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
