//! Publishing in an event loop of sansocket-mio, as an operation of the guard: a burst of messages to all connections.
//!
//! It is a separate program, because the compiler would optimise the operations of `guard` differently in a program
//! that has an event loop.
//!
//! The loop and its peers share this thread, and their sockets belong to the loopback interface: each write has arrived
//! when it returns. So a turn of the loop does the same work each time.

use std::hint::black_box;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use sansocket_benches::operations::{self, Operation};
use sansocket_benches::wire::{self, From, REQUEST};
use sansocket_mio::{Config, Connection, EventLoop, Handler, Keepalive, Message, Options};

/// The number of connections.
const MEMBERS: usize = 100;
/// The payload of a message, in bytes.
const PAYLOAD: usize = 128;

/// The numbers of messages that are published at once.
const BURSTS: [usize; 2] = [1, 16];

struct FanOut;

impl Handler for FanOut {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        connection.connections().broadcast(message).unwrap();
    }
}

fn main() -> ExitCode {
    let operation = |messages| {
        let name = format!("fan-out, {MEMBERS} members, {messages} of {PAYLOAD} B a turn");
        (name, move || burst(messages))
    };
    operations::run(BURSTS.map(operation))
}

/// Receives a burst of messages from one member, publishes each to all members, and writes. The peers' reads count too:
/// one for each member.
fn burst(messages: usize) -> Operation {
    let mut config = Config::default();
    config.keepalive = Keepalive::Off;
    let mut event_loop = EventLoop::with_options(FanOut, &Options::new().config(config)).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let mut members: Vec<_> = (0..MEMBERS).map(|_| join(&mut event_loop, address).unwrap()).collect();

    let published = wire::messages(From::Client, false, &wire::payload(PAYLOAD), messages);
    let expected = wire::messages(From::Server, false, &wire::payload(PAYLOAD), messages);
    let mut received = vec![0; expected.len()];
    Box::new(move || {
        members[0].write_all(black_box(&published)).unwrap();
        event_loop.turn(None).unwrap();
        for member in &mut members {
            member.read_exact(&mut received).unwrap();
            assert_eq!(received, expected);
        }
    })
}

/// Connects, and performs the opening handshake.
fn join(event_loop: &mut EventLoop<FanOut>, address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(REQUEST)?;
    stream.set_nonblocking(true)?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        event_loop.turn(None)?;
        match stream.read_to_end(&mut response) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => panic!("the opening handshake ended with {result:?}"),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}
