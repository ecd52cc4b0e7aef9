//! Sends every message back: `cargo run --example echo_server [address [threads]]`.

use std::env;
use std::error::Error;

use sansocket_mio::{Connection, Handler, Message, Options, Threads};

struct Echo;

impl Handler for Echo {
    fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
        if let Err(error) = connection.send(message) {
            eprintln!("{:?}: {error}", connection.id());
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_>, error: sansocket_mio::Error) {
        eprintln!("{:?}: {error}", connection.id());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let count = env::args().nth(2).map_or(Ok(1), |count| count.parse())?;
    let threads = Threads::start(count, &Options::new(), address, |_| Echo)?;
    println!("listening at ws://{}", threads.local_addr());
    threads.join()?;
    Ok(())
}
