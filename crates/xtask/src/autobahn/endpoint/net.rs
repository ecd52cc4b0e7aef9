//! Endpoints over std::net: a server has a thread per connection, a client uses the caller's.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use anyhow::Result;
use sansocket_net::dial::{Destination, DialOptions};
use sansocket_net::{Acceptor, Connector, Event, Incoming, Message, Stream, WebSocket};

use super::config::config;

pub(super) fn start_echo_server(listener: TcpListener) -> io::Result<()> {
    let listener = Acceptor::new().config(config()).listen(listener)?;
    thread::spawn(move || {
        for incoming in listener.incoming().flatten() {
            thread::spawn(move || serve(incoming));
        }
    });
    Ok(())
}

pub(super) fn echo_client(url: &str, target: SocketAddr) -> Result<()> {
    echo(
        Connector::new()
            .config(config())
            .dial(DialOptions::default().connect_to(Destination::from(target)))
            .connect(url)?,
    )
}

pub(super) fn ask(url: &str) -> Result<Option<String>> {
    let mut ws = sansocket_net::connect(url)?;
    let mut answer = None;
    while let Some(event) = ws.read()? {
        if let Event::Message(Message::Text(text)) = event {
            answer = Some(text.into_owned());
        }
    }
    Ok(answer)
}

fn serve(incoming: Incoming) -> Result<()> {
    echo(incoming.accept()?)
}

pub(super) fn echo<S: Stream>(mut ws: WebSocket<S>) -> Result<()> {
    while let Some(event) = ws.read()? {
        if let Event::Message(message) = event.into_owned() {
            ws.send(message)?;
        }
    }
    Ok(())
}
