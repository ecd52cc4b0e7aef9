//! Opening handshakes that do not open: refusals, plain requests, deadlines, addresses.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sansocket_net::dial::FailedLayer;
#[cfg(not(feature = "tls"))]
use sansocket_net::dial::{DialOptions, ProxyRules};
use sansocket_net::sansocket::{AnswerError, Error as Failure, HandshakeError, HttpVersion, Initiator, TimeoutKind};
use sansocket_net::{
    Accept, Acceptor, CloseCode, Config, Connector, DialError, Error, HttpResponse, Incoming, Listener, OriginPolicy,
};
use support::*;

/// Returns the response to a client that sends only these bytes, and the result of the server's `work`.
fn answer<T: Send + 'static>(
    listener: Listener,
    request: &str,
    work: impl FnOnce(Incoming) -> T + Send + 'static,
) -> (String, T) {
    let address = listener.local_addr().unwrap();
    let server = serve(listener, work);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(read_rest(&mut client)).unwrap();
    drop(client);
    (answer, server.join())
}

fn with_origin(origin: &str) -> String {
    REQUEST.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_refused_client_gets_status_headers_and_body() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |mut incoming| {
            let request = incoming.request().unwrap();
            assert_eq!((request.path(), request.query()), ("/rooms", Some("id=1")));
            let response =
                HttpResponse::new(401).header("WWW-Authenticate", "Basic").body("text/plain", "who are you?");
            incoming.respond(response).unwrap();
        });
        let error = Connector::new().connect(&format!("ws://{address}/rooms?id=1")).unwrap_err();
        let DialError::Opening(Error::Peer(Failure::Handshake(HandshakeError::Refused(response)))) = error else {
            panic!("{error}");
        };
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers().get("www-authenticate"), Some("Basic"));
        assert_eq!(response.body(), b"who are you?");
        server.join();
    });
}

#[test]
fn a_plain_request_gets_the_applications_response() {
    bounded(|| {
        let (answer, _) = answer(listen().0, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", |mut incoming| {
            assert!(incoming.is_plain().unwrap());
            assert_eq!(incoming.request().unwrap().path(), "/health");
            incoming.respond(HttpResponse::new(200).body("text/plain", "well")).unwrap();
        });
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(body(&answer), "well");
    });
}

/// Health checks, as load balancers send them.
#[test]
fn the_check_of_a_load_balancer_gets_the_applications_answer() {
    bounded(|| {
        for (request, version) in [
            ("GET /healthz HTTP/1.0\r\n\r\n", HttpVersion::Http10),
            ("GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n", HttpVersion::Http10),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HttpVersion::Http11),
        ] {
            for fin in [false, true] {
                let (listener, address) = listen();
                let server = serve(listener, move |mut incoming| {
                    assert!(incoming.is_plain().unwrap());
                    assert_eq!(incoming.request().unwrap().version(), version);
                    incoming.respond(HttpResponse::new(200).body("text/plain", "well")).unwrap();
                });
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(request.as_bytes()).unwrap();
                if fin {
                    client.shutdown(Shutdown::Write).unwrap();
                }
                let answer = String::from_utf8(read_rest(&mut client)).unwrap();
                drop(client);
                assert_eq!(
                    answer,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwell"
                );
                server.join();
            }
        }
    });
}

#[test]
fn a_plain_request_that_is_accepted_gets_426() {
    bounded(|| {
        let (answer, error) = answer(listen().0, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", |incoming| incoming.accept());
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        assert!(matches!(error.unwrap_err(), Error::Answer(AnswerError::NotWebSocket)));
    });
}

/// CVE-2023-26114 and its kin: a page of another site opens a connection with the user's cookies.
#[test]
fn pages_of_other_origins_get_403_unless_the_policy_permits_them() {
    let any_of = || OriginPolicy::any_of(["https://app.example"]).unwrap();
    let cases = [
        (OriginPolicy::SameOrigin, Some("https://evil.example"), false),
        (OriginPolicy::SameOrigin, Some("null"), false),
        (OriginPolicy::SameOrigin, Some("http://server.example.com"), true),
        (OriginPolicy::SameOrigin, None, true),
        (any_of(), Some("https://app.example"), true),
        (any_of(), Some("https://evil.example"), false),
        (OriginPolicy::Any, Some("https://evil.example"), true),
    ];
    bounded(|| {
        for (policy, origin, is_permitted) in cases {
            let is_default = policy == OriginPolicy::SameOrigin;
            let acceptor = if is_default { Acceptor::new() } else { Acceptor::new().origin(policy.clone()) };
            let (listener, _) = listen_with(acceptor);
            let request = origin.map_or(REQUEST.into(), with_origin);
            let (answer, result) = answer(listener, &request, |incoming| incoming.accept().map(drop));
            let status = if is_permitted { "HTTP/1.1 101 " } else { "HTTP/1.1 403 " };
            assert!(answer.starts_with(status), "{policy:?} {origin:?}: {answer}");
            match result {
                Ok(()) => assert!(is_permitted),
                Err(Error::Answer(AnswerError::OriginForbidden)) => assert!(!is_permitted),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn the_policy_of_the_server_applies_unless_the_answer_chooses_another() {
    let any_of = || OriginPolicy::any_of(["https://app.example"]).unwrap();
    let cases = [
        (OriginPolicy::SameOrigin, None, "https://app.example", false),
        (any_of(), None, "https://app.example", true),
        (any_of(), None, "http://server.example.com", false),
        (OriginPolicy::Any, None, "https://app.example", true),
        (OriginPolicy::SameOrigin, Some(OriginPolicy::Any), "https://app.example", true),
        (OriginPolicy::SameOrigin, Some(any_of()), "https://app.example", true),
        (any_of(), Some(OriginPolicy::SameOrigin), "https://app.example", false),
        (OriginPolicy::Any, Some(OriginPolicy::SameOrigin), "https://app.example", false),
    ];
    bounded(|| {
        for (policy, chosen, origin, is_permitted) in cases {
            let (listener, _) = listen_with(Acceptor::new().origin(policy.clone()));
            let accept = Accept::new().header("X-Answer", "1");
            let accept = chosen.iter().cloned().fold(accept, Accept::origin);
            let (answer, _) = answer(listener, &with_origin(origin), |incoming| incoming.accept_with(accept).map(drop));
            let status = if is_permitted { "HTTP/1.1 101 " } else { "HTTP/1.1 403 " };
            assert!(answer.starts_with(status), "{policy:?} {chosen:?}: {answer}");
            assert_eq!(answer.contains("X-Answer: 1\r\n"), is_permitted, "{policy:?} {chosen:?}: {answer}");
        }
    });
}

#[test]
fn an_answer_that_is_not_valid_is_the_fault_of_the_server() {
    bounded(|| {
        let accept = Accept::new().protocol("chat");
        let (answer_to_accept, result) = answer(listen().0, REQUEST, |incoming| incoming.accept_with(accept).map(drop));
        assert!(answer_to_accept.starts_with("HTTP/1.1 500 "), "{answer_to_accept}");
        assert!(matches!(result, Err(Error::Answer(AnswerError::ProtocolNotOffered(_)))));

        let (answer_to_reject, result) =
            answer(listen().0, REQUEST, |incoming| incoming.respond(HttpResponse::new(101)));
        assert!(answer_to_reject.starts_with("HTTP/1.1 500 "), "{answer_to_reject}");
        assert!(matches!(result, Err(Error::Answer(AnswerError::StatusInvalid(101)))));
    });
}

#[test]
fn requests_that_break_the_rules_get_a_status() {
    let cases = [
        ("GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        (REQUEST.replace("Version: 13", "Version: 8"), 426),
        (REQUEST.replace("Host: server.example.com\r\n", ""), 400),
        (REQUEST.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(20_000))), 431),
    ];
    bounded(|| {
        for (request, status) in cases {
            let (answer, result) = answer(listen().0, &request, |mut incoming| incoming.request().map(|_| ()));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
            match result {
                Err(Error::Peer(Failure::Handshake(error))) => assert_eq!(error.status(), Some(status)),
                result => panic!("{result:?}"),
            }
        }
    });
}

#[test]
fn the_client_gives_up_a_silent_server() {
    bounded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connector = Connector::new().config(Config::default().opening_timeout(SHORT));
        let error = connector.connect(&url(listener.local_addr().unwrap())).unwrap_err();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Http, limit: SHORT }), "{error}");
    });
}

/// Bytes that keep arriving do not postpone the deadline.
#[test]
fn a_client_that_drips_its_request_gets_408_in_time() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(Config::default().opening_timeout(SHORT)));
        let server = serve(listener, |mut incoming| incoming.request().map(|_| ()).unwrap_err());
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        let mut answer = [0; 64];
        let length = loop {
            match client.read(&mut answer) {
                Ok(length) => break length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    client.write_all(b"x").unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert!(answer[..length].starts_with(b"HTTP/1.1 408 "));
        drop(client);
        assert!(matches!(server.join(), Error::Peer(Failure::Timeout(TimeoutKind::Opening))));
    });
}

#[test]
fn a_slow_client_does_not_hold_up_the_next() {
    bounded(|| {
        let (listener, address) = listen();
        let slow = TcpStream::connect(address).unwrap();
        let first = accept(&listener);
        assert!(first.stream().nodelay().unwrap());
        let second = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        drop(connect(address));
        second.join();
        drop((slow, first));
    });
}

#[test]
fn clients_that_end_early() {
    bounded(|| {
        for request in ["", "GET / HT", &REQUEST[..100]] {
            let (listener, address) = listen();
            let server = serve(listener, |incoming| incoming.accept().map(drop));
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_rest(&mut client), b"");
            let error = server.join().unwrap_err();
            assert!(matches!(error, Error::Peer(Failure::Handshake(HandshakeError::UnexpectedEof))), "{error}");
        }
    });
}

#[test]
fn a_server_that_ends_early() {
    bounded(|| {
        for bytes in ["", "HTTP/1.1 101 Swi"] {
            let (address, server) = serve_raw(move |mut stream, _| stream.write_all(bytes.as_bytes()).unwrap());
            let error = Connector::new().connect(&url(address)).unwrap_err();
            let is_eof =
                matches!(error, DialError::Opening(Error::Peer(Failure::Handshake(HandshakeError::UnexpectedEof))));
            assert!(is_eof, "{error}");
            server.join();
        }
    });
}

/// The reset arrives before the server reads the request.
#[test]
fn a_client_that_resets_before_its_request_is_read() {
    bounded(|| {
        let (listener, address) = listen();
        let (server_may_read, wait) = mpsc::channel();
        let server = serve(listener, move |mut incoming| {
            incoming.stream_mut().write_all(b"unread").unwrap();
            wait.recv().unwrap();
            incoming.accept().map(drop)
        });
        reset(TcpStream::connect(address).unwrap());
        server_may_read.send(()).unwrap();
        let error = server.join().unwrap_err();
        assert!(matches!(error, Error::Peer(Failure::Handshake(HandshakeError::UnexpectedEof))), "{error}");
    });
}

/// Reads a request, waits until its client has half-closed or reset TCP, and then does some work.
fn answer_late<T: Send + 'static>(is_reset: bool, work: fn(Incoming) -> T) -> T {
    let (listener, address) = listen();
    let (has_ended, wait_for_end) = mpsc::channel();
    let (is_read, wait_for_read) = mpsc::channel();
    let server = serve(listener, move |mut incoming| {
        incoming.request().unwrap();
        // The client resets because it does not read this.
        incoming.stream_mut().write_all(b"H").unwrap();
        is_read.send(()).unwrap();
        wait_for_end.recv().unwrap();
        work(incoming)
    });
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    wait_for_read.recv().unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let client = if is_reset {
        reset(client);
        None
    } else {
        Some(client)
    };
    has_ended.send(()).unwrap();
    let result = server.join();
    drop(client);
    result
}

#[test]
fn a_client_that_resets_before_its_answer_is_a_fault_of_the_transport() {
    bounded(|| {
        let is_transport = |error: &Error| matches!(error, Error::Io(error) if sansocket_drive::is_disconnect(error));
        let error = answer_late(true, |incoming| incoming.accept().map(drop)).unwrap_err();
        assert!(is_transport(&error), "{error:?}");
        let error = answer_late(true, |incoming| incoming.respond(HttpResponse::new(404))).unwrap_err();
        assert!(is_transport(&error), "{error:?}");
    });
}

#[test]
fn a_client_that_half_closes_before_its_answer_gets_the_answer_and_the_end() {
    bounded(|| {
        let close = answer_late(false, |incoming| close(&mut incoming.accept().unwrap()));
        assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Peer));
        answer_late(false, |incoming| incoming.respond(HttpResponse::new(404))).unwrap();
    });
}

#[test]
fn addresses_are_tried_in_turn() {
    bounded(|| {
        let (listener, address) = listen();
        // the port of a client: in use, so that no other process gets it, and without a listener
        let unrelated = TcpListener::bind("127.0.0.1:0").unwrap();
        let in_use = TcpStream::connect(unrelated.local_addr().unwrap()).unwrap();
        let closed = in_use.local_addr().unwrap();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let ws = Connector::new().addresses([closed, address]).connect("ws://server.example/").unwrap();
        assert_eq!(ws.stream().peer_addr().unwrap(), address);
        assert!(ws.stream().nodelay().unwrap());
        drop(ws);
        server.join();

        // an address that is listed twice is tried once
        let other = TcpStream::connect(unrelated.local_addr().unwrap()).unwrap();
        let addresses = [closed, other.local_addr().unwrap()];
        let connector = Connector::new().addresses([closed, closed, addresses[1]]);
        let error = connector.connect("ws://server.example/").unwrap_err();
        let DialError::Unreachable(attempts) = &error else { panic!("{error}") };
        assert_eq!(attempts.iter().map(|attempt| attempt.address).collect::<Vec<_>>(), addresses);
        assert!(attempts.iter().all(|attempt| attempt.error.kind() == ErrorKind::ConnectionRefused));
        assert!(error.to_string().starts_with(&format!("TCP: cannot connect to {closed}: ")), "{error}");
        assert!(error.to_string().contains(&addresses[1].to_string()), "{error}");
    });
}

#[test]
fn urls_and_requests_that_cannot_be_used_are_errors() {
    let error = |url| Connector::new().connect(url).unwrap_err();
    #[cfg(not(feature = "tls"))]
    {
        assert!(matches!(error("wss://localhost/"), DialError::TlsNotBuiltIn));
        assert!(error("wss://localhost/").to_string().contains("enable the feature `tls`"));
        // no proxy gets a byte
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy_address = proxy.local_addr().unwrap();
        for (scheme, url) in [("https", "ws://server.example/"), ("http", "wss://server.example/")] {
            let rules = ProxyRules::always(format!("{scheme}://{proxy_address}").parse().unwrap());
            let connector = Connector::new().dial(DialOptions::default().proxies(rules));
            assert!(matches!(connector.connect(url).unwrap_err(), DialError::TlsNotBuiltIn));
        }
        assert_eq!(read_rest(&mut proxy.accept().unwrap().0), b"", "the one over TLS");
        proxy.set_nonblocking(true).unwrap();
        assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    assert!(matches!(error("http://localhost/"), DialError::Target(_)));
    assert!(matches!(error("ws://localhost/#fragment"), DialError::Target(_)));
    let twice = Connector::new().protocol("a").protocol("a");
    let (listener, address) = listen();
    assert!(matches!(twice.connect(&url(address)).unwrap_err(), DialError::Request(_)));
    drop(listener);
}

#[test]
fn a_busy_port() {
    let (_listener, address) = listen();
    assert_eq!(Listener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
}

/// RFC 6455 section 7.1.1: the server waits for the end of TCP, but not for ever.
#[test]
fn a_refused_client_that_stays_is_dropped() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(Config::default().closing_timeout(SHORT)));
        let server = serve(listener, |incoming| {
            let started = Instant::now();
            incoming.respond(HttpResponse::new(404)).unwrap();
            started.elapsed()
        });
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(REQUEST.as_bytes()).unwrap();
        assert!(read_rest(&mut client).starts_with(b"HTTP/1.1 404 "));
        assert!(server.join() >= SHORT / 2);
    });
}

#[test]
fn a_response_that_the_client_does_not_take_is_an_error() {
    bounded(|| {
        for is_reset in [false, true] {
            let (listener, address) = listen_with(Acceptor::new().config(Config::default().closing_timeout(SHORT)));
            let server = serve(listener, |incoming| {
                incoming.respond(HttpResponse::new(200).body("text/plain", "x".repeat(16 << 20)))
            });
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
            let kept = (!is_reset).then(|| client.try_clone().unwrap());
            reset(client);
            server.join().unwrap_err();
            drop(kept);
        }
    });
}
