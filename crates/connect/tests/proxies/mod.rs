//! Proxies for the adapters' tests: HTTP CONNECT, over TCP and TLS, and SOCKS5, which relay, and others that misbehave.
#![allow(dead_code, reason = "each adapter uses some of it")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a relay sleeps when nothing has arrived.
const PAUSE: Duration = Duration::from_millis(1);

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    asked: mpsc::Receiver<Asked>,
}

/// What a client asked a proxy for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The host and port.
    pub(crate) destination: String,
    /// The value of `Proxy-Authorization`, or the user and the password of SOCKS5 with a colon between them.
    pub(crate) credentials: Option<String>,
}

impl Proxy {
    /// Starts a proxy, which handles each client in a thread with `handle`.
    fn start(
        handle: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
        asked: mpsc::Receiver<Asked>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handle = Arc::new(handle);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let handle = Arc::clone(&handle);
                // a client may be gone at any time
                thread::spawn(move || handle(client));
            }
        });
        Self { address, asked }
    }

    /// Starts an HTTP proxy, which relays. It connects to `server`, whatever the client asks for.
    pub(crate) fn http(server: SocketAddr) -> Self {
        let (sender, asked) = mpsc::channel();
        Self::start(move |client| serve_http(client, server, &sender), asked)
    }

    /// Starts an HTTP proxy that clients reach over TLS.
    pub(crate) fn https(server: SocketAddr, tls: Arc<ServerConfig>) -> Self {
        let (sender, asked) = mpsc::channel();
        let serve = move |client| {
            let session = ServerConnection::new(Arc::clone(&tls)).map_err(io::Error::other)?;
            serve_http(StreamOwned::new(session, client), server, &sender)
        };
        Self::start(serve, asked)
    }

    /// Starts a SOCKS5 proxy, which relays. With `needs_password`, it requires a user and a password.
    pub(crate) fn socks5(server: SocketAddr, needs_password: bool) -> Self {
        let (sender, asked) = mpsc::channel();
        Self::start(move |client| serve_socks5(client, server, needs_password, &sender), asked)
    }

    /// Starts an HTTP proxy that reads a request, answers with these bytes, in writes of at most `piece` bytes, and
    /// ends the stream.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>, piece: usize) -> Self {
        let (answer, (_, asked)) = (answer.into(), mpsc::channel());
        Self::start(move |client| answer_with(client, &answer, piece), asked)
    }

    /// Starts a proxy as [`answering`](Self::answering) does, whose clients reach it over TLS.
    pub(crate) fn answering_over_tls(answer: impl Into<Vec<u8>>, tls: Arc<ServerConfig>) -> Self {
        let (answer, (_, asked)) = (answer.into(), mpsc::channel());
        let serve = move |client| {
            let session = ServerConnection::new(Arc::clone(&tls)).map_err(io::Error::other)?;
            answer_with(StreamOwned::new(session, client), &answer, usize::MAX)
        };
        Self::start(serve, asked)
    }

    /// Starts a proxy that sends these bytes to each client at once, and ends the stream.
    pub(crate) fn sending(bytes: impl Into<Vec<u8>>) -> Self {
        let (bytes, (_, asked)) = (bytes.into(), mpsc::channel());
        let serve = move |mut client: TcpStream| {
            client.write_all(&bytes)?;
            client.shutdown(std::net::Shutdown::Write)?;
            // until the client has gone
            io::copy(&mut client, &mut io::sink()).map(drop)
        };
        Self::start(serve, asked)
    }

    /// Starts a proxy that waits for the first bytes of each client, sends these bytes, and resets TCP.
    pub(crate) fn resetting(bytes: impl Into<Vec<u8>>) -> Self {
        let (bytes, (_, asked)) = (bytes.into(), mpsc::channel());
        let serve = move |mut client: TcpStream| {
            client.peek(&mut [0])?;
            // closing a stream with unread bytes resets TCP
            client.write_all(&bytes)
        };
        Self::start(serve, asked)
    }

    /// Starts a proxy that accepts clients, and says nothing.
    pub(crate) fn silent() -> Self {
        let (_, asked) = mpsc::channel();
        Self::start(|mut client| io::copy(&mut client, &mut io::sink()).map(drop), asked)
    }

    /// Returns the URL of the proxy with a scheme and user information, such as `user:password@`.
    pub(crate) fn url(&self, scheme: &str, user_info: &str) -> String {
        format!("{scheme}://{user_info}{}", self.address)
    }

    /// Returns what the next client asked for.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(30)).expect("a client asks in time")
    }

    /// Returns whether a client has asked for anything that [`asked`](Self::asked) has not returned.
    pub(crate) fn has_been_asked(&self) -> bool {
        self.asked.try_recv().is_ok()
    }
}

/// A stream that can be switched to non-blocking.
trait Client: Read + Write {
    fn socket(&self) -> &TcpStream;
}

impl Client for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Client for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

fn answer_with(mut client: impl Client, answer: &[u8], piece: usize) -> io::Result<()> {
    client.socket().set_nodelay(true)?;
    read_head(&mut client)?;
    for piece in answer.chunks(piece) {
        client.write_all(piece)?;
    }
    client.flush()?;
    client.socket().shutdown(std::net::Shutdown::Write)?;
    // until the client has gone
    io::copy(&mut client, &mut io::sink()).map(drop)
}

fn serve_http(mut client: impl Client, server: SocketAddr, asked: &mpsc::Sender<Asked>) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let destination = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let credentials = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: ")).map(str::to_owned);
    assert!(head.starts_with(&format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n")), "{head}");
    let _ = asked.send(Asked { destination, credentials });
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    relay(client, TcpStream::connect(server)?)
}

fn serve_socks5(
    mut client: TcpStream,
    server: SocketAddr,
    needs_password: bool,
    asked: &mpsc::Sender<Asked>,
) -> io::Result<()> {
    // RFC 1928 section 3
    let [5, count] = read_array(&mut client)? else { return Err(ErrorKind::InvalidData.into()) };
    let methods = read_bytes(&mut client, count)?;
    let method = if needs_password { 2 } else { 0 };
    if !methods.contains(&method) {
        return client.write_all(&[5, 0xff]);
    }
    client.write_all(&[5, method])?;
    let mut credentials = None;
    if needs_password {
        // RFC 1929 section 2
        let [1, length] = read_array(&mut client)? else { return Err(ErrorKind::InvalidData.into()) };
        let user = read_bytes(&mut client, length)?;
        let [length] = read_array(&mut client)?;
        let password = read_bytes(&mut client, length)?;
        let text = format!("{}:{}", String::from_utf8_lossy(&user), String::from_utf8_lossy(&password));
        let is_right = text == "user:secret";
        credentials = Some(text);
        client.write_all(&[1, u8::from(!is_right)])?;
        if !is_right {
            return Ok(());
        }
    }
    let [5, 1, 0, kind] = read_array(&mut client)? else { return Err(ErrorKind::InvalidData.into()) };
    let host = match kind {
        1 => std::net::Ipv4Addr::from(read_array::<4>(&mut client)?).to_string(),
        3 => {
            let [length] = read_array(&mut client)?;
            String::from_utf8_lossy(&read_bytes(&mut client, length)?).into_owned()
        }
        _ => std::net::Ipv6Addr::from(read_array::<16>(&mut client)?).to_string(),
    };
    let port = u16::from_be_bytes(read_array(&mut client)?);
    let _ = asked.send(Asked { destination: format!("{host}:{port}"), credentials });
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    relay(client, TcpStream::connect(server)?)
}

fn read_array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_bytes(stream: &mut impl Read, count: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count.into()];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads the head of a request, byte by byte: what follows it belongs to the tunnel.
fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_array::<1>(stream)?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Carries bytes in both directions until both ends have ended.
fn relay(mut client: impl Client, mut server: TcpStream) -> io::Result<()> {
    client.socket().set_nonblocking(true)?;
    server.set_nonblocking(true)?;
    let mut open = [true; 2];
    while open.contains(&true) {
        let mut has_moved = false;
        if open[0] {
            match carry(&mut client, &mut server)? {
                Some(count) => has_moved |= count > 0,
                None => {
                    open[0] = false;
                    server.shutdown(std::net::Shutdown::Write)?;
                }
            }
        }
        if open[1] {
            match carry(&mut server, &mut client)? {
                Some(count) => has_moved |= count > 0,
                None => {
                    open[1] = false;
                    client.socket().shutdown(std::net::Shutdown::Write)?;
                }
            }
        }
        if !has_moved {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Carries what has arrived. Returns `None` at the end of the stream.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<Option<usize>> {
    let mut buffer = [0; 16 * 1024];
    let count = match from.read(&mut buffer) {
        Ok(0) => return Ok(None),
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Some(0)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut written = 0;
    while written < count {
        match to.write(&buffer[written..count]) {
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    loop {
        match to.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            result => return result.map(|()| Some(count)),
        }
    }
}
