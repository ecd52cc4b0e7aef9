//! The log of connections over sockets, with the feature `tracing`.

mod support;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, Once};

use sansocket_net::{Acceptor, CloseCode, Connector, HttpResponse};
use support::*;

/// All lines that this process has logged. The tests run in parallel, and know their lines by the peer's address.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to log, from all threads.
fn start_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| tracing_subscriber::fmt().with_writer(|| Log).without_time().with_ansi(false).init());
}

/// Returns the log of the connection to this peer: the level of each line, and the text after the span.
fn log_of(role: &str, peer: SocketAddr) -> Vec<String> {
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("SECRET"), "{log}");
    let span = format!(" role={role} peer={peer}}}: sansocket: ");
    let of_peer = log.lines().filter_map(|line| line.trim().split_once(&span));
    of_peer
        .map(|(begin, what)| {
            let (level, id) = begin.split_once(" connection{id=").unwrap();
            assert!(id.parse::<u64>().unwrap() > 0, "{begin}");
            format!("{level} {what}")
        })
        .collect()
}

#[test]
fn an_opened_and_a_closed_connection_are_logged_at_both_ends_with_the_address_of_the_peer() {
    start_log();
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().protocol("chat"));
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let connector = Connector::new().protocol("chat").header("Authorization", "Bearer SECRET");
        let mut ws = connector.connect(&format!("ws://{address}/?token=SECRET")).unwrap();
        ws.send("SECRET").unwrap();
        ws.close(CloseCode::NORMAL, "SECRET").unwrap();
        let client = ws.stream().local_addr().unwrap();
        assert!(ws.finish().unwrap().was_clean);
        assert!(server.join().was_clean);
        let opened = "INFO opened subprotocol=\"chat\"";
        assert_eq!(log_of("Server", client), [opened, "INFO closed code=1000 was_clean=true initiator=Peer"]);
        assert_eq!(log_of("Client", address), [opened, "INFO closed code=1000 was_clean=true initiator=Local"]);
    });
}

#[test]
fn a_refused_connection_is_logged_with_the_status() {
    start_log();
    bounded(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let incoming = accept(&listener);
            let first = incoming.stream().peer_addr().unwrap();
            incoming.accept().unwrap_err();
            let incoming = accept(&listener);
            let second = incoming.stream().peer_addr().unwrap();
            incoming.respond(HttpResponse::new(401)).unwrap();
            let mut incoming = accept(&listener);
            let third = incoming.stream().peer_addr().unwrap();
            incoming.request().unwrap_err();
            [first, second, third]
        });
        Connector::new().origin("https://other.example").connect(&url(address)).unwrap_err();
        Connector::new().header("Authorization", "Bearer SECRET").connect(&url(address)).unwrap_err();
        let mut raw = TcpStream::connect(address).unwrap();
        raw.write_all(b"SECRET\r\n\r\n").unwrap();
        assert!(read_head(&mut raw).starts_with("HTTP/1.1 400 "));
        drop(raw);
        let [forbidden, unauthorized, malformed] = server.join();
        assert_eq!(
            log_of("Server", forbidden),
            ["INFO refused status=403 error=the origin may not open a connection: refused with 403"]
        );
        assert_eq!(log_of("Server", unauthorized), ["INFO refused status=401"]);
        assert_eq!(log_of("Server", malformed), ["INFO refused status=400 error=the request is malformed"]);
        assert_eq!(
            log_of("Client", address),
            [
                "INFO refused status=403 error=the server refused with status 403",
                "INFO refused status=401 error=the server refused with status 401"
            ]
        );
    });
}

#[test]
fn a_failed_connection_is_logged_as_a_warning_and_then_as_closed() {
    start_log();
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            failure(&mut ws)
        });
        let mut client = raw_client(address);
        client.write_all(b"\x81\x06SECRET").unwrap();
        let peer = client.local_addr().unwrap();
        read_rest(&mut client);
        drop(client);
        server.join();
        assert_eq!(
            log_of("Server", peer),
            [
                "INFO opened",
                "WARN failed error=the peer broke the protocol: a client sent a frame without masking it",
                "INFO closed code=1006 was_clean=false initiator=Local"
            ]
        );
    });
}

/// If the handle is dropped, the log reports the end too.
#[test]
fn a_dropped_connection_is_logged_as_closed() {
    start_log();
    for is_split in [false, true] {
        bounded(move || {
            let (listener, address) = listen();
            let client = spawn(move || drop(connect(address)));
            let incoming = accept(&listener);
            let peer = incoming.stream().peer_addr().unwrap();
            let ws = incoming.accept().unwrap();
            if is_split {
                drop(ws.split().unwrap())
            } else {
                ws.abort()
            }
            assert_eq!(
                log_of("Server", peer),
                ["INFO opened", "INFO closed code=1006 was_clean=false initiator=Local"]
            );
            client.join();
        });
    }
}
