//! Sockets with small buffers, peers that read slowly, and frames as a peer reads them.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sansocket_mio::{Config, ListenOptions};
use socket2::{Domain, Socket, Type};

use super::{BOUND, REQUEST, Recorder, Running, options, read_head, run};

/// Returns a listener whose connections have a send buffer of this size, which Linux doubles.
pub(crate) fn listener(send_buffer: usize) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_send_buffer_size(send_buffer).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1024).unwrap();
    socket.into()
}

/// A server whose connections have a small send buffer. It echoes unless `change` sets another reaction.
pub(crate) fn serve_small(
    send_buffer: usize,
    config: impl FnOnce(&mut Config),
    change: impl FnOnce(&mut Recorder),
) -> Running {
    let mut address = None;
    let mut server = run(&options(config), change, |event_loop| {
        address = Some(event_loop.listen_on(listener(send_buffer), &ListenOptions::new()).unwrap());
    });
    server.address = address.unwrap();
    server
}

/// A client with a small receive buffer, connected and not yet open.
pub(crate) fn small_tcp(address: SocketAddr, receive_buffer: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(receive_buffer).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket.into()
}

/// A raw client with a small receive buffer that has been accepted.
pub(crate) fn small_client(address: SocketAddr, receive_buffer: usize) -> TcpStream {
    let mut stream = small_tcp(address, receive_buffer);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    stream
}

/// Reads up to `step` bytes at a time, each time after a pause.
pub(crate) struct Steps {
    stream: TcpStream,
    step: usize,
    pause: Duration,
}

impl Read for Steps {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(self.pause);
        let count = buffer.len().min(self.step);
        self.stream.read(&mut buffer[..count])
    }
}

/// A reader that takes `step` bytes every `pause`.
pub(crate) fn slowly(stream: &TcpStream, step: usize, pause: Duration) -> BufReader<Steps> {
    BufReader::with_capacity(step, Steps { stream: stream.try_clone().unwrap(), step, pause })
}

/// Reads a frame of a server: its first byte, and its payload.
pub(crate) fn read_frame(reader: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    reader.read_exact(&mut head)?;
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            u64::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            reader.read_exact(&mut length)?;
            u64::from_be_bytes(length)
        }
        length => u64::from(length),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    reader.read_exact(&mut payload)?;
    Ok((head[0], payload))
}

/// Reads the fragments of a server's next message; ignores control frames between them.
pub(crate) fn read_message(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let (head, payload) = read_frame(reader)?;
        if head & 0x08 == 0 {
            message.extend(payload);
            if head & 0x80 != 0 {
                return Ok(message);
            }
        }
    }
}

/// A binary message of `length` bytes, masked with a key of zeros.
pub(crate) fn masked(fill: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![0x82, 0xff];
    frame.extend((length as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(14 + length, fill);
    frame
}
