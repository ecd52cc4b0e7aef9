//! The seam between the chore and the adapter under test: everything that names the adapter is here.
//!
//! None of it says how a case went. That is for the testsuite to judge, by what it saw on the wire.

use std::net::TcpListener;
use std::thread;

use anyhow::Result;
use sansocket_net::{Event, Incoming, Listener, Message, Stream, WebSocket};

/// The name of the adapter in the reports.
pub(crate) const AGENT: &str = "sansocket-net";

/// A server that echoes every message of every connection, for as long as the process lives.
pub(crate) fn echo_server(listener: TcpListener) {
    for incoming in Listener::from(listener).incoming().flatten() {
        thread::spawn(move || serve(incoming));
    }
}

/// A client that connects to `url` and echoes every message until the connection is closed.
pub(crate) fn echo_client(url: &str) -> Result<()> {
    echo(sansocket_net::connect(url)?)
}

/// A client that connects to `url` and waits until the connection is closed; returns the last text
/// that it received.
pub(crate) fn ask(url: &str) -> Result<Option<String>> {
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

fn echo<S: Stream>(mut ws: WebSocket<S>) -> Result<()> {
    while let Some(event) = ws.read()? {
        if let Event::Message(message) = event.into_owned() {
            ws.send(message)?;
        }
    }
    Ok(())
}
