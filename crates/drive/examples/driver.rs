//! An echo server over `std::net` and poll(2), one connection at a time: the complete loop of a driver.
//!
//! `cargo run -p sansocket-drive --example driver -- 127.0.0.1:9001`; the loop is [`drive`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sansocket_drive::sansocket::bytes::Buf;
use sansocket_drive::sansocket::{Accept, Event, Instant, OriginPolicy, WebSocket};
use sansocket_drive::{Action, Clock, Driver, Error, LayerScratch, default_config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on ws://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        match stream.and_then(|stream| drive(&stream)) {
            Ok(()) => {}
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

/// Drives a connection from its first byte to its last.
fn drive(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let clock = Clock::of_process();
    let mut driver = Driver::new(WebSocket::server(default_config(), clock.now()));
    let (mut buffer, mut scratch) = (vec![0; 16 * 1024], LayerScratch::new());
    let mut received = 0;
    loop {
        let mut input = driver.open(&mut buffer[..received], &mut scratch);
        loop {
            match driver.next_event(&mut input, clock.now()) {
                Ok(None) => break,
                Ok(Some(event)) => handle(&mut driver, event, clock.now()).unwrap_or_else(|error| eprintln!("{error}")),
                Err(error) => eprintln!("{error}"), // the peer is told, and the connection ends in good order
            }
        }
        flush(&mut driver, stream, clock.now());
        received = 0;
        match driver.next_action() {
            Action::Again => {}
            Action::Wait { read, write, until } => match wait(stream, read, write, until.map(|at| clock.until(at)))? {
                ready if ready.is_empty() => {
                    flush(&mut driver, stream, clock.now()); // it may take bytes though poll has not said so
                    driver.timeout(sansocket_acked::outstanding(&stream), clock.now());
                }
                ready if !read || ready == PollFlags::OUT => {}
                _ => match stream.read(&mut buffer) {
                    Ok(0) => driver.eof(),
                    Ok(count) => received = count,
                    Err(error) if is_temporary(&error) => {}
                    Err(error) => driver.read_lost(error, clock.now()),
                },
            },
            Action::ShutdownWrite => {
                let _ = stream.shutdown(Shutdown::Write); // if the connection is lost, reading reports it
                driver.write_shut_down();
            }
            Action::Close => return Ok(()),
            Action::Abort => {
                return rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).map_err(Into::into);
            }
        }
    }
}

/// What the application does: an echo.
fn handle(driver: &mut Driver, event: Event<'_>, now: Instant) -> Result<(), Error> {
    match event {
        Event::Request(_) => driver.accept(Accept::new(OriginPolicy::SameOrigin), now)?,
        Event::Message(message) => driver.websocket_mut().send(message)?,
        Event::Close(close) => println!("closed: {}, clean: {}", close.code, close.was_clean),
        _ => {}
    }
    Ok(())
}

/// Writes as much as the kernel takes.
fn flush(driver: &mut Driver, mut stream: &TcpStream, now: Instant) {
    if driver.has_write_ended() {
        return;
    }
    let mut outgoing = driver.to_write();
    while outgoing.has_remaining() {
        match stream.write(outgoing.chunk()) {
            Ok(count) => outgoing.advance(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => return driver.write_lost(error, now),
        }
    }
}

/// Waits until the stream is ready, and returns for what; empty when the time is over.
fn wait(stream: &TcpStream, read: bool, write: bool, timeout: Option<Duration>) -> io::Result<PollFlags> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, read);
    flags.set(PollFlags::OUT, write);
    let mut fds = [PollFd::new(stream, flags)];
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => Ok(fds[0].revents()),
        Err(rustix::io::Errno::INTR) => Ok(PollFlags::OUT), // look again
        Err(error) => Err(error.into()),
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
