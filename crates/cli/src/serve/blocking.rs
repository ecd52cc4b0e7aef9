//! The server over std::net: a thread for each connection.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use sansocket_net::sansocket::AnswerError;
use sansocket_net::{Acceptor, Error, Event, Incoming, Listener, WebSocket};

use super::server::{Server, cannot_listen, shutdown_timeout};
use super::session_log::SessionLog;
use super::sessions::{Session, Sessions};
use crate::compression::Agreed;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::threads;

/// The stack size of a connection's thread. It is small because messages are on the heap.
const STACK_SIZE: usize = 128 * 1024;

/// Serves until the first signal, then closes every connection.
pub(super) fn serve(address: &str, server: &Arc<Server>, interrupt: Interrupt) -> Result<(), Failure> {
    let sessions = Arc::new(Sessions::default());
    let acceptor = Acceptor::new().config(Arc::clone(&server.config));
    #[cfg(feature = "tls")]
    let acceptor = match &server.tls {
        Some(tls) => acceptor.tls(tls.config.clone()),
        None => acceptor,
    };
    let listener = acceptor.bind(address).map_err(|error| cannot_listen(address, &error))?;
    let local = listener.local_addr().map_err(|error| cannot_listen(address, &error))?;
    let stopper = listener.stopper();
    threads::start("accepting", {
        let (server, sessions) = (Arc::clone(server), Arc::clone(&sessions));
        move || accept_all(&listener, &server, &sessions)
    })?;
    server.note_listening(local);

    interrupt.wait();
    stopper.stop();
    server.begin_shutdown();
    sessions.close_all(shutdown_timeout());
    Ok(())
}

/// Accepts connections until the listener is stopped. A failure of one connection does not affect the others.
fn accept_all(listener: &Listener, server: &Arc<Server>, sessions: &Arc<Sessions>) {
    for incoming in listener.incoming() {
        let served = incoming.and_then(|incoming| {
            let (server, sessions) = (Arc::clone(server), Arc::clone(sessions));
            // If the thread cannot be started, this drops the connection, which closes its socket.
            thread::Builder::new().stack_size(STACK_SIZE).spawn(move || serve_one(incoming, &server, &sessions))
        });
        match served {
            Ok(_) => server.note_accepted(),
            Err(error) => server.note_accept_error(&error),
        }
    }
}

/// Serves one connection from the opening handshake to the end of TCP.
fn serve_one(incoming: Incoming, server: &Server, sessions: &Sessions) {
    // A client that has disconnected already has no address.
    let Ok(peer) = incoming.stream().peer_addr() else { return };
    let mut log = SessionLog::new(peer);
    match accept(incoming, server, sessions, &mut log) {
        Ok(Some((ws, session))) => echo(ws, server, &session, log),
        Ok(None) => log.log_http_request(&server.log),
        Err(Error::Answer(AnswerError::OriginForbidden)) => log.log_forbidden_origin(&server.log),
        Err(error) => log.log_failed_handshake(&error, &server.log),
    }
}

/// Opens the connection. Returns `None` if the client asks for something other than a WebSocket.
fn accept<'a>(
    mut incoming: Incoming,
    server: &Server,
    sessions: &'a Sessions,
    log: &mut SessionLog,
) -> Result<Option<(WebSocket<TcpStream>, Session<'a>)>, Error> {
    let is_plain = incoming.is_plain()?;
    let request = incoming.request()?;
    log.set_request(request);
    let accept = server.answer(request);
    let session = sessions.add();
    match incoming.accept_with(accept) {
        // The answer was 426, whether or not it could be sent.
        _ if is_plain => Ok(None),
        opened => opened.map(|ws| Some((ws, session))),
    }
}

fn echo(ws: WebSocket<TcpStream>, server: &Server, session: &Session<'_>, mut log: SessionLog) {
    server.session_opened();
    log.log_open(&Agreed { protocol: ws.protocol(), compression: ws.compression() }, &server.log);
    let (mut reader, writer) = match ws.split() {
        Ok(halves) => halves,
        Err(error) => {
            log.set_error(&error);
            return server.session_ended(Some(&log), None);
        }
    };
    session.open(writer.clone());
    let mut end = None;
    loop {
        match reader.read() {
            Ok(Some(Event::Message(message))) => {
                let bytes = message.len();
                // If it cannot be sent, `read` returns the reason.
                if writer.send(message).is_ok() {
                    log.count_echo(bytes);
                }
            }
            Ok(Some(Event::Close(close))) => end = Some(close),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => log.set_error(&error),
        }
    }
    server.session_ended(Some(&log), end.as_ref());
}
