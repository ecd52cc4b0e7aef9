//! A `Config` of the caller's keeps keepalive enabled unless it says otherwise: a thread that reads from an idle peer
//! waits no longer than for the next Ping, which the timeouts that it sets show at once.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sansocket_net::{Acceptor, Config, Connector, Event, Keepalive, Stream};
use support::*;

/// Notes the read timeouts that are set.
struct Noted {
    tcp: TcpStream,
    timeouts: Arc<Mutex<Vec<Duration>>>,
}

impl Read for Noted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(bytes)
    }
}

impl Write for Noted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

impl Stream for Noted {
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

/// Whether an idle connection waits for bytes no longer than for the 30 s until the next Ping: a client's, a server's.
fn pings_after_30_seconds(config: &Config) -> [bool; 2] {
    // a timeout of the opening handshake is 10 s at most
    let is_interval = |timeout: &Duration| (Duration::from_secs(15)..=Duration::from_secs(30)).contains(timeout);
    let has_interval = |timeouts: &Mutex<Vec<Duration>>| timeouts.lock().unwrap().iter().any(is_interval);

    let (address, peer) = serve_raw(|mut stream, request| stream.write_all(response(&request).as_bytes()).unwrap());
    let client_timeouts = Arc::default();
    let stream = Noted { tcp: TcpStream::connect(address).unwrap(), timeouts: Arc::clone(&client_timeouts) };
    let connector = Connector::new().config(config.clone());
    let mut client = connector.handshake("ws://server.example.com/", stream).unwrap();
    assert!(matches!(client.read(), Ok(Some(Event::Close(_)))));
    peer.join();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.write_all(REQUEST.as_bytes()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let server_timeouts = Arc::default();
    let stream = Noted { tcp: listener.accept().unwrap().0, timeouts: Arc::clone(&server_timeouts) };
    let mut server = Acceptor::new().config(config.clone()).incoming(stream).accept().unwrap();
    assert!(matches!(server.read(), Ok(Some(Event::Close(_)))));
    [has_interval(&client_timeouts), has_interval(&server_timeouts)]
}

#[test]
fn keepalive_stays_enabled_in_a_configuration_of_the_callers() {
    bounded(|| {
        let config = Config::default().max_message_size(64 * 1024);
        assert_eq!(pings_after_30_seconds(&config), [true; 2]);
        assert_eq!(pings_after_30_seconds(&config.clone().keepalive(Keepalive::Off)), [false; 2]);
        let rarely = Keepalive::Every(Duration::from_secs(24 * 60 * 60));
        assert_eq!(pings_after_30_seconds(&config.keepalive(rarely)), [false; 2]);
    });
}
