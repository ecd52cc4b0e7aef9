//! A WebSocket and another socket in an application's own `Poll`: `cargo run --example own_poll [address]`. Forwards
//! datagrams from a UDP port to a WebSocket server, and prints the server's messages.

use std::error::Error;
use std::{env, io};

use sansocket_mio::mio::net::UdpSocket;
use sansocket_mio::mio::{Events, Interest, Poll, Token};
use sansocket_mio::{Connector, Event, NextStep, ReadBuffer, Socket, WebSocket, now};

const WEBSOCKET: Token = Token(0);
const UDP: Token = Token(1);

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let target = format!("ws://{address}/").parse()?;

    let mut poll = Poll::new()?;
    let mut udp = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    poll.registry().register(&mut udp, UDP, Interest::READABLE)?;
    println!("listening on udp://{}", udp.local_addr()?);
    let mut socket = Socket::connect(&Connector::new(), target, now())?;

    let mut events = Events::with_capacity(64);
    let mut buffer = ReadBuffer::new(64 * 1024);
    let mut datagram = vec![0; 64 * 1024];
    let mut next = NextStep::Wait;
    let mut failure = None;
    let mut print = |_: &mut WebSocket, event: Result<Event<'_>, sansocket_mio::Error>| match event {
        Ok(event) => print(&event),
        Err(error) => failure = Some(error),
    };
    while next != NextStep::End {
        socket.update(poll.registry(), WEBSOCKET)?;
        match poll.poll(&mut events, socket.max_wait(next, now())) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                // `drive` below returns the next step
                WEBSOCKET => _ = socket.ready(event, &mut buffer, now(), &mut print),
                _ => forward(&udp, &mut datagram, socket.websocket()),
            }
        }
        // writes what was sent, and handles deadlines
        next = socket.drive(&mut buffer, now(), &mut print);
        while let Some(lookup) = socket.take_lookup() {
            // blocks: an application with other connections does this in a thread
            socket.resolved(lookup.resolve());
            next = NextStep::Again;
        }
    }
    match (socket.take_dial_error(), failure) {
        (Some(error), _) => Err(error.into()),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Ok(()),
    }
}

fn print(event: &Event<'_>) {
    match event {
        Event::Message(message) => println!("{}", String::from_utf8_lossy(message.as_bytes())),
        Event::Open(_) => println!("open"),
        Event::Close(close) => println!("closed with {}", close.code),
        _ => {}
    }
}

fn forward(udp: &UdpSocket, buffer: &mut [u8], ws: &mut WebSocket) {
    while let Ok(length) = udp.recv(buffer) {
        if let Err(error) = ws.send(&buffer[..length]) {
            eprintln!("{error}");
        }
    }
}
