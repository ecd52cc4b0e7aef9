//! Endpoints over mio: a server has one event loop for all connections, a client one per connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use anyhow::Result;
use sansocket_mio::dial::{Destination, DialOptions};
use sansocket_mio::{
    Connection, Connections, Connector, DialError, Error, EventLoop, Handler, ListenOptions, Message, Options,
};

use super::config::config;

pub(super) fn start_echo_server(listener: TcpListener, options: &ListenOptions) -> io::Result<()> {
    let mut event_loop = EventLoop::with_options(Echo, &Options::new().config(config()))?;
    event_loop.listen_on(listener, options)?;
    thread::spawn(move || event_loop.run());
    Ok(())
}

pub(super) fn echo_client(url: &str, target: SocketAddr, connector: Connector) -> Result<()> {
    let mut event_loop = EventLoop::with_options(Echo, &Options::new().config(config()))?;
    let connector = connector.dial(DialOptions::default().connect_to(Destination::from(target)));
    event_loop.connect_with(&connector, url.parse()?, ())?;
    finish(&mut event_loop)
}

pub(super) fn ask(url: &str, connector: &Connector) -> Result<Option<String>> {
    let mut event_loop = EventLoop::new(Question::default())?;
    event_loop.connect_with(connector, url.parse()?, ())?;
    finish(&mut event_loop)?;
    let Question { answer, failure } = event_loop.handler();
    match failure.take() {
        Some(failure) => Err(failure),
        None => Ok(answer.take()),
    }
}

/// Runs an event loop until its connection has closed.
pub(super) fn finish<H: Handler>(event_loop: &mut EventLoop<H>) -> Result<()> {
    while !event_loop.connections().is_empty() {
        event_loop.turn(None)?;
    }
    Ok(())
}

pub(super) struct Echo;

impl Handler for Echo {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        // The suite notices a missing echo.
        let _ = connection.send(message);
    }
}

#[derive(Default)]
struct Question {
    answer: Option<String>,
    failure: Option<anyhow::Error>,
}

impl Handler for Question {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, _: &mut Connection<'_, Self>, message: Message<'_>) {
        if let Some(text) = message.as_text() {
            self.answer = Some(text.to_owned());
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        self.failure = Some(error.into());
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, (): (), error: DialError) {
        self.failure = Some(error.into());
    }
}
