//! How clients reach their server: addresses that race, redirects, Unix sockets, and connecting again.

#[path = "../../connect/tests/servers/mod.rs"]
mod servers;
mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sansocket_net::dial::{Destination, DialOptions, FailedLayer, ReconnectPolicy, RedirectError};
use sansocket_net::{Config, Connector, DialError};

use servers::*;
#[cfg(target_os = "linux")]
use socket2::{Domain, SockAddr, Socket, Type};
use support::*;

fn status_of(error: &DialError) -> Option<u16> {
    error.response().map(|response| response.status())
}

fn redirects(limit: u32) -> Connector {
    Connector::new().dial(DialOptions::default().max_redirects(limit))
}

/// A policy that waits for at most a few milliseconds.
fn soon() -> ReconnectPolicy {
    ReconnectPolicy::default().first_delay(Duration::from_millis(2)).max_delay(Duration::from_millis(2))
}

#[test]
fn two_silent_addresses_do_not_use_up_the_opening_timeout() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let ((first, _first), (second, _second)) = (silent_address(), silent_address());
        // each of the silent addresses alone would take the whole opening timeout
        let config = Config::default().opening_timeout(Duration::from_secs(8));
        let connector = Connector::new().config(config).addresses([first, second, address]);
        #[cfg(target_os = "linux")]
        let attempts = || [attempts_to(first), attempts_to(second)];
        #[cfg(target_os = "linux")]
        assert_eq!(attempts(), [1, 1], "those that keep the backlogs full");
        let ws = connector.connect("ws://server.example/").unwrap();
        #[cfg(target_os = "linux")]
        assert_eq!(attempts(), [1, 1], "the others are abandoned");
        assert_eq!(ws.stream().peer_addr().unwrap(), address);
        assert!(ws.finish().unwrap().was_clean);
        server.join();
    });
}

#[test]
fn silent_addresses_are_listed_when_the_opening_timeout_has_passed() {
    bounded(|| {
        let (silent, _kept) = silent_address();
        let connector = Connector::new().config(Config::default().opening_timeout(SHORT)).addresses([silent]);
        let DialError::Unreachable(attempts) = connector.connect("ws://server.example/").unwrap_err() else { panic!() };
        assert_eq!(attempts.iter().map(|attempt| attempt.address).collect::<Vec<_>>(), [silent]);
    });
}

#[test]
fn a_name_is_looked_up() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let ws = sansocket_net::connect(&format!("ws://localhost:{}/", address.port())).unwrap();
        assert!(ws.finish().unwrap().was_clean);
        server.join();
        // a label of more than 63 characters exists nowhere (RFC 1035 section 2.3.4), so no query leaves this machine
        let name = "x".repeat(64);
        let error = sansocket_net::connect(&format!("ws://{name}/")).unwrap_err();
        assert!(matches!(&error, DialError::Name { host, .. } if *host == name), "{error:?}");
    });
}

#[test]
fn redirects_are_followed_up_to_the_limit_and_credentials_stay_with_their_origin() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |mut incoming| {
            let has_authorization = incoming.request().unwrap().headers().get("Authorization").is_some();
            echo(incoming.accept().unwrap());
            has_authorization
        });
        let (first, requests) = responding([redirect(&format!("http://{address}/"))]);
        let ws = redirects(1).connect(&format!("ws://user:secret@{first}/first")).unwrap();
        assert!(ws.finish().unwrap().was_clean);
        let request = requests.join().remove(0);
        assert!(request.starts_with("GET /first ") && request.contains("\r\nAuthorization: Basic "), "{request}");
        assert!(!server.join(), "another origin gets no credentials");

        let (first, _requests) = responding([redirect("/elsewhere")]);
        assert_eq!(status_of(&redirects(0).connect(&url(first)).unwrap_err()), Some(302));
        let (first, _requests) = responding([redirect("/a"), redirect("/b")]);
        let error = redirects(1).connect(&url(first)).unwrap_err();
        assert!(matches!(error, DialError::Redirect(RedirectError::TooMany { limit: 1, .. })), "{error}");
        let (first, _requests) = responding([redirect("/a"), redirect("/")]);
        let error = redirects(5).connect(&url(first)).unwrap_err();
        assert!(matches!(error, DialError::Redirect(RedirectError::Loop { .. })), "{error}");
    });
}

#[test]
fn another_address_and_another_host_are_used() {
    bounded(|| {
        let (address, requests) = responding([refusal(404, "")]);
        let options = DialOptions::default().connect_to(Destination::from(address)).host("other.example".to_owned());
        let error = Connector::new().dial(options).connect("ws://server.example/").unwrap_err();
        assert_eq!((error.layer(), status_of(&error)), (Some(FailedLayer::Http), Some(404)));
        assert!(requests.join()[0].contains("\r\nHost: other.example\r\n"));
    });
}

#[test]
fn the_credentials_of_the_url_are_sent_over_any_stream_unless_the_application_has_others() {
    bounded(|| {
        let connectors = [Connector::new(), Connector::new().header("authorization", "Bearer 123")];
        for (connector, sent) in connectors.iter().zip(["Basic dXNlcjpzZWNyZXQ=", "Bearer 123"]) {
            let (address, requests) = responding([refusal(404, ""), refusal(404, "")]);
            let url = format!("ws://user:secret@{address}/");
            let error = connector.connect(&url).unwrap_err();
            assert_eq!(status_of(&error), Some(404));
            let stream = TcpStream::connect(address).unwrap();
            let error = connector.handshake(&url, stream).map(drop).unwrap_err();
            assert_eq!(status_of(&error), Some(404));
            assert!(!format!("{error} {error:?}").contains("secret"));
            for request in requests.join() {
                let line = |line: &str| line.to_lowercase().starts_with("authorization: ") && line.ends_with(sent);
                assert_eq!(request.lines().filter(|&text| line(text)).count(), 1, "{request}");
            }
        }
    });
}

#[test]
#[cfg(unix)]
fn a_unix_socket_is_reached() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("sansocket-net-dialing-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = spawn(move || {
            let mut incoming = sansocket_net::Acceptor::new().incoming(listener.accept().unwrap().0);
            let target = incoming.request().unwrap().target().to_owned();
            (target, echo(incoming.accept().unwrap()).was_clean)
        });
        let url = format!("ws+unix:{}:/chat?room=1", path.display());
        let mut ws = sansocket_net::connect(&url).unwrap();
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws).as_text(), Some("Hello"));
        assert!(ws.finish().unwrap().was_clean);
        assert_eq!(server.join(), ("/chat?room=1".to_owned(), true));
        std::fs::remove_file(&path).unwrap();
        let error = sansocket_net::connect(&url).unwrap_err();
        assert!(matches!(error, DialError::UnixSocket { .. }), "{error:?}");
    });
}

/// A Unix socket whose backlog is full: the system offers no way to wait for it, elsewhere than on Linux not even this
/// error.
#[test]
#[cfg(target_os = "linux")]
fn a_unix_socket_with_a_full_backlog_is_tried_until_the_opening_timeout() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("sansocket-net-backlog-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let (listener, address) = (socket(), SockAddr::unix(&path).unwrap());
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = vec![socket()];
        while waiting.last().unwrap().connect(&address).is_ok() {
            waiting.push(socket());
        }
        let url = format!("ws+unix:{}", path.display());
        let config = Config::default().opening_timeout(SHORT);
        let error = Connector::new().config(config).connect(&url).unwrap_err();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::UnixSocket, limit: SHORT }), "{error:?}");

        let client = spawn(move || sansocket_net::connect(&url).unwrap().finish().unwrap().was_clean);
        listener.set_nonblocking(false).unwrap();
        waiting.pop();
        waiting.iter().for_each(|_| drop(listener.accept().unwrap()));
        let stream = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(listener.accept().unwrap().0));
        echo(sansocket_net::Acceptor::new().incoming(stream).accept().unwrap());
        assert!(client.join());
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn a_client_connects_again_until_the_server_refuses_for_good() {
    bounded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(move || {
            let next = || listener.accept().unwrap().0;
            let respond = |mut stream: TcpStream, response: String| {
                read_head(&mut stream);
                stream.write_all(response.as_bytes()).unwrap();
                read_rest(&mut stream);
            };
            // lost, overloaded, closed by the client, gone
            drop(tungstenite::accept(next()).unwrap());
            respond(next(), refusal(503, "Retry-After: 0\r\n"));
            let mut ws = tungstenite::accept(next()).unwrap();
            while ws.read().is_ok() {}
            drop(ws);
            respond(next(), refusal(404, ""));
        });
        let mut attempts = Connector::new().reconnecting(&url(address), soon()).unwrap();
        assert_eq!((attempts.delay(), attempts.attempt()), (Some(Duration::ZERO), 1));
        let mut ws = attempts.next().unwrap().unwrap();
        while let Ok(Some(_)) = ws.read() {}
        assert!(attempts.delay().unwrap() <= Duration::from_millis(2));
        assert_eq!(status_of(&attempts.next().unwrap().unwrap_err()), Some(503));
        assert_eq!(attempts.attempt(), 2);
        assert!(attempts.next().unwrap().unwrap().finish().unwrap().was_clean);
        assert_eq!(attempts.attempt(), 3);
        assert_eq!(status_of(&attempts.next().unwrap().unwrap_err()), Some(404));
        assert!(attempts.delay().is_none() && attempts.next().is_none());
        server.join();
    });
}

#[test]
fn a_client_gives_up_after_the_most_attempts() {
    bounded(|| {
        // a port in use, without a listener
        let unrelated = TcpListener::bind("127.0.0.1:0").unwrap();
        let in_use = TcpStream::connect(unrelated.local_addr().unwrap()).unwrap();
        let attempts = Connector::new().reconnecting(&url(in_use.local_addr().unwrap()), soon().max_attempts(2));
        let failures: Vec<_> = attempts.unwrap().map(Result::unwrap_err).collect();
        assert_eq!(failures.len(), 3, "the first attempt, and two more");
        assert!(failures.iter().all(|error| matches!(error, DialError::Unreachable(_))));
    });
}

#[test]
fn the_opening_timeout_covers_a_lookup_that_hangs() {
    bounded(|| {
        let (end, hangs) = mpsc::channel::<()>();
        let hangs = Mutex::new(hangs);
        let connector = Connector::new().config(Config::default().opening_timeout(SHORT)).resolver(move |_| {
            // until the end of the test
            let _ = hangs.lock().unwrap().recv();
            Ok(Vec::new())
        });
        let error = connector.connect("ws://server.example/").unwrap_err();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Name, limit: SHORT }), "{error:?}");
        drop(end);
    });
}

#[test]
fn the_resolver_of_the_application_is_asked_and_its_failures_are_those_of_the_name() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let connector = Connector::new().resolver(move |destination| match destination.host() {
            "server.example" if destination.port() == 80 => Ok(vec![address]),
            "empty.example" => Ok(Vec::new()),
            "panics.example" => panic!("as the test demands"),
            _ => Err(std::io::Error::other("not in the registry")),
        });
        assert!(connector.connect("ws://server.example/").unwrap().finish().unwrap().was_clean);
        server.join();
        for (name, words) in [
            ("empty.example", "has no address"),
            ("panics.example", "the resolver of the application panicked"),
            ("other.example", "not in the registry"),
        ] {
            let error = connector.connect(&format!("ws://{name}/")).unwrap_err();
            assert!(matches!(&error, DialError::Name { host, .. } if host == name), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
    });
}
