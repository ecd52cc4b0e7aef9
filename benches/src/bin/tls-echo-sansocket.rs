//! sansocket-mio over TLS, with a self-signed certificate.

use std::error::Error;

use sansocket_mio::tls::{SelfSigned, ServerTls};
use sansocket_mio::{Connection, EventLoop, Handler, ListenOptions, Message};

struct Echo;

impl Handler for Echo {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        if let Err(error) = connection.send(message) {
            eprintln!("{:?}: {error}", connection.id());
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: sansocket_mio::Error) {
        eprintln!("{:?}: {error}", connection.id());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let tls = ServerTls::new(SelfSigned::new(["127.0.0.1"])?.identity)?;
    let mut event_loop = EventLoop::new(Echo)?;
    event_loop.listen_on(sansocket_benches::listen()?, &ListenOptions::new().tls(tls))?;
    Ok(event_loop.run()?)
}
