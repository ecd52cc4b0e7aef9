//! `wss` over real sockets: event loops as servers and clients, with the blocking adapter and with a raw peer.

#[path = "../../tls/tests/authority/mod.rs"]
mod authority;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use sansocket_mio::Event as OwnEvent;
use sansocket_mio::dial::FailedLayer;
use sansocket_mio::tls::{CertificateProblem, ClientTls, ClientTlsBuilder, Identity, ServerTls, Tls, TlsError};
use sansocket_mio::{
    Accept, CloseCode, Config, Connector, DialError, Error, EventLoop, ListenOptions, Message, NextStep, Options,
    ReadBuffer, Socket, WebSocket, mio, now,
};
use sansocket_net::{Event, ReadOutcome};

use authority::*;
use support::*;

const NAME: &str = "127.0.0.1";

/// Runs an echo server over TLS. Returns it and its URL.
fn serve_tls(tls: ServerTls) -> (Running, String) {
    serve_tls_with(&options(|_| ()), tls)
}

fn serve_tls_with(options: &Options, tls: ServerTls) -> (Running, String) {
    let mut address = None;
    let listen = |event_loop: &mut EventLoop<Recorder>| {
        address = Some(event_loop.listen_with("127.0.0.1:0", &ListenOptions::new().tls(tls)).unwrap());
    };
    let running = run(options, |recorder| recorder.reports_messages = true, listen);
    (running, format!("wss://{}/", address.unwrap()))
}

fn trust(authority: &Authority) -> ClientTlsBuilder {
    ClientTls::builder().only_roots(authority.roots())
}

fn net_client(authority: &Authority) -> sansocket_net::Connector {
    sansocket_net::Connector::new().tls(trust(authority).build().unwrap())
}

/// Runs a client that reports what it receives.
fn connect(connector: &Connector, url: &str) -> Running {
    let target = url.parse().unwrap();
    let connect = |event_loop: &mut EventLoop<Recorder>| {
        event_loop.connect_with(connector, target, ()).unwrap();
    };
    run(&options(|_| ()), |recorder| (recorder.echoes, recorder.reports_messages) = (false, true), connect)
}

fn connector(tls: ClientTls) -> Connector {
    Connector::new().tls(tls)
}

/// Returns the failure of TLS.
fn tls_error(error: &DialError) -> &TlsError {
    match error {
        DialError::Tls { error, .. } => TlsError::of(error).expect("a failure of TLS"),
        error => panic!("{error:?}"),
    }
}

fn failure_of_server(server: &Running) -> TlsError {
    match server.error() {
        Error::Io(error) => TlsError::of(&error).expect("a failure of TLS").clone(),
        error => panic!("{error:?}"),
    }
}

/// A client that speaks TLS, and bytes instead of WebSocket.
struct RawClient {
    stream: TcpStream,
    tls: Tls,
}

impl RawClient {
    /// Connects, and completes the TLS handshake and the opening handshake.
    fn open(authority: &Authority, url: &str) -> Self {
        let address: SocketAddr = url["wss://".len()..].trim_end_matches('/').parse().unwrap();
        let mut client = Self { stream: tcp(address), tls: trust(authority).build().unwrap().layer(NAME).unwrap() };
        client.flush();
        while !client.tls.is_open() {
            client.receive();
        }
        client.tls.send(REQUEST.as_bytes()).unwrap();
        client.flush();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(client.receive());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }

    fn flush(&mut self) {
        let count = self.tls.pending().len();
        self.stream.write_all(self.tls.pending()).unwrap();
        self.tls.advance(count);
    }

    /// Reads once, and answers what TLS has to answer. Returns the plaintext.
    fn receive(&mut self) -> Vec<u8> {
        let (mut buffer, mut plaintext) = ([0; 4096], Vec::new());
        let count = self.stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the server has ended the stream");
        self.tls.receive(&mut buffer[..count], &mut plaintext).unwrap();
        self.flush();
        plaintext
    }
}

#[test]
fn messages_of_all_sizes_come_back_in_both_roles() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (server, url) = serve_tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let client = connect(&connector(trust(&authority).build().unwrap()), &url);
        let id = client.open();
        for size in [0, 1, 125, 126, 16_384, 16_385, 70_000, 3_000_000] {
            client.handle.send(id, vec![7; size]).unwrap();
            assert_eq!(client.message(), Message::from(vec![7; size]));
        }
        client.handle.close(id, CloseCode::NORMAL, "").unwrap();
        assert!(client.close().was_clean && server.close().was_clean);
    });
}

#[test]
fn much_in_both_directions_is_no_deadlock() {
    const COUNT: usize = 200;
    bounded(|| {
        let authority = Authority::new("the authority");
        let (_server, url) = serve_tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let (mut reader, writer) = net_client(&authority).connect(&url).unwrap().split().unwrap();
        let message = vec![7; 100_000];
        let sending = spawn({
            let message = message.clone();
            move || {
                for _ in 0..COUNT {
                    writer.send(&message[..]).unwrap();
                }
                writer.close(CloseCode::NORMAL, "").unwrap();
            }
        });
        let mut echoes = 0;
        while let ReadOutcome::Event(event) = reader.read_timeout(BOUND).unwrap() {
            match event {
                Event::Message(echo) => {
                    assert_eq!(echo, Message::from(&message[..]));
                    echoes += 1;
                }
                Event::Close(close) => assert!(close.was_clean),
                _ => {}
            }
        }
        sending.join();
        assert_eq!(echoes, COUNT);
    });
}

#[test]
fn messages_before_a_close_notify_are_delivered_although_a_handler_pauses() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (sender, seen) = std::sync::mpsc::channel();
        let mut recorder = Recorder::new(sender);
        recorder.reports_messages = true;
        recorder.reaction = Some(|connection| connection.pause_reading());
        let mut event_loop = EventLoop::new(recorder).unwrap();
        let options = ListenOptions::new().tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let address = event_loop.listen_with("127.0.0.1:0", &options).unwrap();
        let handle = event_loop.handle();
        let running = spawn(move || event_loop.run().unwrap());
        let mut client = RawClient::open(&authority, &format!("wss://{address}/"));
        // in one write
        client.tls.send(&HELLO.repeat(3)).unwrap();
        client.tls.close();
        client.flush();
        let mut messages = 0;
        let close = loop {
            match seen.recv_timeout(BOUND).unwrap() {
                Seen::Message(..) => messages += 1,
                Seen::Close(_, close) => break close,
                Seen::Request(..) | Seen::Open(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((messages, close.code), (3, CloseCode::ABNORMAL));
        handle.stop().unwrap();
        running.join();
    });
}

#[test]
fn each_fault_of_a_certificate_has_an_error_of_its_own_and_the_server_receives_an_alert() {
    bounded(|| {
        let (authority, other) = (Authority::new("the authority"), Authority::new("another authority"));
        type Expectation = fn(&CertificateProblem) -> bool;
        let cases: [(Identity, Expectation); 4] = [
            (authority.issue("other.example"), |problem| matches!(problem, CertificateProblem::WrongName { .. })),
            (authority.issue_between(NAME, 2020, 2021), |problem| {
                matches!(problem, CertificateProblem::Expired { .. })
            }),
            (other.issue(NAME), |problem| matches!(problem, CertificateProblem::UnknownAuthority)),
            (self_signed(NAME, false), |problem| matches!(problem, CertificateProblem::SelfSigned)),
        ];
        for (identity, is_expected) in cases {
            let (server, url) = serve_tls(ServerTls::new(identity).unwrap());
            let client = connect(&connector(trust(&authority).build().unwrap()), &url);
            let error = client.connect_error();
            assert!(error.is_permanent() && error.layer() == Some(FailedLayer::Tls));
            match tls_error(&error) {
                TlsError::Certificate { problem, .. } if is_expected(problem) => {}
                other => panic!("{other}"),
            }
            assert!(matches!(failure_of_server(&server), TlsError::AlertReceived { .. }));
            client.stop();
        }
    });
}

#[test]
fn plain_and_tls_are_told_apart_at_both_ends() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (server, url) = serve_tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let client = connect(&Connector::new(), &url.replace("wss", "ws"));
        let error = client.connect_error();
        let response = error.response().unwrap();
        assert_eq!(response.status(), 400);
        assert!(String::from_utf8_lossy(response.body()).contains("TLS"), "{response:?}");
        assert!(matches!(failure_of_server(&server), TlsError::PlainHttp { .. }));
        client.stop();

        let server = serve(|_| ());
        let url = server.url().replace("ws", "wss");
        let client = connect(&connector(trust(&authority).build().unwrap()), &url);
        assert!(matches!(tls_error(&client.connect_error()), TlsError::PlainHttp { .. }));
        assert!(server.error().to_string().contains("TLS"));
        client.stop();
    });
}

#[test]
fn a_refusal_over_tls_is_that_of_the_server() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let acceptor = sansocket_net::Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let listener = acceptor.bind("127.0.0.1:0").unwrap();
        let url = format!("wss://{}/", listener.local_addr().unwrap());
        let server = spawn(move || listener.accept().unwrap().unwrap().respond(sansocket_net::HttpResponse::new(404)));
        let client = connect(&connector(trust(&authority).build().unwrap()), &url);
        let error = client.connect_error();
        assert_eq!(error.response().map(|response| response.status()), Some(404), "{error:?}");
        server.join().unwrap();
        client.stop();
    });
}

#[test]
fn the_opening_timeout_covers_a_silent_tls_peer_in_both_roles() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let config = options(|config| config.opening_timeout = SHORT);
        let (server, url) = serve_tls_with(&config, ServerTls::new(authority.issue(NAME)).unwrap());
        let silent = tcp(url["wss://".len()..].trim_end_matches('/').parse().unwrap());
        assert!(server.error().to_string().contains("opening_timeout"));
        drop(silent);

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connector = connector(trust(&authority).build().unwrap()).config(Config::default().opening_timeout(SHORT));
        let client = connect(&connector, &format!("wss://{}/", listener.local_addr().unwrap()));
        let error = client.connect_error();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Tls, limit: SHORT }), "{error:?}");
        client.stop();
    });
}

#[test]
fn an_end_without_close_notify_is_reported_as_truncated() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (server, url) = serve_tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let ws = net_client(&authority).connect(&url).unwrap();
        ws.stream().shutdown(Shutdown::Write).unwrap();
        assert!(failure_of_server(&server).to_string().contains("truncated"));
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
    });
}

#[test]
fn a_client_certificate_is_required_and_reported() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let required = ServerTls::builder(authority.issue(NAME)).require_client_certificates(authority.roots());
        let (server, url) = serve_tls(required.build().unwrap());
        let client = connect(&connector(trust(&authority).build().unwrap()), &url);
        assert!(matches!(tls_error(&client.connect_error()), TlsError::AlertReceived { .. }));
        assert!(matches!(failure_of_server(&server), TlsError::NoClientCertificate));
        client.stop();
        let with_certificate = trust(&authority).client_certificate(authority.issue("client.example")).build();
        let client = connect(&connector(with_certificate.unwrap()), &url);
        client.open();
        client.stop();
    });
}

#[test]
fn sockets_in_an_own_poll_speak_tls_in_both_roles() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("wss://{}/", listener.local_addr().unwrap());
        let client = Socket::connect(&connector(trust(&authority).build().unwrap()), url.parse().unwrap(), now());
        let mut poll = mio::Poll::new().unwrap();
        let (mut events, mut buffer) = (mio::Events::with_capacity(8), ReadBuffer::new(1024));
        let mut sockets = vec![(client.unwrap(), NextStep::Wait)];
        let mut seen = Vec::new();
        let mut on_event = |number: usize, ws: &mut WebSocket, event: Result<OwnEvent<'_>, Error>| match event.unwrap()
        {
            OwnEvent::Request(_) => ws.accept(Accept::new(), now()).unwrap(),
            OwnEvent::Open(_) if number == 0 => ws.send("x".repeat(5000)).unwrap(),
            OwnEvent::Message(message) if number == 0 => {
                seen.push(message.len());
                ws.close(CloseCode::NORMAL, "", now()).unwrap();
            }
            OwnEvent::Message(message) => ws.send(message).unwrap(),
            OwnEvent::Close(close) => assert!(close.was_clean),
            _ => {}
        };
        while !sockets.iter().all(|(_, next)| *next == NextStep::End) {
            for (number, (socket, next)) in sockets.iter_mut().enumerate() {
                if *next != NextStep::End {
                    *next = socket.drive(&mut buffer, now(), |ws, event| on_event(number, ws, event));
                    socket.update(poll.registry(), mio::Token(number)).unwrap();
                }
            }
            if sockets.len() == 1 {
                let stream = listener.accept().unwrap().0;
                stream.set_nonblocking(true).unwrap();
                let stream = mio::net::TcpStream::from_std(stream);
                let tls = ServerTls::new(authority.issue(NAME)).unwrap();
                sockets.push((Socket::accepted_tls(stream, &tls, Config::default(), now()), NextStep::Again));
                continue;
            }
            let wait = sockets.iter().filter_map(|(socket, next)| socket.max_wait(*next, now())).min();
            poll.poll(&mut events, wait).unwrap();
            for event in &events {
                let number = event.token().0;
                let (socket, next) = &mut sockets[number];
                if *next != NextStep::End {
                    *next = socket.ready(event, &mut buffer, now(), |ws, event| on_event(number, ws, event));
                }
            }
        }
        assert_eq!(seen, [5000]);
    });
}
