//! The server over mio: event loops, each with its share of the connections.
//!
//! What a quiet server knows of a connection is what the loop knows: there is no story to keep.

use std::net::SocketAddr;
use std::sync::Arc;
use std::{io, process, thread};

use sansocket_mio::sansocket::AnswerError;
use sansocket_mio::{
    Answer, Close, CloseCode, Connection, Connections, Error, Handler, HttpResponse, Message, Open, Options, Request,
    SendError, Threads,
};

use super::log::Story;
use super::{Server, cannot_listen, farewell};
use crate::exit::{Exit, Failure};
use crate::interrupt;

/// Serves until Ctrl-C, and closes every connection.
pub(super) fn serve(address: &str, count: u16, server: &Arc<Server>) -> Result<(), Failure> {
    let echo = |_| Echo { server: Arc::clone(server), stories: Stories::default() };
    let threads =
        Threads::start(count, &Options::new(), address, echo).map_err(|error| cannot_listen(address, &error))?;
    interrupt::on_first({
        let (server, handle) = (Arc::clone(server), threads.handle());
        move || {
            server.leaves();
            // Unless the loops have ended.
            let _ = handle.stop();
            // They do in time, unless something holds one up, such as lines on stdout that nobody reads.
            thread::sleep(farewell());
            server.tell_dropped();
            process::exit(Exit::Clean as i32);
        }
    })?;
    server.listens(threads.local_addr());
    threads.join().map_err(|error| Failure::new(Exit::Failed, format_args!("an event loop failed: {error}")))
}

/// What one loop does with its connections.
struct Echo {
    server: Arc<Server>,
    stories: Stories,
}

impl Handler for Echo {
    fn on_accept(&mut self, connection: &mut Connection<'_>) {
        self.server.accepts();
        if !self.server.log.is_quiet() {
            self.stories.begin(connection);
        }
    }

    fn on_request(&mut self, connection: &mut Connection<'_>, request: &Request) -> Answer {
        if let Some(story) = self.stories.get(connection) {
            story.asks(request);
        }
        self.server.answer(request).into()
    }

    fn on_http_request(&mut self, connection: &mut Connection<'_>, request: &Request) -> Option<HttpResponse> {
        if let Some(mut story) = self.stories.take(connection) {
            story.asks(request);
            story.is_refused_plainly(&self.server.log);
        }
        None
    }

    fn on_open(&mut self, connection: &mut Connection<'_>, open: Open) {
        self.server.opens();
        if let Some(story) = self.stories.get(connection) {
            story.opens(open.protocol(), &self.server.log);
        }
    }

    #[inline]
    fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
        let bytes = message.len();
        if let Err(error) = connection.send(message) {
            self.cannot_echo(connection, &error);
        } else if let Some(story) = self.stories.get(connection) {
            story.echoes(bytes);
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_>, error: Error) {
        // None also if it has been told how it ended: with 426.
        let Some(story) = self.stories.get(connection) else { return };
        if story.is_open() {
            return story.fails(&error);
        }
        let Some(story) = self.stories.take(connection) else { return };
        match error {
            Error::Answer(AnswerError::OriginForbidden) => story.is_forbidden(&self.server.log),
            error => story.is_refused(&error, &self.server.log),
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_>, close: Close) {
        let story = self.stories.take(connection);
        self.server.ends(story.as_deref(), Some(&close));
    }

    fn on_accept_error(&mut self, _: &mut Connections, _: SocketAddr, error: &io::Error) {
        self.server.cannot_accept(error);
    }
}

impl Echo {
    #[cold]
    fn cannot_echo(&mut self, connection: &mut Connection<'_>, error: &SendError) {
        // The message came while the connection was closing.
        if matches!(error, SendError::NotOpen(_)) {
            return;
        }
        // Nothing is read from a client that does not read its echoes, so that they never are too many to wait. If they
        // were, the client would have to know that one is missing.
        if let Some(story) = self.stories.get(connection) {
            story.fails(error);
        }
        let _ = connection.close(CloseCode::INTERNAL_ERROR, "a message cannot be echoed");
    }
}

/// The stories of a loop's connections, by their indices, which are small. A quiet server has none.
#[derive(Debug, Default)]
struct Stories(Vec<Option<Box<Story>>>);

impl Stories {
    fn begin(&mut self, connection: &Connection<'_>) {
        let index = connection.id().index();
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        // Whoever is gone already has no address.
        self.0[index] = connection.peer_addr().ok().map(Story::new).map(Box::new);
    }

    /// The connection's story, if there is one: a quiet server need not even ask which connection this is.
    #[inline]
    fn get(&mut self, connection: &Connection<'_>) -> Option<&mut Story> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get_mut(connection.id().index())?.as_deref_mut()
    }

    fn take(&mut self, connection: &Connection<'_>) -> Option<Box<Story>> {
        self.0.get_mut(connection.id().index())?.take()
    }
}
