//! What happens to a connection of a loop is told to the loop's handler, and what the handler answers is done.

use sansocket::{Event, Instant, Message};

use crate::Error;
use crate::connection::{Connection, is_given_up};
use crate::connections::{Connections, refuse};
use crate::drive::Place;
use crate::handler::{Answer, Handler};
use crate::socket::Socket;

/// A socket among the others of a loop, whose handler hears of its events.
pub(crate) struct At<'a, H> {
    pub(crate) handler: &'a mut H,
    pub(crate) connections: &'a mut Connections,
    pub(crate) index: usize,
}

impl<H: Handler> Place for At<'_, H> {
    #[inline]
    fn socket(&mut self) -> &mut Socket {
        &mut self.connections.entry_mut(self.index).socket
    }

    #[inline]
    fn tell_message(&mut self, message: Message<'_>) {
        self.handler.on_message(&mut Connection::new(self.connections, self.index), message);
    }

    #[inline(never)]
    fn tell(&mut self, event: Result<Event<'_>, Error>) {
        let Self { handler, connections, index } = self;
        let now = connections.now();
        let connection = &mut Connection::new(connections, *index);
        match event {
            Ok(Event::Message(message)) => self.tell_message(message),
            Ok(Event::Chunk(chunk)) => handler.on_chunk(connection, chunk),
            Ok(Event::Ping(payload)) => handler.on_ping(connection, &payload),
            Ok(Event::Pong(payload)) => handler.on_pong(connection, &payload),
            Ok(Event::Request(request)) => {
                let answer = handler.on_request(connection, &request);
                self.answer(answer, now);
            }
            Ok(Event::HttpRequest(request)) => {
                let response = handler.on_http_request(connection, &request);
                if let Some(response) = response {
                    self.answer(Answer::Respond(response), now);
                }
            }
            Ok(Event::Open(open)) => handler.on_open(connection, open),
            Ok(Event::Close(close)) => handler.on_close(connection, close),
            Ok(_) => {}
            Err(error) => handler.on_error(connection, error),
        }
    }
}

impl<H: Handler> At<'_, H> {
    #[cold]
    fn answer(&mut self, answer: Answer, now: Instant) {
        let ws = &mut self.connections.entry_mut(self.index).socket.ws;
        if is_given_up(ws) {
            return;
        }
        let answered = match answer {
            Answer::Accept(accept) => ws.accept(accept, now),
            Answer::Respond(response) => ws.respond(response, now),
            Answer::Later => Ok(()),
        };
        if let Err(error) = answered {
            refuse(ws, &error, now);
            self.handler.on_error(&mut Connection::new(self.connections, self.index), error.into());
        }
    }
}
