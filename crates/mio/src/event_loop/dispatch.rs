//! Dispatch: passes the events of a connection to the loop's handler, and the handler's answers to the connection.

use sansocket_drive::sansocket::{Close, Event, Message};

use crate::Error;
use crate::answer::Answer;
use crate::handler::{Connection, Connections, Handler};
use crate::socket::Socket;
use crate::socket::turn::Driven;

/// A connection of a loop, with the handler that receives its events.
pub(super) struct Dispatch<'a, H: Handler> {
    pub(super) handler: &'a mut H,
    pub(super) connections: &'a mut Connections<H>,
    pub(super) index: usize,
}

impl<H: Handler> Driven for Dispatch<'_, H> {
    #[inline]
    fn socket(&mut self) -> &mut Socket {
        &mut self.connections.table.entries[self.index].socket
    }

    /// Queues what was published before: the connection may not be open afterwards.
    #[inline]
    fn before_receive(&mut self) {
        self.connections.table.catch_up(self.index);
    }

    #[inline]
    fn dispatch_message(&mut self, message: Message<'_>) {
        self.handler.on_message(&mut Connection::new(self.connections, self.index), message);
    }

    #[inline]
    fn is_interrupted(&self) -> bool {
        self.connections.table.is_interrupted
    }

    #[inline(never)]
    fn dispatch(&mut self, event: Result<Event<'_>, Error>) {
        let Self { handler, connections, index } = self;
        let connection = &mut Connection::new(connections, *index);
        match event {
            Ok(Event::Message(message)) => self.dispatch_message(message),
            Ok(Event::Chunk(chunk)) => handler.on_chunk(connection, chunk),
            Ok(Event::Ping(payload)) => handler.on_ping(connection, &payload),
            Ok(Event::Pong(payload)) => handler.on_pong(connection, &payload),
            Ok(Event::Request(request)) => {
                let answer = handler.on_request(connection, &request);
                self.answer(answer);
            }
            Ok(Event::HttpRequest(request)) => {
                let answer = handler.on_http_request(connection, &request);
                self.answer(answer);
            }
            Ok(Event::Open(open)) => handler.on_open(connection, open),
            Ok(Event::CloseReceived(frame)) => handler.on_close_received(connection, frame),
            Ok(Event::Close(close)) => self.close(close),
            Ok(_) => {}
            Err(error) => handler.on_error(connection, error),
        }
    }
}

impl<H: Handler> Dispatch<'_, H> {
    /// Reports the end of the connection, and before it a failed send, because of which it may have been aborted.
    #[cold]
    fn close(&mut self, close: Close) {
        let Self { handler, connections, index } = self;
        let unsent = connections.table.take_unsent(*index);
        let connection = &mut Connection::new(connections, *index);
        if let Some(error) = unsent {
            handler.on_error(connection, error.into());
        }
        handler.on_close(connection, close);
    }

    #[cold]
    fn answer(&mut self, answer: Answer) {
        let table = &mut self.connections.table;
        if table.is_ending(self.index) {
            return;
        }
        if let Err(error) = table.answer(self.index, answer, table.now) {
            self.handler.on_error(&mut Connection::new(self.connections, self.index), error);
        }
    }
}
