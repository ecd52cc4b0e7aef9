//! The end of connections whose peers read slowly, half-close, or never read.

#![cfg(target_os = "linux")]

mod support;

use std::collections::VecDeque;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use sansocket_net::{Acceptor, CloseCode, Config, Connector, Event, Incoming, WebSocket};
use support::{Running, TIMEOUT, interrupt, last, lines, terminate, with_each_server};

/// The limit for an operation that need not wait. It is far below the closing timeout, so that an error shows.
const AT_ONCE: Duration = Duration::from_secs(2);
/// If a peer takes no bytes for this long, all buffers between are full.
const STALL: Duration = Duration::from_millis(300);
/// The longest time to fill buffers: while the kernel is short of memory, they grow by a little at a time.
const FILL_LIMIT: Duration = Duration::from_secs(3);
const SMALL_BUFFER: usize = 32 * 1024;

#[test]
fn each_line_reaches_a_server_that_reads_slowly() {
    let within_the_timeout = Duration::from_secs(2);
    let beyond_the_timeout = Config::default().closing_timeout + Duration::from_millis(1500);
    thread::scope(|scope| {
        scope.spawn(|| check_slow_server(within_the_timeout, true));
        scope.spawn(|| check_slow_server(beyond_the_timeout, true));
        // Then only acknowledgements show that the server reads.
        scope.spawn(|| check_slow_server(beyond_the_timeout, false));
    });
}

/// Pipes 2 MiB into `connect`, which then begins to close. The server reads the rest in `duration`.
fn check_slow_server(duration: Duration, sends_pings: bool) {
    const LINES: usize = 2048;
    const LINES_PER_READ: usize = 16;
    let line = |number: usize| format!("{number:01023}");
    let (written, is_written) = mpsc::channel();
    let url = server(move |incoming| {
        let (mut reader, writer) = incoming.accept().unwrap().split().unwrap();
        let (_stop, is_stopped) = mpsc::channel::<()>();
        if sends_pings {
            thread::spawn(move || {
                while is_stopped.recv_timeout(Duration::from_millis(300)) == Err(RecvTimeoutError::Timeout) {
                    // This fails once the connection is closing.
                    let _ = writer.ping(b"still there?");
                }
            });
        }
        let mut received = 0;
        let mut pause = None;
        loop {
            match reader.read().unwrap() {
                Some(Event::Message(message)) => {
                    assert_eq!(message.as_text(), Some(line(received).as_str()));
                    received += 1;
                    if received % LINES_PER_READ == 0 {
                        match pause {
                            Some(pause) => thread::sleep(pause),
                            None if is_written.recv_timeout(Duration::from_millis(10)).is_ok() => {
                                let reads = (LINES - received) / LINES_PER_READ;
                                pause = Some(duration / reads as u32);
                            }
                            None => {}
                        }
                    }
                }
                Some(Event::Close(close)) => {
                    assert_eq!((close.code, close.was_clean, received), (CloseCode::NORMAL, true, LINES), "{close:?}");
                }
                Some(_) => {}
                None => return,
            }
        }
    });
    let mut client = Running::start(&["connect", &url, "--wait", "0"]);
    (0..LINES).for_each(|number| client.type_line(&line(number)));
    client.end_stdin();
    written.send(()).unwrap();
    let start = Instant::now();
    let ended = client.end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(ended.stderr[ended.stderr.len() - 2..], ["close received: 1000", "closed: 1000, clean, begun by us"]);
    assert_eq!(ended.stderr.iter().any(|line| line == "ping: \"still there?\""), sends_pings);
    assert!(start.elapsed() >= duration * 9 / 10, "the server did not read slowly: {:?}", start.elapsed());
}

#[test]
fn a_client_that_half_closes_gets_the_whole_echo() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let lengths = [4_000_000, 4_400_000, 4_800_000];
        thread::scope(|scope| {
            for length in lengths {
                scope.spawn(move || check_half_close(address, length));
            }
        });
        let mut logged: Vec<_> = lengths.iter().map(|_| server.stdout_line_with("closed: 1006, not clean, ")).collect();
        for length in lengths {
            let echoed = format!(", 1 message echoed ({length} bytes) in ");
            logged.retain(|line| !line.contains(&echoed));
        }
        assert_eq!(logged, [""; 0]);
    });
}

fn check_half_close(address: SocketAddr, length: usize) {
    let payload: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    let client = TcpStream::connect(address).unwrap();
    // The kernel cannot hold the whole echo.
    set_socket_recv_buffer_size(&client, SMALL_BUFFER).unwrap();
    let mut client = open(client);
    client.write_all(&masked(&payload)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // The server receives the FIN while its memory still holds a part of the echo.
    thread::sleep(Duration::from_secs(1));
    let mut received = Vec::new();
    let result = client.read_to_end(&mut received);
    let echo = unframed(&received);
    assert!(result.is_ok() && echo.as_ref() == Some(&payload), "{result:?} after {} bytes", received.len());
}

#[test]
fn clients_that_never_read_delay_neither_the_close_frames_nor_the_end() {
    const GOOD: usize = 50;
    const STUCK: usize = 5;
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind, "--quiet"]);
        let _stuck = stuck_clients(address, STUCK);
        let mut good: Vec<_> = (0..GOOD).map(|_| connect(address)).collect();
        good.iter_mut().for_each(assert_echo);

        let start = Instant::now();
        terminate(server.id());
        for client in &mut good {
            let close = last(client).expect("a Close event");
            assert_eq!((close.code, close.was_clean), (CloseCode::GOING_AWAY, true), "{close:?}");
        }
        assert!(start.elapsed() < AT_ONCE, "the last Close frame came after {:?}", start.elapsed());
        let ended = server.end();
        assert!(start.elapsed() < Config::default().closing_timeout * 2, "{:?}", start.elapsed());
        let note = format!("{STUCK} connections were dropped: there was no closing handshake in time");
        assert_eq!((ended.code(), ended.stderr), (0, vec![note]));
    });
}

/// At its limit of descriptors, a server leaves new clients in the backlog. Each client that gets a 101 also gets its
/// echo.
#[test]
fn at_the_descriptor_limit_each_accepted_client_is_served() {
    const CLIENTS: usize = 64;
    const AT_A_TIME: usize = 16;
    with_each_server(|kind| {
        let command = format!("ulimit -n 32 && exec \"$0\" serve 127.0.0.1:0 --quiet {kind}");
        let server = Running::start_through("sh", &["-c", &command]);
        let address = server.listening();
        // TCP connects whether the server accepts or not.
        let mut clients: VecDeque<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = TcpStream::connect(address).unwrap();
                request(&mut client);
                client
            })
            .collect();
        let note = server.stderr_line();
        assert!(note.starts_with("cannot accept connections for now: "), "{note}");
        while !clients.is_empty() {
            for client in clients.iter_mut().take(AT_A_TIME) {
                response(client);
                client.write_all(&masked(b"Hello")).unwrap();
                let mut echo = [0; 7];
                client.read_exact(&mut echo).unwrap();
                assert_eq!(&echo, b"\x82\x05Hello");
            }
            // The server accepts as many others.
            clients.drain(..AT_A_TIME);
        }
    });
}

#[test]
fn a_second_interrupt_ends_a_server_with_stuck_clients_at_once() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind, "--quiet"]);
        let _stuck = stuck_clients(address, 3);
        let mut witness = open(TcpStream::connect(address).unwrap());
        server.interrupt();
        // The Close frame shows that the server has handled the first interrupt.
        let mut head = [0; 1];
        witness.read_exact(&mut head).unwrap();
        assert_eq!(head, [0x88]);
        let start = Instant::now();
        server.interrupt();
        assert_eq!(server.end().code(), 130);
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    });
}

#[test]
fn a_second_interrupt_ends_a_client_of_a_stuck_server_at_once() {
    let (_keep, is_over) = mpsc::channel::<()>();
    let url = server(move |incoming| {
        let _ws = incoming.accept().unwrap();
        let _ = is_over.recv();
    });
    let mut client = Running::start(&["connect", &url]);
    let mut stdin = client.take_stdin();
    wait_for_stall(move || stdin.write_all("0123456789abcde\n".repeat(4096).as_bytes()).is_ok());
    assert!(client.stderr_line().starts_with("opened: "));
    client.interrupt();
    assert_eq!(client.stderr_line(), INTERRUPTED);
    let start = Instant::now();
    client.interrupt();
    assert_eq!(client.end().code(), 130);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}

#[test]
fn a_second_interrupt_ends_a_client_whose_stdout_is_not_read_at_once() {
    let (opened, open) = mpsc::channel();
    let url = server(move |incoming| opened.send(incoming.accept().unwrap().split().unwrap()).unwrap());
    let mut client = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["connect", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = lines(client.stderr.take().unwrap());
    let stderr_line = || stderr.recv_timeout(TIMEOUT).expect("a line on stderr");
    let (_reader, writer) = open.recv_timeout(TIMEOUT).expect("a connection");
    wait_for_stall(move || writer.send("x".repeat(65_536)).is_ok());
    assert!(stderr_line().starts_with("opened: "));
    interrupt(client.id());
    assert_eq!(stderr_line(), INTERRUPTED);
    let start = Instant::now();
    interrupt(client.id());
    assert_eq!(stderr.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected));
    assert_eq!(client.wait().unwrap().code(), Some(130));
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}

const INTERRUPTED: &str = "interrupted: closing the connection; a second Ctrl-C ends at once";

/// Returns clients that have sent as much as the server takes without reading any echo.
fn stuck_clients(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let fill = || {
        let client = TcpStream::connect(address).unwrap();
        set_socket_recv_buffer_size(&client, SMALL_BUFFER).unwrap();
        let mut client = open(client);
        client.set_write_timeout(Some(STALL)).unwrap();
        let message = masked(&[b'x'; 65_536]);
        let deadline = Instant::now() + FILL_LIMIT;
        while Instant::now() < deadline {
            if let Err(error) = client.write_all(&message) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
        client
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(fill)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Repeats something in a thread until it takes longer than [`STALL`]. The thread ends when it returns false.
fn wait_for_stall(mut advance: impl FnMut() -> bool + Send + 'static) {
    let (advanced, advances) = mpsc::channel();
    thread::spawn(move || while advance() && advanced.send(()).is_ok() {});
    advances.recv_timeout(TIMEOUT).expect("the first step succeeds");
    loop {
        match advances.recv_timeout(STALL) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => panic!("the thread ended before it stalled"),
        }
    }
}

/// Starts a server for one connection, with a small receive buffer. Returns its URL.
fn server(serve: impl FnOnce(Incoming) + Send + 'static) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    // Connections inherit the size.
    set_socket_recv_buffer_size(&tcp, SMALL_BUFFER).unwrap();
    let url = format!("ws://{}/", tcp.local_addr().unwrap());
    thread::spawn(move || serve(Acceptor::new().listen(tcp).unwrap().accept().unwrap().unwrap()));
    url
}

fn connect(address: SocketAddr) -> WebSocket<TcpStream> {
    Connector::new().connect(&format!("ws://{address}/")).unwrap()
}

fn assert_echo(client: &mut WebSocket<TcpStream>) {
    client.send("Hello").unwrap();
    match client.read().unwrap() {
        Some(Event::Message(echo)) => assert_eq!(echo.as_text(), Some("Hello")),
        other => panic!("{other:?} instead of an echo"),
    }
}

/// Does the opening handshake over a plain socket, which then sends and receives frames as bytes.
fn open(mut client: TcpStream) -> TcpStream {
    request(&mut client);
    response(&mut client);
    client
}

fn request(client: &mut TcpStream) {
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
}

/// Reads the 101 response, and no byte after it.
fn response(client: &mut TcpStream) {
    let mut head = Vec::new();
    for byte in BufReader::with_capacity(1, client).bytes() {
        head.push(byte.unwrap());
        if head.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    assert!(head.starts_with(b"HTTP/1.1 101 ") && head.ends_with(b"\r\n\r\n"), "{}", head.escape_ascii());
}

/// Returns a binary message as a client sends it.
fn masked(payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![0x82];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Returns the payload if the bytes are exactly one binary message, in one frame or several.
fn unframed(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    for is_first in std::iter::once(true).chain(std::iter::repeat(false)) {
        let (&[head, length], rest) = bytes.split_first_chunk()?;
        let (length, rest) = match length {
            0..126 => (usize::from(length), rest),
            126 => rest.split_first_chunk().map(|(&length, rest)| (usize::from(u16::from_be_bytes(length)), rest))?,
            _ => rest.split_first_chunk().map(|(&length, rest)| (u64::from_be_bytes(length) as usize, rest))?,
        };
        let (piece, rest) = rest.split_at_checked(length)?;
        payload.extend_from_slice(piece);
        bytes = rest;
        match head {
            0x82 if is_first && bytes.is_empty() => break,
            0x80 if !is_first && bytes.is_empty() => break,
            0x02 if is_first => {}
            0x00 if !is_first => {}
            _ => return None,
        }
    }
    Some(payload)
}
