//! Keepalive and deadlines: a `Config` of the caller keeps keepalive enabled, and bytes that arrived in time count even
//! if the application reads them late.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use sansocket_net::{Acceptor, CloseCode, Config, Connector, Event, Keepalive, Stream};
use support::*;

/// A socket that records its read timeouts.
struct Recorded {
    tcp: TcpStream,
    timeouts: Arc<Mutex<Vec<Duration>>>,
}

impl Read for Recorded {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(bytes)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Stream for Recorded {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.timeouts.lock().unwrap().push(timeout);
        Stream::set_read_timeout(&mut self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&mut self.tcp, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.tcp.shutdown_write()
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.tcp.shutdown_both()
    }
}

/// Returns whether a client and a server wait for bytes until the next Ping in 30 s: their read timeouts show it.
fn pings_after_30_seconds(config: &Config) -> [bool; 2] {
    // the timeouts of the opening handshake are 10 s at most
    let is_interval = |timeout: &Duration| (Duration::from_secs(15)..=Duration::from_secs(30)).contains(timeout);
    let has_interval = |timeouts: &Mutex<Vec<Duration>>| timeouts.lock().unwrap().iter().any(is_interval);

    let (address, peer) = serve_open(drop);
    let client_timeouts = Arc::default();
    let stream = Recorded { tcp: TcpStream::connect(address).unwrap(), timeouts: Arc::clone(&client_timeouts) };
    let connector = Connector::new().config(config.clone());
    let mut client = connector.handshake("ws://server.example.com/", stream).unwrap();
    assert!(matches!(client.read(), Ok(Some(Event::Close(_)))));
    peer.join();

    let (mut peer, tcp) = tcp_pair();
    peer.write_all(REQUEST.as_bytes()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let server_timeouts = Arc::default();
    let stream = Recorded { tcp, timeouts: Arc::clone(&server_timeouts) };
    let mut server = Acceptor::new().config(config.clone()).incoming(stream).accept().unwrap();
    assert!(matches!(server.read(), Ok(Some(Event::Close(_)))));
    [has_interval(&client_timeouts), has_interval(&server_timeouts)]
}

#[test]
fn keepalive_stays_enabled_in_a_configuration_of_the_caller() {
    bounded(|| {
        let config = Config::default().max_message_size(64 * 1024);
        assert_eq!(pings_after_30_seconds(&config), [true; 2]);
        assert_eq!(pings_after_30_seconds(&config.clone().keepalive(Keepalive::Off)), [false; 2]);
        let rarely = Keepalive::Every(Duration::from_secs(24 * 60 * 60));
        assert_eq!(pings_after_30_seconds(&config.keepalive(rarely)), [false; 2]);
    });
}

/// The time for which the application does not read: longer than the deadlines.
const BUSY: Duration = Duration::from_millis(400);

fn short_deadlines() -> Config {
    short_keepalive().closing_timeout(SHORT).opening_timeout(SHORT)
}

#[test]
fn a_pong_that_is_read_late_counts() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(short_deadlines()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            for _ in 0..3 {
                ws.send("progress").unwrap();
                sleep(BUSY);
                assert!(ws.events().any(|event| matches!(event, Ok(Event::Message(_)))));
            }
            ws.close(CloseCode::NORMAL, "").unwrap();
            assert!(close(&mut ws).was_clean);
        });
        let mut ws = connect(address);
        while let Some(event) = ws.read().unwrap() {
            if let Event::Message(message) = event.into_owned() {
                ws.send(message).unwrap();
            }
        }
        server.join();
    });
}

#[test]
fn an_end_that_only_sends_keeps_a_peer_that_reads() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(short_deadlines()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            for _ in 0..5 {
                sleep(BUSY / 2);
                ws.send("update").unwrap();
            }
            let (_reader, writer) = ws.split().unwrap();
            for _ in 0..5 {
                sleep(BUSY / 2);
                writer.send("update").unwrap();
            }
        });
        let mut ws = connect(address);
        let updates = ws.events().filter(|event| matches!(event, Ok(Event::Message(_)))).count();
        server.join();
        assert_eq!(updates, 10);
    });
}

#[test]
fn a_close_frame_that_is_read_late_makes_a_clean_close() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.send("last words").unwrap();
            close(&mut ws);
        });
        let mut ws = Connector::new().config(short_deadlines()).connect(&url(address)).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        sleep(BUSY);
        let events: Vec<_> = ws.events().map(Result::unwrap).collect();
        server.join();
        let [Event::Message(_), Event::CloseReceived(_), Event::Close(close)] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(close.was_clean);
    });
}

#[test]
fn a_request_that_arrived_in_time_is_accepted_late() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(short_deadlines()));
        let server = serve(listener, |incoming| {
            sleep(BUSY);
            close(&mut incoming.accept().unwrap())
        });
        let mut ws = connect(address);
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(close(&mut ws).was_clean);
        assert!(server.join().was_clean);
    });
}
