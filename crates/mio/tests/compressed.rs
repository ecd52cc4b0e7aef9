//! Sending compressed messages (RFC 7692) over real sockets. "Deflate N" cites the list of requirements.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use allocation_counter::measure;
use sansocket_mio::sansocket::{Agreement, PermessageDeflate, Role};
use sansocket_mio::{
    Compress, Compression, Config, Connection, ConnectionId, Connections, EventLoop, Handler, Message, MessageKind,
    Options, Socket, mio,
};
use support::*;

/// The first bytes of the frames of text messages: FIN, RSV1 if the message is compressed, and the opcode.
const COMPRESSED: u8 = 0xc1;
const PLAIN: u8 = 0x81;

const CONNECTIONS: usize = 20;

/// Sends a text that compresses to all connections, for each event and each message.
#[derive(Default)]
struct Pusher;

impl Handler for Pusher {
    type Data = ();
    type Event = ();

    fn on_event(&mut self, connections: &mut Connections<Self>, (): ()) {
        push(connections);
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        push(connection.connections());
    }
}

fn push(connections: &mut Connections<Pusher>) {
    let ids: Vec<ConnectionId> = connections.open().collect();
    for id in ids {
        connections.get(id).unwrap().send(text()).unwrap();
    }
}

fn text() -> String {
    "compressible, ".repeat(30)
}

/// A server with connections that agreed to permessage-deflate, and their peers.
fn connected(count: usize) -> (EventLoop<Pusher>, Vec<TcpStream>) {
    let config = Config::default().compression(Compression::default());
    let mut event_loop = EventLoop::with_options(Pusher, &Options::new().config(config.clone())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let agreement = Agreement::new().with_compression(PermessageDeflate::default());
        let stream = mio::net::TcpStream::from_std(stream);
        let socket = Socket::from_upgraded(stream, [], Role::Server, agreement, config.clone()).unwrap();
        event_loop.handle().adopt(socket, ()).unwrap();
    }
    while event_loop.connections().open().count() < count {
        event_loop.turn(Some(BOUND)).unwrap();
    }
    (event_loop, peers)
}

/// Reads a frame of a server, and returns its first byte and the length of its payload.
fn read_frame(peer: &mut TcpStream) -> (u8, usize) {
    let mut head = [0; 2];
    peer.read_exact(&mut head).unwrap();
    let mut length = usize::from(head[1]);
    if length == 126 {
        let mut extended = [0; 2];
        peer.read_exact(&mut extended).unwrap();
        length = usize::from(u16::from_be_bytes(extended));
    }
    peer.read_exact(&mut vec![0; length]).unwrap();
    (head[0], length)
}

/// Turns the loop until each of the peers got this many compressed messages. Returns the most bytes that the loop
/// allocated meanwhile, and how many of them remain.
fn until_received(event_loop: &mut EventLoop<Pusher>, peers: &mut [TcpStream], count: usize) -> (u64, i64) {
    let allocated = measure(|| {
        for peer in peers.iter_mut() {
            for _ in 0..count {
                peer.set_nonblocking(true).unwrap();
                while peer.peek(&mut [0]).is_err() {
                    event_loop.turn(Some(Duration::from_millis(10))).unwrap();
                }
                peer.set_nonblocking(false).unwrap();
                assert_eq!(read_frame(peer).0, COMPRESSED);
            }
        }
    });
    (allocated.bytes_max, allocated.bytes_current)
}

/// Deflate 63: a compressor takes 137 to 380 KB. A loop sends to connections that are not having their turn, and several
/// connections have theirs at the same time; no connection creates another compressor.
#[test]
fn connections_share_compressors_whenever_they_send() {
    bounded(|| {
        let (mut event_loop, mut peers) = connected(CONNECTIONS);
        event_loop.handle().post(0, ()).unwrap();
        let (most, remaining) = until_received(&mut event_loop, &mut peers, 1);
        assert!(most < 700 * 1024 && remaining < 500 * 1024, "{most} bytes, of which {remaining} remain");
        // all connections are served in the same turn, and each sends to all
        for peer in &mut peers {
            peer.write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        }
        let (most, remaining) = until_received(&mut event_loop, &mut peers, CONNECTIONS);
        assert!(most < 1_200 * 1024 && remaining < 900 * 1024, "{most} bytes, of which {remaining} remain");
    });
}

/// Each way to send can choose.
#[test]
fn a_message_chooses_whether_it_is_compressed() {
    bounded(|| {
        let (mut event_loop, mut peers) = connected(1);
        let id = event_loop.connections().open().next().unwrap();
        let handle = event_loop.handle();
        for (compress, expected) in
            [(Compress::Yes, COMPRESSED), (Compress::AsConfigured, COMPRESSED), (Compress::No, PLAIN)]
        {
            let mut connection = event_loop.connections().get(id).unwrap();
            connection.send_with(text(), compress).unwrap();
            connection.send_shared_with(MessageKind::Text, text().into(), compress).unwrap();
            connection.send_fragment_with(MessageKind::Text, text().as_bytes(), true, compress).unwrap();
            handle.send_with(id, text(), compress).unwrap();
            event_loop.turn(Some(BOUND)).unwrap();
            for _ in 0..4 {
                let (first, length) = read_frame(&mut peers[0]);
                assert_eq!((first, length < text().len() / 2), (expected, expected == COMPRESSED));
            }
        }
    });
}
