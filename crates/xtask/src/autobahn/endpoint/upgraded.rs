//! Endpoints whose opening handshake is performed by another HTTP library: httparse parses the head, types of the crate
//! `http` hold it, the core's public negotiation checks it, and the adapters adopt the connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result, ensure};
use sansocket_mio::{EventLoop, Socket, mio};
use sansocket_net::sansocket::{Agreement, ClientRequest, Response, Role, generate_key};
use sansocket_net::{Accept, Request, WebSocket};

use super::config::config;
use super::mio::{Echo, finish};
use super::net::echo;

/// A stream after its opening handshake, and the results of the handshake.
struct Upgraded {
    stream: TcpStream,
    leftover: Vec<u8>,
    role: Role,
    agreement: Agreement,
}

pub(super) fn start_net_echo_server(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(accept(stream)?.over_net()?));
        }
    });
}

pub(super) fn start_mio_echo_server(listener: TcpListener) -> Result<()> {
    let mut event_loop = EventLoop::new(Echo)?;
    let handle = event_loop.handle();
    thread::spawn(move || event_loop.run());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            thread::spawn(move || -> Result<()> {
                handle.adopt(accept(stream)?.over_mio()?, ()).map_err(|error| error.map(drop))?;
                Ok(())
            });
        }
    });
    Ok(())
}

pub(super) fn net_echo_client(url: &str, target: SocketAddr) -> Result<()> {
    echo(connect(url, target)?.over_net()?)
}

pub(super) fn mio_echo_client(url: &str, target: SocketAddr) -> Result<()> {
    let mut event_loop = EventLoop::new(Echo)?;
    event_loop.connections().adopt(connect(url, target)?.over_mio()?, ())?;
    finish(&mut event_loop)
}

impl Upgraded {
    fn over_net(self) -> Result<WebSocket> {
        let Self { stream, leftover, role, agreement } = self;
        Ok(WebSocket::from_upgraded(stream, leftover, role, agreement, config())?)
    }

    fn over_mio(self) -> Result<Socket> {
        let Self { stream, leftover, role, agreement } = self;
        stream.set_nonblocking(true)?;
        let stream = mio::net::TcpStream::from_std(stream);
        Ok(Socket::from_upgraded(stream, leftover, role, agreement, config())?)
    }
}

/// Performs the server's side of a handshake.
fn accept(mut stream: TcpStream) -> Result<Upgraded> {
    stream.set_nodelay(true)?;
    let (head, leftover) = read_head(&mut stream)?;
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut fields);
    ensure!(parsed.parse(&head)?.is_complete(), "the head is incomplete");
    let mut builder =
        http::Request::builder().method(parsed.method.unwrap_or_default()).uri(parsed.path.unwrap_or_default());
    for field in parsed.headers.iter() {
        builder = builder.header(field.name, field.value);
    }
    let (parts, ()) = builder.body(())?.into_parts();

    let handshake = Request::try_from(&parts)?.check()?.context("the request is no opening handshake")?;
    let accept = Accept::new();
    let acceptance = handshake.accept(&accept)?.with_compression(&config().compression);
    let agreement = acceptance.agreement();
    let response = acceptance.to_http()?;
    send_head(&mut stream, &format!("{:?} {}", response.version(), response.status()), response.headers())?;
    Ok(Upgraded { stream, leftover, role: Role::Server, agreement })
}

/// Performs the client's side of a handshake.
fn connect(url: &str, target: SocketAddr) -> Result<Upgraded> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    let request: ClientRequest = url.parse()?;
    let request = request.with_compression(&config().compression);
    let key = generate_key(&mut rand::rng());
    let sent = request.to_http(&key)?;
    send_head(&mut stream, &format!("{} {} {:?}", sent.method(), sent.uri(), sent.version()), sent.headers())?;

    let (head, leftover) = read_head(&mut stream)?;
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut fields);
    ensure!(parsed.parse(&head)?.is_complete(), "the head is incomplete");
    let mut builder = http::Response::builder().status(parsed.code.unwrap_or_default());
    for field in parsed.headers.iter() {
        builder = builder.header(field.name, field.value);
    }
    let (parts, ()) = builder.body(())?.into_parts();
    let agreement = request.check_response(&key, &Response::try_from(&parts)?)?;
    Ok(Upgraded { stream, leftover, role: Role::Client, agreement })
}

/// Reads up to the empty line. Returns the head, and the bytes that followed.
fn read_head(stream: &mut TcpStream) -> Result<(Vec<u8>, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the stream ended within the head");
        head.extend_from_slice(&buffer[..count]);
        if let Some(start) = head.windows(END.len()).position(|window| window == END) {
            let leftover = head.split_off(start + END.len());
            return Ok((head, leftover));
        }
    }
}

fn send_head(stream: &mut TcpStream, start_line: &str, fields: &http::HeaderMap) -> Result<()> {
    let mut head = format!("{start_line}\r\n").into_bytes();
    for (name, value) in fields {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    Ok(stream.write_all(&head)?)
}
