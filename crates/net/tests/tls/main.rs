//! `wss` over real sockets, between our client and our server.

#[path = "../../../tls/tests/authority/mod.rs"]
mod authority;
mod foreign;
#[path = "../support/mod.rs"]
mod support;
mod writes;

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use sansocket_net::dial::{Destination, DialOptions, FailedLayer, RedirectError};
use sansocket_net::tls::rustls::ProtocolVersion;
use sansocket_net::tls::{CertificateProblem, CertificateStore, ClientTls, ServerTls, TlsError};
use sansocket_net::{Acceptor, CloseCode, Config, Connector, DialError, Error, Event, HttpResponse, Message};

use authority::*;
use support::*;

/// The name and the address in the certificates of most servers.
const NAME: &str = "127.0.0.1";

fn wss(address: SocketAddr) -> String {
    format!("wss://{address}/")
}

/// Returns the configuration of clients that trust this authority alone.
fn client_of(authority: &Authority) -> ClientTls {
    ClientTls::builder().only_roots(authority.roots()).build().unwrap()
}

/// Starts an echo server for one client. Returns its address, and how its end went.
fn serve_echo(tls: ServerTls) -> (SocketAddr, Task<Result<(), Error>>) {
    let (listener, address) = listen_with(Acceptor::new().tls(tls));
    let server = serve(listener, |incoming| {
        let mut ws = incoming.accept()?;
        while let Some(event) = ws.read()? {
            if let Event::Message(message) = event.into_owned() {
                ws.send(message)?;
            }
        }
        Ok(())
    });
    (address, server)
}

/// Returns the TLS failure that ended a connection attempt.
fn refusal<T: Debug>(connected: Result<T, DialError>) -> TlsError {
    match connected.map(drop) {
        Err(DialError::Tls { error, .. }) => TlsError::of(&error).expect("a failure of TLS").clone(),
        other => panic!("{other:?}"),
    }
}

/// Returns the failure of TLS at a server.
fn failure_of_server(server: Task<Result<(), Error>>) -> TlsError {
    match server.join() {
        Err(Error::Io(error)) => TlsError::of(&error).expect("a failure of TLS").clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_all_sizes_come_back_over_tls() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_echo(ServerTls::new(authority.issue(NAME)).unwrap());
        let mut ws = Connector::new().tls(client_of(&authority)).connect(&wss(address)).unwrap();
        for size in [0, 1, 125, 126, 16_384, 16_385, 70_000, 3_000_000] {
            ws.send(vec![7; size]).unwrap();
            assert_eq!(message(&mut ws), Message::from(vec![7; size]));
        }
        let tls = ws.tls().expect("TLS");
        assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(ws.finish().unwrap().was_clean);
        server.join().unwrap();
    });
}

// CVE-2020-15133, CVE-2020-11050, CVE-2018-8034
#[test]
fn each_fault_of_a_certificate_has_an_error_of_its_own_and_the_server_receives_an_alert() {
    bounded(|| {
        let (authority, other) = (Authority::new("the authority"), Authority::new("another authority"));
        let expired = authority.issue_between(NAME, 2020, 2021);
        type Expectation = fn(&CertificateProblem) -> bool;
        let cases: [(ServerTls, Expectation); 4] = [
            (ServerTls::new(authority.issue("other.example")).unwrap(), |problem| {
                matches!(problem, CertificateProblem::WrongName { .. })
            }),
            (ServerTls::new(expired).unwrap(), |problem| matches!(problem, CertificateProblem::Expired { .. })),
            (ServerTls::new(other.issue(NAME)).unwrap(), |problem| {
                matches!(problem, CertificateProblem::UnknownAuthority)
            }),
            (ServerTls::new(self_signed(NAME, false)).unwrap(), |problem| {
                matches!(problem, CertificateProblem::SelfSigned)
            }),
        ];
        for (tls, is_expected) in cases {
            let (address, server) = serve_echo(tls);
            let connected = Connector::new().tls(client_of(&authority)).connect(&wss(address));
            match refusal(connected) {
                TlsError::Certificate { problem, .. } if is_expected(&problem) => {}
                other => panic!("{other}"),
            }
            assert!(matches!(failure_of_server(server), TlsError::AlertReceived { .. }));
        }
    });
}

#[test]
fn an_address_of_ipv6_in_brackets_is_the_name_in_the_certificate() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_echo(ServerTls::new(authority.issue("2001:db8::1")).unwrap());
        let connector = Connector::new().tls(client_of(&authority));
        let ws = connector
            .dial(DialOptions::default().connect_to(Destination::from(address)))
            .connect("wss://[2001:db8::1]/")
            .unwrap();
        assert!(ws.finish().unwrap().was_clean);
        server.join().unwrap();
    });
}

#[test]
fn application_protocols_without_overlap_fail_at_both_ends() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_echo(ServerTls::builder(authority.issue(NAME)).alpn(["h2"]).build().unwrap());
        let error = refusal(Connector::new().tls(client_of(&authority)).connect(&wss(address)));
        assert!(matches!(error, TlsError::AlertReceived { .. }) && error.to_string().contains("ALPN"), "{error}");
        assert!(matches!(failure_of_server(server), TlsError::NoCommonProtocol));
    });
}

#[test]
fn plain_http_to_the_tls_port_is_a_clear_error_at_both_ends() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_echo(ServerTls::new(authority.issue(NAME)).unwrap());
        let Err(error) = Connector::new().connect(&url(address)) else { panic!("connected") };
        let DialError::Opening(error) = error else { panic!("{error}") };
        assert!(error.to_string().contains("400"), "{error}");
        let error = failure_of_server(server);
        assert!(error.to_string().contains("HTTP"), "{error}");
    });
}

#[test]
fn tls_to_the_plain_port_is_a_clear_error_at_both_ends() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| incoming.accept().map(drop));
        let error = refusal(Connector::new().tls(client_of(&Authority::new("the authority"))).connect(&wss(address)));
        assert!(matches!(error, TlsError::PlainHttp { .. }), "{error}");
        let Err(error) = server.join() else { panic!("accepted") };
        assert!(error.to_string().contains("TLS"), "{error}");
    });
}

#[test]
fn the_opening_timeout_covers_a_silent_tls_peer_in_both_roles() {
    const OPENING_TIMEOUT: &str = "timed out: the opening handshake took longer than `opening_timeout`";
    bounded(|| {
        let authority = Authority::new("the authority");
        let config = || Config::default().opening_timeout(SHORT);
        let acceptor = Acceptor::new().config(config()).tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let (listener, address) = listen_with(acceptor);
        let server = serve(listener, |incoming| incoming.accept().map(drop));
        let silent = tcp(address);
        assert_eq!(server.join().unwrap_err().to_string(), OPENING_TIMEOUT);
        drop(silent);

        let (client, server) = tcp_pair();
        let connector = Connector::new().config(config()).tls(client_of(&authority));
        let Err(error) = connector.handshake_tls("wss://127.0.0.1/", client) else { panic!("connected") };
        drop(server);
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Tls, limit: SHORT }), "{error:?}");

        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = connector.connect(&wss(silent.local_addr().unwrap())).unwrap_err();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Tls, limit: SHORT }), "{error:?}");
        assert!(error.to_string().contains("TLS handshake"), "{error}");
    });
}

#[test]
fn a_refusal_over_tls_is_that_of_the_server() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        let server = serve(listener, |incoming| incoming.respond(HttpResponse::new(503).header("Retry-After", "7")));
        let error = Connector::new().tls(client_of(&authority)).connect(&wss(address)).unwrap_err();
        assert_eq!(error.response().map(|response| response.status()), Some(503), "{error:?}");
        assert_eq!(error.retry_after(std::time::SystemTime::UNIX_EPOCH), Some(std::time::Duration::from_secs(7)));
        server.join().unwrap();

        let (client, server) = tcp_pair();
        let acceptor = Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap());
        let server = spawn(move || acceptor.incoming(server).respond(HttpResponse::new(404)));
        let connector = Connector::new().tls(client_of(&authority));
        let error = connector.handshake_tls("wss://127.0.0.1/", client).map(drop).unwrap_err();
        assert_eq!(error.response().map(|response| response.status()), Some(404), "{error:?}");
        server.join().unwrap();
    });
}

#[test]
fn a_redirect_from_wss_to_ws_is_followed_only_if_that_is_allowed() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (plain, plain_address) = listen();
        let plain = serve(plain, |mut incoming| {
            let has_cookie = incoming.request().unwrap().headers().get("Cookie").is_some();
            echo(incoming.accept().unwrap());
            has_cookie
        });
        let connect = |is_allowed| {
            let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
            let server = serve(listener, move |incoming| {
                incoming.respond(HttpResponse::new(302).header("Location", url(plain_address)))
            });
            let options = DialOptions::default().max_redirects(1).allow_insecure_redirects(is_allowed);
            let connector = Connector::new().tls(client_of(&authority)).header("Cookie", "a=secret").dial(options);
            let connected = connector.connect(&wss(address));
            server.join().unwrap();
            connected
        };
        let error = connect(false).unwrap_err();
        assert!(matches!(error, DialError::Redirect(RedirectError::Insecure { .. })), "{error:?}");
        let ws = connect(true).unwrap();
        assert!(ws.tls().is_none());
        assert!(ws.finish().unwrap().was_clean);
        assert!(!plain.join(), "another origin gets no cookies");
    });
}

#[test]
fn an_end_without_close_notify_is_reported_as_truncated() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            let error = ws.read().unwrap_err();
            (error.to_string(), close(&mut ws))
        });
        let ws = Connector::new().tls(client_of(&authority)).connect(&wss(address)).unwrap();
        ws.stream().shutdown(Shutdown::Write).unwrap();
        let (failure, close) = server.join();
        assert!(failure.contains("truncated"), "{failure}");
        assert_eq!((close.code, close.was_clean), (CloseCode::ABNORMAL, false));
    });
}

#[test]
fn a_client_certificate_is_required_and_reported() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let required = || {
            let builder = ServerTls::builder(authority.issue(NAME)).require_client_certificates(authority.roots());
            builder.build().unwrap()
        };
        let (address, server) = serve_echo(required());
        // In TLS 1.3, the client's handshake is complete before the server has seen that there is no certificate.
        let error = refusal(Connector::new().tls(client_of(&authority)).connect(&wss(address)));
        assert!(matches!(error, TlsError::AlertReceived { .. }), "{error}");
        assert!(matches!(failure_of_server(server), TlsError::NoClientCertificate));

        let (listener, address) = listen_with(Acceptor::new().tls(required()));
        let server = serve(listener, |mut incoming| {
            incoming.request().unwrap();
            incoming.tls().unwrap().peer_certificates().map(<[_]>::len)
        });
        let client = ClientTls::builder().only_roots(authority.roots()).client_certificate(authority.issue("a client"));
        let _ = Connector::new().tls(client.build().unwrap()).connect(&wss(address));
        assert_eq!(server.join(), Some(1));
    });
}

#[test]
fn a_certificate_that_is_replaced_serves_new_connections_and_only_those() {
    bounded(|| {
        let (first, second) = (Authority::new("first"), Authority::new("second"));
        let store = CertificateStore::new(first.issue(NAME)).unwrap();
        let tls = ServerTls::with_resolver(store.clone()).unwrap();
        let (listener, address) = listen_with(Acceptor::new().tls(tls));
        let server = spawn(move || {
            let accept = |listener| accept(listener).accept().map(|ws| thread::spawn(move || echo(ws)));
            [accept(&listener).is_ok(), accept(&listener).is_ok(), accept(&listener).is_ok()]
        });
        let connect = |authority: &Authority| Connector::new().tls(client_of(authority)).connect(&wss(address));
        let mut before = connect(&first).unwrap();
        store.replace(second.issue(NAME)).unwrap();
        assert!(matches!(refusal(connect(&first)), TlsError::Certificate { .. }));
        let mut after = connect(&second).unwrap();
        for ws in [&mut before, &mut after] {
            ws.send("Hello").unwrap();
            assert_eq!(message(ws), Message::from("Hello"));
        }
        for ws in [before, after] {
            assert!(ws.finish().unwrap().was_clean);
        }
        assert_eq!(server.join(), [true, false, true]);
    });
}

#[test]
fn a_client_resumes_its_session() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        spawn(move || {
            for incoming in listener.incoming() {
                let ws = incoming.unwrap().accept().unwrap();
                thread::spawn(move || echo(ws));
            }
        });
        let connector = Connector::new().tls(client_of(&authority));
        for is_resumed in [false, true, true] {
            let mut ws = connector.connect(&wss(address)).unwrap();
            assert_eq!(ws.tls().unwrap().is_resumed(), Some(is_resumed));
            ws.send("Hello").unwrap();
            assert_eq!(message(&mut ws), Message::from("Hello")); // the ticket precedes it
            assert!(ws.finish().unwrap().was_clean);
        }
    });
}

#[test]
fn the_reader_of_a_split_connection_answers_pings_while_the_writer_waits() {
    /// More than the buffers of TCP.
    const LONG: usize = 16 << 20;
    bounded(|| {
        let authority = Authority::new("the authority");
        let (listener, address) = listen_with(Acceptor::new().tls(ServerTls::new(authority.issue(NAME)).unwrap()));
        let (reads, may_read) = mpsc::channel();
        let server = serve(listener, move |incoming| {
            let mut ws = incoming.accept().unwrap();
            // The client has begun to send, and waits as long as nothing is read.
            ws.stream().peek(&mut [0]).unwrap();
            ws.ping(b"first").unwrap();
            may_read.recv().unwrap();
            let mut received = Vec::new();
            while received.len() < 3 {
                match ws.read().unwrap().unwrap() {
                    Event::Message(message) => received.push(("message", message.len())),
                    Event::Pong(payload) => received.push(("pong", payload.len())),
                    _ => {}
                }
            }
            assert!(ws.finish().unwrap().was_clean);
            received
        });
        let ws = Connector::new().tls(client_of(&authority)).connect(&wss(address)).unwrap();
        let (mut reader, writer) = ws.split().unwrap();
        let long = begin_to_send(&writer, LONG);
        let short = spawn(move || writer.send("short"));
        let reading = spawn(move || {
            assert!(matches!(reader.read().unwrap(), Some(Event::Ping(_))));
            // The reader has answered, although the server has not read a byte of the messages.
            reads.send(()).unwrap();
            while let Ok(Some(_)) = reader.read() {}
        });
        // The Pong is between the frames of the long message.
        assert_eq!(server.join(), [("pong", "first".len()), ("message", LONG), ("message", "short".len())]);
        long.join().unwrap();
        short.join().unwrap();
        reading.join();
    });
}

#[test]
fn a_stream_of_one_byte_at_a_time_carries_tls() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, server) = serve_echo(ServerTls::new(authority.issue(NAME)).unwrap());
        // A relay that forwards single bytes.
        let relay = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let relay_address = relay.local_addr().unwrap();
        spawn(move || {
            let client = relay.accept().unwrap().0;
            let server = TcpStream::connect(address).unwrap();
            let forward = |mut from: TcpStream, mut to: TcpStream| {
                let mut byte = [0];
                while from.read(&mut byte).is_ok_and(|count| count > 0) && to.write_all(&byte).is_ok() {}
                let _ = to.shutdown(Shutdown::Write);
            };
            let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            thread::spawn(move || forward(client_too, server_too));
            forward(server, client);
        });
        let mut ws = Connector::new()
            .tls(client_of(&authority))
            .dial(DialOptions::default().connect_to(Destination::from(relay_address)))
            .connect("wss://127.0.0.1/")
            .unwrap();
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws), Message::from("Hello"));
        assert!(ws.finish().unwrap().was_clean);
        server.join().unwrap();
    });
}

#[test]
fn without_roots_of_its_own_a_client_trusts_the_system_and_refuses_the_authority_of_the_tests() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (address, _server) = serve_echo(ServerTls::new(authority.issue(NAME)).unwrap());
        match Connector::new().connect(&wss(address)).map(drop) {
            // a system without any certificate authority
            Err(DialError::Tls { error, .. }) if TlsError::of(&error).is_none() => {}
            result => assert!(matches!(refusal(result), TlsError::Certificate { .. })),
        }
    });
}
