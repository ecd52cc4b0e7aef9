use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{self, Duration};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Error, Event, HttpResponse, Input, Instant};
use sansocket::{TransportAction, WebSocket};

/// Drives a connection from its first byte to its last.
pub(crate) fn drive(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let started = time::Instant::now();
    let now = || Instant::from_nanos(started.elapsed().as_nanos() as u64);
    let mut ws = WebSocket::server(Config::default(), now());
    let (mut buffer, mut received) = (vec![0; 16 * 1024], 0);
    let (mut eof, mut write_ended, mut failed) = (false, false, false);
    loop {
        // 1. pass the received bytes, and fetch events until there are no more
        let mut input = Input::new(&mut buffer[..std::mem::take(&mut received)]);
        loop {
            match ws.receive(&mut input, now()) {
                Ok(Some(event)) => handle(&mut ws, event, now()),
                Ok(None) => break,
                Err(error) => {
                    report(&error, &mut failed);
                    break;
                }
            }
        }
        // 2. write, also after an error: the Close frame gives the peer the reason
        while !write_ended && ws.output().has_remaining() {
            match stream.write(ws.output().chunk()) {
                Ok(count) => ws.output().advance(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    ws.write_lost(now());
                    write_ended = true;
                }
            }
        }
        // 3. obey `transport`
        match ws.transport() {
            _ if ws.has_pending_event() => continue,
            TransportAction::ShutdownWrite if !write_ended => {
                write_ended = true;
                // if the connection is lost, the next read fails
                let _ = stream.shutdown(Shutdown::Write);
            }
            TransportAction::Close => return Ok(()),
            TransportAction::Abort => return abort(stream),
            TransportAction::Open | TransportAction::ShutdownWrite => {}
        }
        // 4. wait until something can be read or written, but no longer than the deadline
        let read = ws.wants_read() && !eof;
        let write = !write_ended && ws.output().has_remaining();
        let timeout = ws.poll_timeout().map(|deadline| deadline - now());
        let ready = wait(stream, read, write, timeout)?;
        // 5. handle the deadline, or read
        if ready.is_empty() {
            outcome(&mut ws, |ws| ws.handle_timeout(now()), now(), &mut failed);
        } else if (read && ready != PollFlags::OUT) || !write {
            match stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(count) if count > 0 => received = count,
                end => {
                    if end.is_err() {
                        ws.write_lost(now());
                        write_ended = true;
                    }
                    eof = true;
                    while outcome(&mut ws, |ws| ws.receive_eof(now()), now(), &mut failed) {}
                }
            }
        }
    }
}

/// Handles the result of a call. Returns whether it was an event or an error.
fn outcome(
    ws: &mut WebSocket,
    call: impl FnOnce(&mut WebSocket) -> Result<Option<Event<'static>>, Error>,
    now: Instant,
    failed: &mut bool,
) -> bool {
    match call(ws) {
        Ok(None) => return false,
        Ok(Some(event)) => handle(ws, event, now),
        Err(error) => report(&error, failed),
    }
    true
}

/// Handles an event of the application, which echoes messages.
fn handle(ws: &mut WebSocket, event: Event<'_>, now: Instant) {
    let result = match event {
        Event::Request(_) => ws.accept(Accept::new(), now).map_err(text),
        Event::HttpRequest(_) => ws.respond(HttpResponse::upgrade_required(), now).map_err(text),
        Event::Message(message) => ws.send(message).map_err(text),
        Event::Close(close) => {
            println!("closed: {}, clean: {}", close.code, close.was_clean);
            Ok(())
        }
        _ => Ok(()),
    };
    result.unwrap_or_else(|error| eprintln!("{error}"));
}

/// Prints an error once, since a failed connection returns it from every call.
fn report(error: &Error, reported: &mut bool) {
    if !std::mem::replace(reported, true) {
        eprintln!("{error}");
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Waits until the stream is readable or writable. Returns which, or nothing after the timeout.
fn wait(stream: &TcpStream, read: bool, write: bool, timeout: Option<Duration>) -> io::Result<PollFlags> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, read);
    flags.set(PollFlags::OUT, write);
    let mut fds = [PollFd::new(stream, flags)];
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => Ok(fds[0].revents()),
        Err(rustix::io::Errno::INTR) => Ok(PollFlags::OUT), // interrupted: loop
        Err(error) => Err(error.into()),
    }
}

/// Makes closing the stream reset the connection and drop the kernel's send buffer.
fn abort(stream: &TcpStream) -> io::Result<()> {
    set_socket_linger(stream, Some(Duration::ZERO)).map_err(Into::into)
}
