//! How clients reach their server: addresses that race, redirects, Unix sockets, and connecting again.

#[path = "../../connect/tests/servers/mod.rs"]
mod servers;
mod support;

use std::net::TcpListener;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sansocket_mio::dial::{DialOptions, FailedLayer, ReconnectPolicy};
use sansocket_mio::{
    Close, CloseCode, Config, Connection, Connections, Connector, DialError, Error, EventLoop, Group, Handle, Handler,
    Open, Reconnection,
};
use servers::*;
use support::*;

/// What a [`Client`] saw; with the number of the attempt where there is one.
#[derive(Debug)]
enum Call {
    Open(u32),
    Close(CloseCode),
    Reconnect(u32, Option<DialError>),
    ConnectError(DialError),
}

/// Reports its calls.
struct Client {
    calls: mpsc::Sender<Call>,
    group: Group,
    /// Ends the connection instead of letting it connect again.
    at_reconnect: fn(&mut Connection<'_, Self>),
}

impl Client {
    fn report(&self, call: Call) {
        // the test may be over
        let _ = self.calls.send(call);
    }
}

impl Handler for Client {
    type Data = &'static str;
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        assert_eq!(*connection.data(), "mine");
        assert!(connection.join(&self.group), "the membership ended with the former connection");
        self.report(Call::Open(connection.attempt()));
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        panic!("{error}");
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, close: Close) {
        self.report(Call::Close(close.code));
    }

    fn on_reconnect(&mut self, connection: &mut Connection<'_, Self>, reconnection: Reconnection) {
        self.report(Call::Reconnect(reconnection.attempt, reconnection.error));
        (self.at_reconnect)(connection);
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, data: Self::Data, error: DialError) {
        assert_eq!(data, "mine");
        self.report(Call::ConnectError(error));
    }
}

/// An event loop in a thread, which has one client.
struct Running {
    handle: Handle<Client>,
    calls: mpsc::Receiver<Call>,
    task: Task<()>,
}

impl Running {
    fn next(&self) -> Call {
        self.calls.recv_timeout(BOUND).expect("something happens in time")
    }

    fn open(&self) -> u32 {
        match self.next() {
            Call::Open(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    fn connect_error(&self) -> DialError {
        match self.next() {
            Call::ConnectError(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Stops the loop. Returns the calls that were not expected.
    fn stop(self) -> Vec<Call> {
        self.handle.stop().unwrap();
        self.task.join();
        self.calls.try_iter().collect()
    }
}

fn connect(connector: &Connector, url: &str) -> Running {
    connect_with(connector, url, |_| ())
}

fn connect_with(connector: &Connector, url: &str, at_reconnect: fn(&mut Connection<'_, Client>)) -> Running {
    let (sender, calls) = mpsc::channel();
    let client = Client { calls: sender, group: Group::new(), at_reconnect };
    let mut event_loop = EventLoop::new(client).unwrap();
    event_loop.connect_with(connector, url.parse().unwrap(), "mine").unwrap();
    let handle = event_loop.handle();
    Running { handle, calls, task: spawn(move || event_loop.run().unwrap()) }
}

/// A policy that waits for at most a few milliseconds.
fn soon() -> ReconnectPolicy {
    ReconnectPolicy::default().first_delay(Duration::from_millis(2)).max_delay(Duration::from_millis(2))
}

#[test]
fn two_silent_addresses_do_not_use_up_the_opening_timeout() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| while ws.read().is_ok() {});
        let ((first, _first), (second, _second)) = (silent_address(), silent_address());
        // each of the silent addresses alone would take the whole opening timeout
        let config = Config::default().opening_timeout(Duration::from_secs(8));
        let connector = connector_to(&[first, second, address]).config(config);
        let client = connect(&connector, "ws://localhost/");
        assert_eq!(client.open(), 1);
        client.stop();
        peer.join();
    });
}

#[test]
fn silent_addresses_are_listed_when_the_opening_timeout_has_passed() {
    bounded(|| {
        let (silent, _kept) = silent_address();
        let connector = connector_to(&[silent]).config(Config::default().opening_timeout(SHORT));
        let client = connect(&connector, "ws://localhost/");
        let DialError::Unreachable(attempts) = client.connect_error() else { panic!() };
        assert_eq!(attempts.iter().map(|attempt| attempt.address).collect::<Vec<_>>(), [silent]);
        assert!(client.stop().is_empty());
    });
}

#[test]
fn a_name_is_looked_up_without_blocking_the_loop() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| while ws.read().is_ok() {});
        let client = connect(&Connector::new(), &format!("ws://localhost:{}/", address.port()));
        client.open();
        client.stop();
        peer.join();
        // a label of more than 63 characters exists nowhere (RFC 1035 section 2.3.4), so no query leaves this machine
        let name = "x".repeat(64);
        let client = connect(&Connector::new(), &format!("ws://{name}/"));
        let error = client.connect_error();
        assert!(matches!(&error, DialError::Name { host, .. } if *host == name), "{error:?}");
        assert!(client.stop().is_empty());
    });
}

#[test]
fn the_resolver_of_the_application_is_asked_and_may_hang_without_blocking_the_loop() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| while ws.read().is_ok() {});
        let (end, hangs) = mpsc::channel::<()>();
        let hangs = Mutex::new(hangs);
        let connector =
            Connector::new().config(Config::default().opening_timeout(SHORT)).resolver(move |destination| {
                if destination.host() == "hangs.example" {
                    // until the end of the test
                    let _ = hangs.lock().unwrap().recv();
                }
                Ok(vec![address])
            });
        let client = connect(&connector, "ws://hangs.example/");
        let error = client.connect_error();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Name, limit: SHORT }), "{error:?}");
        assert!(client.stop().is_empty());
        drop(end);
        let client = connect(&connector, "ws://server.example/");
        client.open();
        client.stop();
        peer.join();
    });
}

#[test]
fn redirects_are_followed_up_to_the_limit_and_credentials_stay_with_their_origin() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| while ws.read().is_ok() {});
        let (first, requests) = responding([redirect(&format!("ws://{address}/second"))]);
        let connector = Connector::new().dial(DialOptions::default().max_redirects(1));
        let client = connect(&connector, &format!("ws://user:secret@{first}/first"));
        assert_eq!(client.open(), 1);
        client.stop();
        peer.join();
        let requests = requests.join();
        assert!(requests[0].starts_with("GET /first ") && requests[0].contains("\r\nAuthorization: Basic "));

        let (second, second_requests) = responding([refusal(404, "")]);
        let (first, _requests) = responding([redirect(&format!("http://{second}/"))]);
        let client = connect(&connector, &format!("ws://user:secret@{first}/"));
        let error = client.connect_error();
        assert_eq!(
            (error.layer(), error.response().map(|response| response.status())),
            (Some(FailedLayer::Http), Some(404))
        );
        assert!(!second_requests.join()[0].contains("Authorization"));
        assert!(client.stop().is_empty());

        let (first, _requests) = responding([redirect("ws://server.invalid/")]);
        let client = connect(&Connector::new(), &format!("ws://{first}/"));
        assert_eq!(client.connect_error().response().map(|response| response.status()), Some(302));
        assert!(client.stop().is_empty());
    });
}

#[test]
#[cfg(unix)]
fn a_unix_socket_is_reached() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("sansocket-mio-dialing-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let peer = spawn(move || {
            let mut ws = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            while ws.read().is_ok() {}
        });
        let url = format!("ws+unix:{}:/chat", path.display());
        let client = connect(&Connector::new(), &url);
        client.open();
        client.stop();
        peer.join();
        std::fs::remove_file(&path).unwrap();
        let client = connect(&Connector::new(), &url);
        assert!(matches!(client.connect_error(), DialError::UnixSocket { .. }));
        assert!(client.stop().is_empty());
    });
}

#[test]
fn a_lost_connection_is_made_again_until_the_application_ends_it() {
    bounded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = spawn(move || {
            // lost, closed, and open until the client closes
            reset(tungstenite::accept(listener.accept().unwrap().0).unwrap().into_inner());
            let mut ws = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            ws.close(None).unwrap();
            while ws.read().is_ok() {}
            drop(ws);
            let mut ws = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            while ws.read().is_ok() {}
            listener.set_nonblocking(true).unwrap();
            listener.accept().is_err()
        });
        let client = connect(&Connector::new().reconnect(soon()), &format!("ws://{address}/"));
        for (attempt, code) in [(1, CloseCode::ABNORMAL), (2, CloseCode::NO_STATUS)] {
            assert_eq!(client.open(), attempt);
            match client.next() {
                Call::Close(closed) => assert_eq!(closed, code),
                other => panic!("{other:?}"),
            }
            assert!(matches!(client.next(), Call::Reconnect(next, None) if next == attempt + 1));
        }
        assert_eq!(client.open(), 3);
        let calls = client.stop();
        assert!(matches!(calls[..], [Call::Close(CloseCode::GOING_AWAY)]), "{calls:?}");
        assert!(peer.join(), "no further attempt");
    });
}

#[test]
fn an_attempt_that_fails_is_repeated_unless_the_server_refuses_for_good() {
    bounded(|| {
        let responses = [refusal(503, "Retry-After: 0\r\n"), refusal(429, ""), refusal(404, "")];
        let (address, requests) = responding(responses);
        let client = connect(&Connector::new().reconnect(soon()), &format!("ws://{address}/"));
        for (attempt, status) in [(2, 503), (3, 429)] {
            match client.next() {
                Call::Reconnect(next, Some(error)) => {
                    assert_eq!((next, error.response().unwrap().status()), (attempt, status));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(client.connect_error().response().unwrap().status(), 404);
        assert_eq!(requests.join().len(), 3);
        assert!(client.stop().is_empty());
    });
}

#[test]
fn a_client_gives_up_after_the_most_attempts() {
    bounded(|| {
        let (closed, _in_use) = closed_port();
        let connector = Connector::new().reconnect(soon().max_attempts(2));
        let client = connect(&connector, &format!("ws://{closed}/"));
        for attempt in [2, 3] {
            assert!(matches!(client.next(), Call::Reconnect(next, Some(_)) if next == attempt));
        }
        assert!(matches!(client.connect_error(), DialError::Unreachable(_)));
        assert!(client.stop().is_empty());
    });
}

#[test]
fn a_client_that_waits_to_connect_again_can_be_closed_aborted_or_stopped() {
    bounded(|| {
        let ends: [fn(&mut Connection<'_, Client>); 3] = [
            |connection| connection.close(CloseCode::NORMAL, "").unwrap(),
            |connection| connection.abort(),
            |connection| connection.connections().stop(),
        ];
        for end in ends {
            let (closed, _in_use) = closed_port();
            let connector =
                Connector::new().reconnect(ReconnectPolicy::default().first_delay(Duration::from_secs(3600)));
            let client = connect_with(&connector, &format!("ws://{closed}/"), end);
            assert!(matches!(client.next(), Call::Reconnect(2, Some(_))));
            // the loop may have stopped
            let _ = client.handle.stop();
            client.task.join();
            let calls: Vec<_> = client.calls.try_iter().collect();
            assert!(calls.is_empty(), "{calls:?}");
        }
    });
}
