//! The generator accepts a server that sends each message back, compressed, and no other.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use sansocket_mio::sansocket::accept_key;

use super::Generator;
use crate::echo::{Cell, Compression, StopAfter, Takeover};
use crate::raw::{COMPRESSED, FINAL_BINARY, KEY, frame, mask};

/// What a server does with a message: by default, it sends the payload back as it came. What the client compressed is
/// also a valid stream in the other direction.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It answers the opening handshake without the extension.
    NoExtension,
    /// It changes a byte of the third message.
    ChangedByte,
    /// It sends the third message twice.
    Repetition,
    /// It sends the third message with the flags of a message that is not compressed.
    PlainFlags,
    /// It closes the connection instead of sending the third message.
    Close,
}

/// Starts a server in threads that end with its connections.
fn start(fault: Fault, connections: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            // The client closes the connection in the middle of a message.
            thread::spawn(move || drop(serve(stream, fault)));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, fault: Fault) -> io::Result<()> {
    let offer = read_request(&mut stream)?;
    let extension = match offer {
        Some(offer) if fault != Fault::NoExtension => format!("Sec-WebSocket-Extensions:{offer}\r\n"),
        _ => String::new(),
    };
    let accept = accept_key("dGhlIHNhbXBsZSBub25jZQ==");
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         {accept}\r\n{extension}\r\n"
    )?;
    for number in 1_u32.. {
        let (mut first, mut payload) = read_frame(&mut stream)?;
        match fault {
            Fault::ChangedByte if number == 3 => payload[10] ^= 1,
            Fault::Repetition if number == 3 => stream.write_all(&frame(first, &payload, None))?,
            Fault::PlainFlags if number == 3 => first = FINAL_BINARY,
            Fault::Close if number == 3 => break,
            _ => {}
        }
        stream.write_all(&frame(first, &payload, None))?;
    }
    Ok(())
}

/// Reads a request, and returns the client's offer of extensions.
fn read_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    Ok(head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions:")).map(str::to_owned))
}

/// Reads a client's frame, and returns its first byte and its payload.
fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            u16::from_be_bytes(length).into()
        }
        127 => panic!("the messages are shorter"),
        length => usize::from(length),
    };
    let mut rest = vec![0; KEY.len() + length];
    stream.read_exact(&mut rest)?;
    Ok((head[0], mask(&rest[KEY.len()..], KEY).collect()))
}

/// Runs the generator twice, as a measurement does. Returns the messages and the bytes on the wire of both runs.
fn run(fault: Fault, takeover: Takeover, cell: &str, messages: u64) -> Result<(u64, u64)> {
    let cell: Cell = cell.parse()?;
    let address = start(fault, cell.connections)?;
    let compression = Compression { level: 1, window_bits: 12, takeover };
    let mut generator = Generator::connect(address, cell, compression)?;
    let (first, second) =
        (generator.run(StopAfter::Messages(messages))?, generator.run(StopAfter::Messages(messages))?);
    Ok((first.messages + second.messages, first.wire_bytes + second.wire_bytes))
}

#[test]
fn every_message_returns_compressed() {
    for takeover in [Takeover::On, Takeover::Off] {
        for (cell, messages) in [("200B/1/1", 3_000), ("1KiB/3/16", 2_000), ("16KiB/2/16", 200)] {
            let (received, bytes) = run(Fault::None, takeover, cell, messages).unwrap();
            assert!(received >= 2 * messages, "{cell}, {takeover:?}: {received}");
            let (cell, each): (Cell, _) = (cell.parse().unwrap(), bytes / received);
            assert!(each < cell.payload.0 as u64, "{cell}, {takeover:?}: {each} bytes per message");
        }
    }
}

#[test]
fn takeover_makes_short_messages_shorter() {
    let bytes = |takeover| run(Fault::None, takeover, "200B/1/1", 500).unwrap().1;
    assert!(bytes(Takeover::On) * 3 < bytes(Takeover::Off) * 2);
}

#[test]
fn plain_messages_have_no_flag_and_their_length() {
    let (messages, bytes) = run(Fault::None, Takeover::Plain, "200B/1/1", 10).unwrap();
    assert_eq!((messages, bytes), (20, 20 * 204));
    let flags = |takeover| {
        let compression = Compression { level: 1, window_bits: 12, takeover };
        super::messages::Messages::new("200B/1/1".parse().unwrap(), compression).unwrap().first_byte()
    };
    assert_eq!((flags(Takeover::Plain), flags(Takeover::On)), (FINAL_BINARY, FINAL_BINARY | COMPRESSED));
}

#[test]
fn faults_of_the_server_are_found() {
    for (fault, message) in [
        (Fault::NoExtension, "does not compress"),
        (Fault::ChangedByte, "echo 2"),
        (Fault::Repetition, "an echo arrived without a message"),
        (Fault::PlainFlags, "a frame begins with 0x82 instead of 0xc2"),
        (Fault::Close, "closed the connection"),
    ] {
        let error = format!("{:#}", run(fault, Takeover::On, "200B/1/1", 5).unwrap_err());
        let is_late = fault == Fault::Repetition && error.contains("echo 3");
        assert!(error.contains(message) || is_late, "{fault:?}: {error}");
    }
}
