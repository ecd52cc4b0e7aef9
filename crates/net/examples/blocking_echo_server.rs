//! Sends every message back: `cargo run --example blocking_echo_server [address]`.

use std::time::Duration;
use std::{env, io, thread};

use sansocket_net::{Error, Event, Incoming, Listener};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = Listener::bind(address)?;
    println!("listening at ws://{}", listener.local_addr()?);
    for incoming in listener.incoming() {
        let incoming = match incoming {
            Ok(incoming) => incoming,
            Err(error) => {
                // such as too many open files: it passes
                eprintln!("{error}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        thread::spawn(|| {
            if let Err(error) = echo(incoming) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
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
