//! Sending compressed messages (RFC 7692) over real sockets. "Deflate N" cites the list of requirements.

mod support;

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use sansocket_net::sansocket::{Agreement, PermessageDeflate, Role};
use sansocket_net::{Compress, Compression, Config, MessageKind, WebSocket};
use support::*;

/// The first bytes of the frames of text messages: FIN, RSV1 if the message is compressed, and the opcode.
const COMPRESSED: u8 = 0xc1;
const PLAIN: u8 = 0x81;

const CHOICES: [(Compress, u8); 3] =
    [(Compress::Yes, COMPRESSED), (Compress::AsConfigured, COMPRESSED), (Compress::No, PLAIN)];

/// A server that agreed to permessage-deflate, and its peer.
fn connected() -> (WebSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let agreement = Agreement::new().with_compression(PermessageDeflate::default());
    let config = Config::default().compression(Compression::default());
    (WebSocket::from_upgraded(stream, [], Role::Server, agreement, config).unwrap(), peer)
}

fn text() -> String {
    "compressible, ".repeat(8)
}

/// Reads a short frame, and checks its first byte, and whether it is shorter than the text.
fn check_frame(peer: &mut TcpStream, expected: u8) {
    let mut head = [0; 2];
    peer.read_exact(&mut head).unwrap();
    let length = usize::from(head[1]);
    peer.read_exact(&mut vec![0; length]).unwrap();
    assert_eq!((head[0], length < text().len() / 2), (expected, expected == COMPRESSED));
}

/// Each way to send can choose, before and after `split`.
#[test]
fn a_message_chooses_whether_it_is_compressed() {
    bounded(|| {
        let (mut ws, mut peer) = connected();
        for (compress, expected) in CHOICES {
            ws.send_with(text(), compress).unwrap();
            ws.send_shared_with(MessageKind::Text, text().into(), compress).unwrap();
            ws.send_fragment_with(MessageKind::Text, text().as_bytes(), true, compress).unwrap();
            (0..3).for_each(|_| check_frame(&mut peer, expected));
        }
        let (_reader, writer) = ws.split().unwrap();
        for (compress, expected) in CHOICES {
            writer.send_with(text(), compress).unwrap();
            writer.send_shared_with(MessageKind::Text, text().into(), compress).unwrap();
            writer.send_fragment_with(MessageKind::Text, text().as_bytes(), true, compress).unwrap();
            (0..3).for_each(|_| check_frame(&mut peer, expected));
        }
    });
}
