//! The server over mio: event loops, each with its share of the connections.
//!
//! A quiet server has no `SessionLog`s, since it logs nothing about connections.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::{io, process, thread};

use sansocket_mio::sansocket::AnswerError;
use sansocket_mio::{
    Answer, Close, CloseCode, Connection, Connections, Error, Handle, Handler, HttpResponse, ListenOptions, Message,
    Open, Options, Request, SendError, Threads,
};

use super::server::{Server, cannot_listen, shutdown_timeout};
use super::session_log::SessionLog;
use crate::compression::Agreed;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::threads;

/// Serves until the first signal, then closes every connection.
pub(super) fn serve(address: &str, count: u16, server: &Arc<Server>, interrupt: Interrupt) -> Result<(), Failure> {
    // The closing thread exists before the event loops do, and receives their handle once they run.
    let (handles, handle) = mpsc::channel();
    threads::start("closing", {
        let server = Arc::clone(server);
        move || {
            // Without event loops, the process ends.
            if let Ok(handle) = handle.recv() {
                close_all(&server, &handle, interrupt);
            }
        }
    })?;
    let echo = |_| Echo { server: Arc::clone(server) };
    let options = Options::new().config(Arc::clone(&server.config));
    let listen_options = ListenOptions::new();
    #[cfg(feature = "tls")]
    let listen_options = match &server.tls {
        Some(tls) => listen_options.tls(tls.config.clone()),
        None => listen_options,
    };
    let event_loops = Threads::start_with(count, &options, address, &listen_options, echo)
        .map_err(|error| cannot_listen(address, &error))?;
    // The closing thread receives for as long as it lives.
    let _ = handles.send(event_loops.handle());
    server.note_listening(event_loops.local_addr());
    event_loops.join().map_err(|error| Failure::new(Exit::Failed, format_args!("an event loop failed: {error}")))
}

/// Waits for the first signal and stops the event loops, which then close their connections. Ends the process if the
/// event loops have not ended in time.
fn close_all(server: &Server, handle: &Handle<Echo>, interrupt: Interrupt) {
    interrupt.wait();
    server.begin_shutdown();
    // This fails if the event loops have ended already.
    let _ = handle.stop();
    thread::sleep(shutdown_timeout());
    server.finish();
    process::exit(Exit::Clean as i32);
}

/// The handler of one event loop.
struct Echo {
    server: Arc<Server>,
}

impl Handler for Echo {
    /// Absent if the server is quiet, and once the end is logged.
    type Data = Option<Box<SessionLog>>;
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        self.server.note_accepted();
        if !self.server.log.is_quiet() {
            // A client that has disconnected already has no address.
            *connection.data_mut() = connection.peer_addr().ok().map(SessionLog::new).map(Box::new);
        }
    }

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        if let Some(session) = connection.data_mut() {
            session.set_request(request);
        }
        self.server.answer(request).into()
    }

    fn on_http_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        if let Some(mut session) = connection.data_mut().take() {
            session.set_request(request);
            session.log_http_request(&self.server.log);
        }
        HttpResponse::upgrade_required().into()
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, open: Open) {
        self.server.session_opened();
        if let Some(session) = connection.data_mut() {
            session.log_open(&Agreed { protocol: open.protocol(), compression: open.compression() }, &self.server.log);
        }
    }

    #[inline]
    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        let bytes = message.len();
        if let Err(error) = connection.send(message) {
            self.cannot_echo(connection, &error.map(drop));
        } else if let Some(session) = connection.data_mut() {
            session.count_echo(bytes);
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        // There is none if `on_http_request` has logged the end.
        let Some(session) = connection.data_mut() else { return };
        if session.is_open() {
            return session.set_error(&error);
        }
        let Some(session) = connection.data_mut().take() else { return };
        match error {
            Error::Answer(AnswerError::OriginForbidden) => session.log_forbidden_origin(&self.server.log),
            error => session.log_failed_handshake(&error, &self.server.log),
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {
        let session = connection.data_mut().take();
        self.server.session_ended(session.as_deref(), Some(&close));
    }

    fn on_accept_error(&mut self, _: &mut Connections<Self>, _: SocketAddr, error: &io::Error) {
        self.server.note_accept_error(error);
    }
}

impl Echo {
    #[cold]
    fn cannot_echo(&mut self, connection: &mut Connection<'_, Self>, error: &SendError) {
        // The message arrived while the connection was closing.
        if matches!(error, SendError::NotOpen(_)) {
            return;
        }
        // The event loop does not read from a client that does not read its echoes, so the buffer cannot become full.
        // If it did, the connection would have to end: the client must not miss an echo without knowing.
        if let Some(session) = connection.data_mut() {
            session.set_error(error);
        }
        let _ = connection.close(CloseCode::INTERNAL_ERROR, "a message cannot be echoed");
    }
}
