//! Every accepted message is delivered, regardless of which side ends the connection, and the connection to a peer that
//! makes no progress ends in time.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sansocket_net::sansocket::Initiator;
use sansocket_net::{Acceptor, Close, CloseCode, Config, Connector, Error, Event, Incoming, Stream, WebSocket};
use socket2::SockRef;
use support::*;

const MIB: usize = 1024 * 1024;
/// The buffer size of each socket: small, so that most of a message is pending in the connection.
const SOCKET_BUFFER: usize = 32 * 1024;
/// The closing timeout of the tests with slow readers: shorter than their time to read everything.
const TIMEOUT: Duration = Duration::from_millis(400);
/// The pause of a slow reader after each step.
const PAUSE: Duration = Duration::from_millis(30);
/// The bytes that a slow reader reads in each step: 2 MiB take 1 s or more.
const STEP: usize = 64 * 1024;

fn short() -> Config {
    Config::default().closing_timeout(TIMEOUT)
}

fn shrink(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
}

/// Starts a server for one client, with small socket buffers.
fn serve_small<T: Send + 'static>(
    config: Config,
    work: impl FnOnce(Incoming) -> T + Send + 'static,
) -> (SocketAddr, Task<T>) {
    let (listener, address) = listen_with(Acceptor::new().config(config));
    let server = serve(listener, |incoming| {
        shrink(incoming.stream());
        work(incoming)
    });
    (address, server)
}

fn small_client(address: SocketAddr) -> TcpStream {
    let client = raw_client(address);
    shrink(&client);
    client.set_read_timeout(Some(BOUND)).unwrap();
    client
}

/// Reads to the end in steps, with pauses; calls `between` before each pause.
fn read_slowly(client: &mut TcpStream, mut between: impl FnMut(&mut TcpStream)) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.take(STEP as u64).read_to_end(&mut bytes).unwrap() == STEP {
        between(client);
        sleep(PAUSE);
    }
    bytes
}

/// Counts the payload bytes of all binary frames and their continuations.
fn binary_payload(mut bytes: &[u8]) -> usize {
    let mut sum = 0;
    while let [head, length, rest @ ..] = bytes {
        let (length, size) = match length {
            126 => (u16::from_be_bytes(rest[..2].try_into().unwrap()).into(), 2),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, 8),
            length => ((*length).into(), 0),
        };
        if matches!(head, 0x82 | 0x02 | 0x80) {
            sum += length;
        }
        bytes = &rest[size + length..];
    }
    sum
}

fn drive(ws: &mut WebSocket) -> Close {
    match ws.events().map(Result::unwrap).last() {
        Some(Event::Close(close)) => close,
        other => panic!("{other:?}"),
    }
}

/// A reset, or a deadline counted from `close`, would lose bytes that the kernel and the connection still hold.
#[test]
fn a_slow_reader_that_pings_gets_all_messages_and_the_close_frame() {
    bounded(|| {
        for is_split in [false, true] {
            let (address, server) = serve_small(short(), move |incoming| {
                let mut ws = incoming.accept().unwrap();
                if !is_split {
                    ws.send(vec![7; MIB]).unwrap();
                    ws.send(vec![7; MIB]).unwrap();
                    return ws.finish().unwrap();
                }
                let (reader, writer) = ws.split().unwrap();
                let sending = begin_to_send(&writer, 2 * MIB);
                // Returns though the other thread waits for the peer.
                let started = Instant::now();
                writer.close(CloseCode::NORMAL, "").unwrap();
                assert!(started.elapsed() < TIMEOUT);
                let close = reader.finish().unwrap();
                sending.join().unwrap();
                close
            });
            let mut client = small_client(address);
            let bytes = read_slowly(&mut client, |client| client.write_all(PING).unwrap_or(()));
            assert_eq!(binary_payload(&bytes), 2 * MIB);
            assert!(bytes.ends_with(CLOSE_REPLY), "split: {is_split}");
            client.write_all(CLOSE).unwrap_or(());
            drop(client);
            assert_eq!(server.join().initiator, Initiator::Local);
        }
    });
}

/// The server half-closes first; bytes that the client still sends must not cause a reset.
#[test]
fn after_the_half_close_the_server_reads_and_discards() {
    bounded(|| {
        let (address, server) = serve_small(short(), |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.send(vec![7; 2 * MIB]).unwrap();
            ws.finish().unwrap()
        });
        let mut client = small_client(address);
        client.write_all(CLOSE).unwrap();
        let bytes = read_slowly(&mut client, |client| client.write_all(PING).unwrap());
        assert!(bytes.ends_with(CLOSE_REPLY));
        client.write_all(PING).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let close = server.join();
        assert_eq!((close.code, close.was_clean), (CloseCode::NORMAL, true));
    });
}

/// A client that half-closes before it reads.
#[test]
fn a_peer_that_half_closes_without_a_close_frame_gets_all_messages() {
    bounded(|| {
        for is_split in [false, true] {
            let (address, server) = serve_small(short(), move |incoming| {
                let mut ws = incoming.accept().unwrap();
                if is_split {
                    let (mut reader, writer) = ws.split().unwrap();
                    let sending = begin_to_send(&writer, 2 * MIB);
                    let last = reader.events().map(Result::unwrap).last();
                    sending.join().unwrap();
                    let Some(Event::Close(close)) = last else { panic!("{last:?}") };
                    return close;
                }
                ws.send(vec![7; 2 * MIB]).unwrap();
                drive(&mut ws)
            });
            let mut client = small_client(address);
            client.shutdown(Shutdown::Write).unwrap();
            sleep(TIMEOUT / 2);
            let bytes = read_slowly(&mut client, |_| {});
            assert_eq!(bytes.len(), 2 * MIB + 2 * 10, "split: {is_split}");
            assert_eq!(server.join().code, CloseCode::ABNORMAL);
        }
    });
}

/// The Ping is queued behind bytes that the peer has not read.
#[test]
fn keepalive_keeps_a_slow_reader() {
    bounded(|| {
        let keepalive = short_keepalive().closing_timeout(TIMEOUT);
        let (address, server) = serve_small(keepalive, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.send(vec![7; 2 * MIB]).unwrap();
            ws.read().map(|event| event.map(Event::into_owned))
        });
        let mut client = small_client(address);
        // Answers no Ping before it has read the message.
        let mut read = 0;
        while read < 2 * MIB {
            client.read_exact(&mut vec![0; STEP]).unwrap();
            read += STEP;
            sleep(PAUSE);
        }
        client.write_all(b"\x8a\x80\0\0\0\0").unwrap();
        let event = server.join().unwrap();
        assert!(matches!(event, Some(Event::Pong(_))), "{event:?}");
    });
}

/// The kernel has taken everything: only acknowledgements show that the peer reads.
#[test]
#[cfg(target_os = "linux")]
fn a_slow_reader_of_bytes_that_the_kernel_holds_is_kept() {
    for is_closing in [false, true] {
        bounded(move || {
            let short_timeouts = short_keepalive().pong_timeout(TIMEOUT).closing_timeout(TIMEOUT);
            let (listener, address) = listen_with(Acceptor::new().config(short_timeouts));
            let server = serve(listener, move |incoming| {
                SockRef::from(incoming.stream()).set_send_buffer_size(MIB).unwrap();
                let mut ws = incoming.accept().unwrap();
                ws.send(vec![7; 300_000]).unwrap();
                if is_closing {
                    return ws.finish().unwrap().was_clean;
                }
                matches!(ws.read().unwrap(), Some(Event::Pong(_)))
            });
            let mut client = small_client(address);
            for _ in 0..300_000 / 8_000 {
                client.read_exact(&mut [0; 8_000]).unwrap();
                sleep(PAUSE);
            }
            client.write_all(if is_closing { CLOSE } else { b"\x8a\x80\0\0\0\0" }).unwrap();
            assert!(server.join());
        });
    }
}

#[test]
fn a_peer_that_drips_or_floods_is_dropped_at_the_closing_limit() {
    // Before and after its own Close frame.
    for beginning in [&b""[..], CLOSE] {
        for step in [1, 16 * 1024] {
            bounded(move || {
                let limited = Config::default().closing_timeout(SHORT * 2).closing_limit(SHORT * 4);
                let (listener, address) = listen_with(Acceptor::new().config(limited));
                let server = serve(listener, |incoming| {
                    let mut ws = incoming.accept().unwrap();
                    let started = Instant::now();
                    ws.close(CloseCode::NORMAL, "").unwrap();
                    let close = drive(&mut ws);
                    (started.elapsed(), close.was_clean)
                });
                let mut client = raw_client(address);
                client.write_all(beginning).unwrap();
                // Pongs, cut anywhere.
                let pongs: Vec<u8> = b"\x8a\x80\0\0\0\0".iter().copied().cycle().take(6 * step).collect();
                while pongs.chunks(step).all(|bytes| client.write_all(bytes).is_ok()) {
                    if step == 1 {
                        sleep(Duration::from_millis(1));
                    }
                }
                let (elapsed, was_clean) = server.join();
                assert_eq!(was_clean, !beginning.is_empty());
                let least = if beginning.is_empty() { SHORT * 4 } else { SHORT * 2 };
                assert!(elapsed >= least && elapsed < SHORT * 6, "{elapsed:?}, {step} {beginning:?}");
            });
        }
    }
}

#[test]
fn the_connection_to_a_silent_peer_ends_after_the_closing_timeout() {
    // The client's kernel takes a part of the message, or all of it.
    for payload in [4 * MIB, 5] {
        bounded(move || {
            let (address, server) = serve_small(Config::default().closing_timeout(TIMEOUT * 2), move |incoming| {
                let (mut reader, writer) = incoming.accept().unwrap().split().unwrap();
                if payload < MIB {
                    writer.send(vec![7; payload]).unwrap();
                } else {
                    begin_to_send(&writer, payload);
                }
                // Waits until the client's kernel takes no more bytes, which would be progress.
                let mut before = None;
                while before != Some(reader.stream().outstanding()) {
                    before = Some(reader.stream().outstanding());
                    sleep(TIMEOUT);
                }
                writer.close(CloseCode::NORMAL, "").unwrap();
                let started = Instant::now();
                let last = reader.events().map(Result::unwrap).last();
                assert!(matches!(&last, Some(Event::Close(close)) if !close.was_clean), "{last:?}");
                started.elapsed()
            });
            let client = small_client(address);
            let elapsed = server.join();
            assert!(elapsed >= TIMEOUT * 2 * 9 / 10 && elapsed < TIMEOUT * 2 * 3 / 2, "{payload}: {elapsed:?}");
            drop(client);
        });
    }
}

/// The peer's last bytes are read after a failed write, and the connection ends.
#[test]
fn after_a_failed_write_the_connection_ends() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(short()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            // Makes the next write fail with EPIPE, as if the peer had reset TCP in this direction.
            ws.stream().shutdown(Shutdown::Write).unwrap();
            let error = ws.send("into the void").unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error}");
            let events: Vec<_> = ws.events().map(Result::unwrap).collect();
            let [Event::Message(message), Event::CloseReceived(_), Event::Close(close)] = &events[..] else {
                panic!("{events:?}");
            };
            assert_eq!(message.as_text(), Some("Hello"));
            (close.code, close.was_clean)
        });
        let mut client = raw_client(address);
        assert_eq!(read_rest(&mut client), b"");
        client.write_all(HELLO).unwrap();
        client.write_all(CLOSE).unwrap();
        assert_eq!(server.join(), (CloseCode::NORMAL, false));
        // The server's socket is closed: it answers another byte with a reset.
        while client.write_all(b"x").is_ok() {}
    });
}

#[test]
fn a_close_frame_and_fin_that_arrive_together_are_clean() {
    bounded(|| {
        for is_split in [false, true] {
            let (listener, address) = listen();
            let server = serve(listener, move |incoming| {
                let mut ws = incoming.accept().unwrap();
                ws.send("our message").unwrap();
                if is_split { ws.split().unwrap().0.finish().unwrap() } else { drive(&mut ws) }
            });
            let mut client = raw_client(address);
            client.write_all(CLOSE).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_rest(&mut client), b"\x81\x0bour message\x88\x02\x03\xe8");
            let close = server.join();
            assert_eq!((close.code, close.was_clean), (CloseCode::NORMAL, true));
        }
    });
}

#[test]
fn the_peers_close_frame_is_reported_while_tcp_stays_open() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| {
            stream.write_all(b"\x88\x05\x0f\xa1bye").unwrap();
            read_rest(&mut stream)
        });
        // Longer than the test may take.
        let config = Config::default().closing_timeout(BOUND * 2);
        let mut ws = Connector::new().config(config).connect(&url(address)).unwrap();
        let Some(Event::CloseReceived(frame)) = ws.read().unwrap() else { panic!("no CloseReceived") };
        assert_eq!((frame.code.as_u16(), &*frame.reason), (4001, "bye"));
        drop(ws);
        server.join();
    });
}

/// The Open event does not wait for another byte; frames that arrived before the acceptance follow it.
#[test]
fn a_late_accept_opens_without_another_byte() {
    bounded(|| {
        let (listener, address) = listen();
        let (accept, accepted) = std::sync::mpsc::channel();
        let server = serve(listener, move |mut incoming| {
            incoming.request().unwrap();
            accepted.recv().unwrap();
            let mut ws = incoming.accept().unwrap();
            (message(&mut ws).into_owned(), ws)
        });
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(&[REQUEST.as_bytes(), HELLO].concat()).unwrap();
        accept.send(()).unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        assert_eq!(server.join().0.as_text(), Some("Hello"));
    });
}

#[test]
fn finish_reports_a_failure() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| {
            stream.write_all(b"\x83\0").unwrap();
            read_rest(&mut stream)
        });
        let error = connect(address).finish().unwrap_err();
        assert!(matches!(error, Error::Peer(_)), "{error}");
        assert_eq!(server.join()[0], 0x88);
    });
}

/// Without a reset, the kernel would keep bytes that a peer never reads.
#[test]
fn dropping_a_connection_discards_what_the_kernel_holds() {
    const LENGTH: usize = 300_000;
    bounded(|| {
        for is_split in [false, true] {
            let (listener, address) = listen();
            let server = serve(listener, move |incoming| {
                SockRef::from(incoming.stream()).set_send_buffer_size(MIB).unwrap();
                let mut ws = incoming.accept().unwrap();
                ws.send(vec![7; LENGTH]).unwrap();
                if is_split { drop(ws.split().unwrap()) } else { drop(ws) }
            });
            let mut client = small_client(address);
            server.join();
            let mut rest = Vec::new();
            let end = client.read_to_end(&mut rest);
            assert_eq!(end.map_err(|error| error.kind()).unwrap_err(), ErrorKind::ConnectionReset);
            assert!(rest.len() < LENGTH, "{} bytes", rest.len());
        }
    });
}
