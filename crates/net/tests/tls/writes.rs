//! Writes over TLS that the stream takes in part, late or not at all.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sansocket_net::tls::ServerTls;
use sansocket_net::tls::rustls::{ServerConnection, StreamOwned};
use sansocket_net::{Acceptor, Close, Connector, Event, Message, Reader, SplitStream, Stream, Writer};

use crate::authority::Authority;
use crate::support::*;
use crate::{NAME, client_of, serve_echo, wss};

const URL: &str = "wss://127.0.0.1/";

/// A socket whose writes a plan decides about.
struct Planned {
    tcp: TcpStream,
    plan: Arc<dyn Plan>,
}

trait Plan: Send + Sync {
    /// Returns how many bytes the next write takes at most; zero: it takes nothing in time.
    fn take(&self, count: usize) -> usize;

    /// Called when all bytes are written that a thread wants to write.
    fn flush(&self) {}
}

impl Read for Planned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Planned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.plan.take(bytes.len()) {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => self.tcp.write(&bytes[..count]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.plan.flush();
        Ok(())
    }
}

impl Stream for Planned {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&mut self.tcp, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Both)
    }
}

impl SplitStream for Planned {
    type Half = Self;

    fn split(self) -> io::Result<(Self, Self)> {
        let other = Self { tcp: self.tcp.try_clone()?, plan: Arc::clone(&self.plan) };
        Ok((self, other))
    }
}

/// Every second write takes nothing, and the others at most 1,000 bytes.
#[derive(Default)]
struct Halting(AtomicUsize);

impl Plan for Halting {
    fn take(&self, count: usize) -> usize {
        if self.0.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { count.min(1_000) } else { 0 }
    }
}

#[test]
fn a_write_that_halts_within_a_record_continues_and_nothing_is_sent_twice() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_echo(ServerTls::new(authority.issue(NAME)).unwrap());
        let plan = Arc::new(Halting::default());
        let stream = Planned { tcp: tcp(address), plan: plan.clone() };
        let mut ws = Connector::new().tls(client_of(&authority)).handshake_tls(URL, stream).unwrap();
        let payload: Vec<u8> = (0..200_000).map(|at: usize| (at ^ at >> 8) as u8).collect();
        for _ in 0..3 {
            ws.send(payload.clone()).unwrap();
            assert!(message(&mut ws) == Message::from(payload.clone()));
        }
        assert!(ws.finish().unwrap().was_clean);
        server.join().unwrap();
        assert!(plan.0.load(Ordering::SeqCst) > 2 * 3 * 200, "each write took at most 1,000 bytes");
    });
}

#[test]
fn ends_that_both_fill_tcp_before_they_read_are_no_deadlock() {
    /// More than the buffers of TCP.
    const LONG: usize = 16 << 20;
    fn exchange((mut reader, writer): (Reader<TcpStream>, Writer<TcpStream>), finish: bool) -> Close {
        let sending = begin_to_send(&writer, LONG);
        let mut has_received = false;
        loop {
            match reader.read().unwrap().expect("a Close event").into_owned() {
                Event::Message(message) => {
                    assert_eq!(message.len(), LONG);
                    has_received = true;
                    if finish {
                        writer.close(sansocket_net::CloseCode::NORMAL, "").unwrap();
                    }
                }
                Event::Close(close) => {
                    assert!(has_received);
                    sending.join().unwrap();
                    return close;
                }
                _ => {}
            }
        }
    }
    bounded(|| {
        let authority = Authority::new("the authority");
        let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        let server = serve(listener, |incoming| exchange(incoming.accept().unwrap().split().unwrap(), false));
        let ws = Connector::new().tls(client_of(&authority)).connect(&wss(address)).unwrap();
        assert!(exchange(ws.split().unwrap(), true).was_clean);
        assert!(server.join().was_clean);
    });
}

/// Once armed, the first flush waits for the test. After that, one more write is taken: our Close frame.
#[derive(Default)]
struct Armed(Mutex<Arming>);

#[derive(Default)]
enum Arming {
    #[default]
    Not,
    /// The test sends when the flush may end.
    Waiting(mpsc::Receiver<()>),
    /// The number of writes that are taken.
    Writes(usize),
}

impl Plan for Armed {
    fn take(&self, count: usize) -> usize {
        match &mut *self.0.lock().unwrap() {
            Arming::Writes(0) => 0,
            Arming::Writes(remaining) => {
                *remaining -= 1;
                count
            }
            _ => count,
        }
    }

    fn flush(&self) {
        let mut arming = self.0.lock().unwrap();
        if let Arming::Waiting(may_end) = &*arming {
            may_end.recv_timeout(BOUND).unwrap();
            *arming = Arming::Writes(1);
        }
    }
}

/// The writer ends the connection, since the peer's Close frame and its close_notify arrived meanwhile.
#[test]
fn a_message_that_was_written_is_no_error_if_the_close_message_of_tls_cannot_be_written() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let tls = ServerTls::new(authority.issue(NAME)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(move || {
            let connection = ServerConnection::new(tls.config().clone()).unwrap();
            let mut peer = StreamOwned::new(connection, listener.accept().unwrap().0);
            let request = read_head(&mut peer);
            peer.write_all(response(&request).as_bytes()).unwrap();
            let mut frame = [0; 2 + 4 + 5];
            peer.read_exact(&mut frame).unwrap();
            // both in one segment
            peer.conn.writer().write_all(CLOSE_REPLY).unwrap();
            peer.conn.send_close_notify();
            let mut bytes = Vec::new();
            while peer.conn.wants_write() {
                peer.conn.write_tls(&mut bytes).unwrap();
            }
            peer.sock.write_all(&bytes).unwrap();
            peer.read_exact(&mut [0; 2 + 4 + 2]).unwrap();
        });
        let plan = Arc::new(Armed::default());
        let stream = Planned { tcp: tcp(address), plan: plan.clone() };
        let ws = Connector::new().tls(client_of(&authority)).handshake_tls(URL, stream).unwrap();
        let (mut reader, writer) = ws.split().unwrap();
        let (end_flush, may_end) = mpsc::channel();
        *plan.0.lock().unwrap() = Arming::Waiting(may_end);
        let sending = spawn(move || writer.send("Hello"));
        assert!(matches!(reader.read().unwrap(), Some(Event::CloseReceived(_))));
        end_flush.send(()).unwrap();
        sending.join().unwrap();
        assert!(reader.finish().unwrap().was_clean);
        server.join();
    });
}
