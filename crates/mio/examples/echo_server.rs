//! Sends every message back: `cargo run --example echo_server [address]`.

use std::{env, io};

use sansocket_mio::{Connection, Error, EventLoop, Handler, Message};

struct Echo;

impl Handler for Echo {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        if let Err(error) = connection.send(message) {
            eprintln!("{:?}: {error}", connection.id());
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        eprintln!("{:?}: {error}", connection.id());
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut event_loop = EventLoop::new(Echo)?;
    println!("listening on ws://{}", event_loop.listen(address)?);
    event_loop.run()
}
