//! A relay between a client and a server, which records what both send. It forwards bytes and the end of each direction
//! without changes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// The maximum time until the relay notices the end of a connection.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A listening relay, and the conversations that have ended.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    ended: Receiver<Conversation>,
}

/// The record of one TCP connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// The client's request, up to and including the empty line.
    pub(crate) request: Vec<u8>,
    /// The bytes that the client sent after its part of the opening handshake.
    pub(crate) from_client: Vec<u8>,
    /// The bytes that the server sent after its part of the opening handshake.
    pub(crate) from_server: Vec<u8>,
}

impl Relay {
    /// Starts a relay that connects every client to `server`.
    pub(crate) fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || relay(client, server, &sender));
            }
        });
        Ok(Self { address, ended })
    }

    /// Returns the next conversation that has ended, or `None` if there is none within the time limit.
    pub(crate) fn next(&self) -> Option<Conversation> {
        self.ended.recv_timeout(END_LIMIT).ok()
    }
}

impl Conversation {
    fn new(mut client: Vec<u8>, mut server: Vec<u8>) -> Self {
        let from_client = client.split_off(end_of_head(&client));
        let from_server = server.split_off(end_of_head(&server));
        Self { request: client, from_client, from_server }
    }
}

fn end_of_head(bytes: &[u8]) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    bytes.windows(END.len()).position(|window| window == END).map_or(bytes.len(), |at| at + END.len())
}

/// Forwards both directions of a connection to their ends.
fn relay(client: TcpStream, server: SocketAddr, sender: &Sender<Conversation>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (requests, responses) = thread::scope(|scope| {
        let responses = scope.spawn(|| forward(&server, &client));
        (forward(&client, &server), responses.join().expect("forwarding does not panic"))
    });
    // Fails if the task needs no more of them.
    let _ = sender.send(Conversation::new(requests, responses));
    Ok(())
}

/// Forwards one direction to its end, and returns its bytes. It records bytes even if the receiver has closed.
fn forward(mut from: &TcpStream, mut to: &TcpStream) -> Vec<u8> {
    let mut recorded = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..count];
        recorded.extend_from_slice(bytes);
        let _ = to.write_all(bytes);
    }
    let _ = to.shutdown(Shutdown::Write);
    recorded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heads_are_no_part_of_what_follows() {
        let (client, server) = (b"GET / HTTP/1.1\r\n\r\n\x81\x80key.", b"HTTP/1.1 101 Yes\r\n\r\n\x88\x00");
        let conversation = Conversation::new(client.to_vec(), server.to_vec());
        assert_eq!(conversation.request, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(conversation.from_client, b"\x81\x80key.");
        assert_eq!(conversation.from_server, b"\x88\x00");
    }
}
