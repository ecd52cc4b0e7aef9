//! The server over std::net: a thread for each connection.

use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sansocket_net::sansocket::AnswerError;
use sansocket_net::{Error, Event, Incoming, Listener, WebSocket};

use super::guests::Guests;
use super::log::Story;
use super::{Server, cannot_listen, farewell};
use crate::exit::Failure;
use crate::interrupt;

/// What a connection's thread needs is little: its messages are on the heap.
const STACK: usize = 128 * 1024;
/// How long to wait before the next `accept` when the system has no more files, threads or memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves until Ctrl-C, and closes every connection.
pub(super) fn serve(address: &str, server: &Arc<Server>) -> Result<(), Failure> {
    let listener = Listener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    let local = listener.local_addr().map_err(|error| cannot_listen(address, &error))?;
    let (interrupted, interrupt) = mpsc::channel();
    interrupt::on_first(move || {
        // Unless the main thread is gone, and the process with it.
        let _ = interrupted.send(());
    })?;

    let guests = Arc::new(Guests::default());
    server.listens(local);
    thread::spawn({
        let (server, guests) = (Arc::clone(server), Arc::clone(&guests));
        move || accept_all(&listener, &server, &guests)
    });

    // The handler holds the other end for as long as the process lives.
    let _ = interrupt.recv();
    server.leaves();
    guests.close_all(farewell());
    Ok(())
}

/// Accepts connections for ever. What goes wrong with one must not end the others.
fn accept_all(listener: &Listener, server: &Arc<Server>, guests: &Arc<Guests>) {
    loop {
        let accepted = listener.accept().and_then(|incoming| {
            let (server, guests) = (Arc::clone(server), Arc::clone(guests));
            // A connection that gets no thread is dropped, which ends its TCP.
            thread::Builder::new().stack_size(STACK).spawn(move || serve_one(incoming, &server, &guests))
        });
        match accepted {
            Ok(_) => server.accepts(),
            Err(error) => {
                server.cannot_accept(&error);
                thread::sleep(BACK_OFF);
            }
        }
    }
}

/// One connection, from its first byte to its last.
fn serve_one(incoming: Incoming, server: &Server, guests: &Guests) {
    // Whoever is gone already has no address.
    let Ok(peer) = incoming.stream().peer_addr() else { return };
    let mut story = Story::new(peer);
    match accept(incoming, server, &mut story) {
        Ok(Some(ws)) => echo(ws, server, guests, story),
        Ok(None) => story.is_refused_plainly(&server.log),
        Err(Error::Answer(AnswerError::OriginForbidden)) => story.is_forbidden(&server.log),
        Err(error) => story.is_refused(&error, &server.log),
    }
}

/// Opens the connection, unless the client asks for something other than a WebSocket.
fn accept(mut incoming: Incoming, server: &Server, story: &mut Story) -> Result<Option<WebSocket<TcpStream>>, Error> {
    let is_plain = incoming.is_plain()?;
    let request = incoming.request()?;
    story.asks(request);
    let accept = server.answer(request);
    match incoming.accept_with(accept) {
        // It has been told 426, whatever became of it then.
        _ if is_plain => Ok(None),
        opened => opened.map(Some),
    }
}

fn echo(ws: WebSocket<TcpStream>, server: &Server, guests: &Guests, mut story: Story) {
    server.opens();
    story.opens(ws.protocol(), &server.log);
    let (mut reader, writer) = match ws.split() {
        Ok(halves) => halves,
        Err(error) => {
            story.fails(&error);
            return server.ends(Some(&story), None);
        }
    };
    let _guest = guests.enter(writer.clone());
    let mut end = None;
    loop {
        match reader.read() {
            Ok(Some(Event::Message(message))) => {
                let bytes = message.len();
                // Why it could not be sent, if it could not, `read` tells.
                if writer.send(message).is_ok() {
                    story.echoes(bytes);
                }
            }
            Ok(Some(Event::Close(close))) => end = Some(close),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => story.fails(&error),
        }
    }
    server.ends(Some(&story), end.as_ref());
}
