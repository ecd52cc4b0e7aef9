//! Sends every message to all connections: `cargo run --example fan_out_server [address]`.

use std::{env, io};

use sansocket_mio::{Config, Connection, Error, EventLoop, Handler, Keepalive, Message, Options};

struct FanOut;

impl Handler for FanOut {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        // all connections belong to this loop, so that no mailbox can be full
        let _ = connection.connections().broadcast(message);
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        eprintln!("{:?}: {error}", connection.id());
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    // members that only listen get no Pings: `cargo xtask cost --fan-out` counts every frame
    let mut config = Config::default();
    config.keepalive = Keepalive::Off;
    let mut event_loop = EventLoop::with_options(FanOut, &Options::new().config(config))?;
    println!("listening on ws://{}", event_loop.listen(address)?);
    event_loop.run()
}
