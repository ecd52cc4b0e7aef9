//! sansocket-mio, with permessage-deflate.

use std::io;

use sansocket_benches::CompressionSettings;
use sansocket_mio::sansocket::{Compression, CompressionLevel, WindowBits};
use sansocket_mio::{Config, Connection, Error, EventLoop, Handler, ListenOptions, Message, Options};

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
    let CompressionSettings { level, window_bits, has_takeover } = CompressionSettings::from_args();
    let mut compression = if has_takeover { Compression::default() } else { Compression::small() };
    compression.level = CompressionLevel::new(level).expect("a valid level");
    compression.window_bits = WindowBits::new(window_bits).expect("a valid window");
    compression.peer_window_bits = compression.window_bits;
    let config = Config::default().compression(compression);
    let mut event_loop = EventLoop::with_options(Echo, &Options::new().config(config))?;
    event_loop.listen_on(sansocket_benches::listen()?, &ListenOptions::default())?;
    event_loop.run()
}
