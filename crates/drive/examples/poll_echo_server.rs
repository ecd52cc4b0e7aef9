//! An echo server over `std::net` and poll(2), one connection at a time: the complete loop of a driver.
//!
//! `cargo run -p sansocket-drive --example poll_echo_server -- 127.0.0.1:9001`; the loop is [`drive`].

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sansocket_drive::sansocket::bytes::Buf;
use sansocket_drive::sansocket::{Accept, Config, Event, HttpResponse, Instant, WebSocket};
use sansocket_drive::{Action, Clock, Driver, Error, LayerScratch, with_keepalive};

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
fn drive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let clock = Clock::of_process();
    let mut driver = Driver::new(WebSocket::server(with_keepalive(Config::default()), clock.now()));
    let (mut buffer, mut scratch) = (vec![0; 16 * 1024], LayerScratch::new());
    let mut received = 0;
    loop {
        let mut input = driver.open(&mut buffer[..mem::take(&mut received)], &mut scratch);
        while let Some(event) = driver.next_event(&mut input, clock.now()).transpose() {
            handle(&mut driver, event, clock.now()).unwrap_or_else(|error| eprintln!("{error}"));
        }
        flush(&mut driver, stream, clock.now());
        match driver.next_action() {
            Action::Again => {}
            Action::Wait { read, write, until } => match wait(stream, read, write, until.map(|at| clock.until(at)))? {
                Ready::Read => received = self::read(&mut driver, stream, &mut buffer, clock.now()),
                Ready::Write => {}
                Ready::Timeout => {
                    flush(&mut driver, stream, clock.now()); // the kernel may take bytes that poll does not report
                    driver.timeout(sansocket_acked::outstanding(&stream), clock.now());
                }
            },
            Action::ShutdownWrite => {
                let _ = stream.shutdown(Shutdown::Write); // if the connection is lost, the next read reports it
                driver.write_shut_down();
            }
            Action::Close => return Ok(()),
            Action::Abort => return abort(stream),
        }
    }
}

/// Sends every message back. After an error, keep driving: the driver sends the peer a Close frame with the reason.
fn handle(driver: &mut Driver, event: Result<Event<'_>, Error>, now: Instant) -> Result<(), Error> {
    match event? {
        Event::Request(_) => driver.accept(Accept::new(), now)?,
        Event::HttpRequest(_) => driver.respond(HttpResponse::upgrade_required(), now)?,
        Event::Message(message) => driver.websocket_mut().send(message)?,
        Event::Close(close) => println!("closed: {}, clean: {}", close.code, close.was_clean),
        _ => {}
    }
    Ok(())
}

/// Reads the bytes that have arrived; returns their number.
fn read(driver: &mut Driver, mut stream: &TcpStream, buffer: &mut [u8], now: Instant) -> usize {
    match stream.read(buffer) {
        Ok(0) => driver.eof(),
        Ok(count) => return count,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(error) => driver.read_lost(error, now),
    }
    0
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

enum Ready {
    Read,
    Write,
    Timeout,
}

/// Waits until the stream is ready or the timeout has passed.
fn wait(stream: &TcpStream, read: bool, write: bool, timeout: Option<Duration>) -> io::Result<Ready> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, read);
    flags.set(PollFlags::OUT, write);
    let mut fds = [PollFd::new(stream, flags)];
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => Ok(Ready::Timeout),
        // ready though neither was asked for: the connection has hung up, and reading reports how
        Ok(_) if (read && fds[0].revents() != PollFlags::OUT) || !write => Ok(Ready::Read),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Ready::Write),
        Err(error) => Err(error.into()),
    }
}

/// Drops the connection: without SO_LINGER at zero, the kernel would keep the bytes that the peer does not read.
fn abort(stream: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).map_err(Into::into)
}
