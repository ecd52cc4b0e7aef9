//! Sends every message back: `cargo run --example blocking_echo_server [address]`.

use std::{env, io, thread};

use sansocket_net::{Error, Event, Incoming, Listener};

/// Enough for this crate: messages are on the heap.
const STACK_SIZE: usize = 128 * 1024;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = Listener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    serve(&listener);
    Ok(())
}

/// Serves each client in its own thread, until the listener is stopped.
pub(crate) fn serve(listener: &Listener) {
    for incoming in listener.incoming() {
        // If there is no thread, the client is dropped.
        let served = incoming.and_then(|incoming| {
            thread::Builder::new().stack_size(STACK_SIZE).spawn(|| {
                if let Err(error) = echo(incoming) {
                    eprintln!("{error}");
                }
            })
        });
        // Such as too many open files, or no more threads: keep accepting.
        if let Err(error) = served {
            eprintln!("{error}");
        }
    }
}

fn echo(incoming: Incoming) -> Result<(), Error> {
    let mut ws = incoming.accept()?;
    while let Some(event) = ws.read()? {
        match event {
            Event::Message(message) => {
                let message = message.into_owned();
                ws.send(message)?;
            }
            Event::Close(close) => println!("closed: {} {}", close.code, close.reason),
            _ => {}
        }
    }
    Ok(())
}
