//! Our server with a client that is not ours: rustls' own blocking stream.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use sansocket_net::tls::rustls::pki_types::ServerName;
use sansocket_net::tls::rustls::{ClientConnection, StreamOwned};
use sansocket_net::tls::{ServerTls, TlsError};
use sansocket_net::{Acceptor, Close, CloseCode, Config, Event, WebSocket};
use socket2::SockRef;

use crate::authority::Authority;
use crate::support::*;
use crate::{NAME, client_of};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// Starts a server for one client, which reads until the connection is over. Returns its Close event, and the failure
/// before it, if there was one.
fn serve_to_the_end(authority: &Authority) -> (SocketAddr, Task<(Close, Option<String>)>) {
    let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
    (address, serve(listener, |incoming| read_to_the_end(incoming.accept().unwrap())))
}

fn read_to_the_end(mut ws: WebSocket) -> (Close, Option<String>) {
    let mut failure = None;
    loop {
        match ws.read() {
            Ok(Some(Event::Close(close))) => return (close, failure),
            Ok(event) => assert!(event.is_some(), "no Close event"),
            Err(error) => failure = Some(error.to_string()),
        }
    }
}

/// Connects TCP. The TLS handshake follows with the first read or write.
fn connect(address: SocketAddr, authority: &Authority) -> Client {
    let name = ServerName::try_from(NAME).unwrap();
    let tls = ClientConnection::new(client_of(authority).config().clone(), name).unwrap();
    StreamOwned::new(tls, tcp(address))
}

/// Connects, and completes the opening handshake.
fn open(address: SocketAddr, authority: &Authority) -> Client {
    let mut client = connect(address, authority);
    client.write_all(REQUEST.as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    client
}

/// Reads a frame without payload or with two bytes.
fn read_short_frame(client: &mut Client) -> Vec<u8> {
    let mut head = [0; 2];
    client.read_exact(&mut head).unwrap();
    let mut frame = head.to_vec();
    frame.resize(2 + usize::from(head[1]), 0);
    client.read_exact(&mut frame[2..]).unwrap();
    frame
}

/// Exchanges Close frames.
fn close(client: &mut Client) {
    client.write_all(CLOSE).unwrap();
    assert_eq!(read_short_frame(client), CLOSE_REPLY);
}

fn check_clean(server: Task<(Close, Option<String>)>) {
    let (close, failure) = server.join();
    assert_eq!((close.code, close.was_clean, failure), (CloseCode::NORMAL, true, None));
}

#[test]
fn the_end_of_tcp_without_close_notify_is_clean_after_both_close_frames() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_to_the_end(&authority);
        let mut client = open(address, &authority);
        close(&mut client);
        client.sock.shutdown(Shutdown::Both).unwrap();
        check_clean(server);
    });
}

#[test]
fn a_reset_after_both_close_frames_is_no_error() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_to_the_end(&authority);
        let mut client = open(address, &authority);
        close(&mut client);
        SockRef::from(&client.sock).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        check_clean(server);
    });
}

#[test]
fn a_close_notify_without_a_close_frame_is_1006_without_an_error() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_to_the_end(&authority);
        let mut client = open(address, &authority);
        client.conn.send_close_notify();
        client.flush().unwrap();
        assert_eq!(read_rest(&mut client), b"", "a close_notify in return");
        let (close, failure) = server.join();
        assert_eq!((close.code, close.was_clean, failure), (CloseCode::ABNORMAL, false, None));
    });
}

#[test]
fn our_close_frame_and_close_notify_follow_the_half_close_of_the_peer() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_to_the_end(&authority);
        let mut client = open(address, &authority);
        client.conn.writer().write_all(CLOSE).unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        // without a close_notify, reading to the end would fail
        assert_eq!(read_rest(&mut client), CLOSE_REPLY);
        check_clean(server);
    });
}

#[test]
fn a_server_that_only_reads_answers_a_key_update() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_to_the_end(&authority);
        let mut client = open(address, &authority);
        for _ in 0..3 {
            client.conn.refresh_traffic_keys().unwrap();
            client.flush().unwrap();
            // The server has received no frame, so these bytes are the answer.
            assert!(client.sock.peek(&mut [0]).unwrap() > 0);
            client.write_all(PING).unwrap();
            assert_eq!(read_short_frame(&mut client), b"\x8a\0");
        }
        close(&mut client);
        drop(client);
        check_clean(server);
    });
}

#[test]
fn the_opening_timeout_covers_http_after_a_tls_handshake() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let acceptor = Acceptor::new().config(Config::default().opening_timeout(SHORT));
        let (listener, address) = listen_with(acceptor.tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        let server = serve(listener, |incoming| incoming.accept().map(drop));
        let mut client = connect(address, &authority);
        assert!(read_head(&mut client).starts_with("HTTP/1.1 408 "));
        let error = server.join().unwrap_err().to_string();
        assert!(error.contains("`opening_timeout`"), "{error}");
    });
}

#[test]
fn a_stream_that_ends_during_the_tls_handshake_is_an_error() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        let server = serve(listener, |incoming| incoming.accept().map(drop));
        let mut client = connect(address, &authority);
        client.conn.write_tls(&mut client.sock).unwrap();
        client.sock.shutdown(Shutdown::Write).unwrap();
        let error = crate::failure_of_server(server);
        assert!(matches!(error, TlsError::EndedInHandshake { .. }), "{error}");
    });
}
