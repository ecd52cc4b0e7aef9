//! The services of an event loop for its handler and for other threads: handles, broadcast, stopping, idling.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sansocket_mio::dial::FailedLayer;
use sansocket_mio::{
    Accept, Answer, CloseCode, Connection, DialError, Error, EventLoop, Handler, HttpResponse, Request,
};
use support::*;
use tungstenite::Message as Theirs;

#[test]
fn a_handle_sends_and_closes_from_another_thread() {
    bounded(|| {
        let server = serve(|_| ());
        let mut client = client(server.address);
        let id = server.open();
        let sending = spawn({
            let handle = server.handle.clone();
            move || {
                for number in 0..1_000 {
                    handle.send(id, number.to_string()).unwrap();
                }
                handle.close(id, CloseCode::NORMAL, "done").unwrap();
                // too late, which is harmless
                handle.send(id, "lost").unwrap();
            }
        });
        for number in 0..1_000 {
            assert_eq!(client.read().unwrap(), Theirs::text(number.to_string()));
        }
        assert!(matches!(client.read().unwrap(), Theirs::Close(Some(_))));
        while client.read().is_ok() {}
        drop(client);
        sending.join();
        assert!(server.close().was_clean);
        // another connection takes its slot, and is not addressed by the old name
        let mut next = self::client(server.address);
        let next_id = server.open();
        assert_ne!(next_id, id);
        assert_eq!(next_id.index(), id.index());
        server.handle.send(id, "for another").unwrap();
        server.handle.close(id, CloseCode::NORMAL, "").unwrap();
        server.handle.send(next_id, "for you").unwrap();
        assert_eq!(next.read().unwrap(), Theirs::text("for you"));
        drop(next);
        server.stop();
    });
}

#[test]
fn a_stopped_loop_refuses_commands() {
    bounded(|| {
        let server = serve(|_| ());
        let handle = server.handle.clone();
        server.stop();
        // the loop's thread drops it when it has ended
        while handle.broadcast("anyone?").is_ok() {
            std::thread::yield_now();
        }
        assert!(handle.stop().is_err());
    });
}

#[test]
fn a_broadcast_reaches_all_open_connections() {
    bounded(|| {
        let server = serve(|_| ());
        let mut clients: Vec<_> = (0..100).map(|_| client(server.address)).collect();
        for _ in &clients {
            server.open();
        }
        let _opening = tcp(server.address);
        for payload in [vec![1; 20], vec![2; 300], vec![3; 100_000], vec![4; 3 << 20]] {
            server.handle.broadcast(&payload).unwrap();
            for client in &mut clients {
                assert!(client.read().unwrap() == Theirs::binary(payload.clone()));
            }
        }
        server.stop_and_drop(clients);
    });
}

#[test]
fn stopping_closes_all_connections_and_accepts_no_new_ones() {
    bounded(|| {
        let server = serve(|config| config.closing_timeout = Duration::from_secs(1));
        let mut polite = client(server.address);
        server.open();
        let mut deaf = raw_client(server.address);
        let deaf_id = server.open();
        let mut asking = tcp(server.address);
        asking.write_all(b"GET ").unwrap();
        server.handle.send(deaf_id, "before").unwrap();
        let began = Instant::now();
        server.handle.stop().unwrap();
        let Theirs::Close(Some(frame)) = polite.read().unwrap() else { panic!() };
        assert_eq!(u16::from(frame.code), 1001);
        while polite.read().is_ok() {}
        assert_eq!(read_rest(&mut deaf), b"\x81\x06before\x88\x02\x03\xe9");
        // the kernel resets it if its bytes were not read
        let _ = asking.read_to_end(&mut Vec::new());
        let address = server.address;
        let closed = [server.close(), server.close()];
        assert_eq!(closed.iter().filter(|close| close.was_clean).count(), 1, "{closed:?}");
        server.join();
        assert!((SHORT..Duration::from_secs(10)).contains(&began.elapsed()));
        assert!(std::net::TcpStream::connect(address).is_err());
    });
}

#[test]
fn a_loop_with_idle_connections_sleeps() {
    const COUNT: usize = 1_000;
    bounded(|| {
        let (seen, receiver) = mpsc::channel();
        let recorder = Recorder::new(seen);
        let mut event_loop = EventLoop::new(recorder).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let clients = spawn(move || (0..COUNT).map(|_| raw_client(address)).collect::<Vec<_>>());
        let mut open = 0;
        while open < COUNT {
            event_loop.turn(None).unwrap();
            open += receiver.try_iter().filter(|seen| matches!(seen, Seen::Open(_))).count();
        }
        let _clients = clients.join();
        assert_eq!(event_loop.connections().len(), COUNT);
        // finish the remaining work
        event_loop.turn(Some(SHORT)).unwrap();
        // one turn is one poll: it must last for the whole time
        let began = Instant::now();
        event_loop.turn(Some(Duration::from_secs(2))).unwrap();
        assert!(began.elapsed() >= Duration::from_secs(2), "woken after {:?}", began.elapsed());
    });
}

#[test]
fn a_request_can_be_answered_later() {
    bounded(|| {
        let server = serve_with(|_| (), |recorder| recorder.answers_later = true);
        let ask = |bytes: &[u8]| {
            let mut stream = tcp(server.address);
            stream.write_all(bytes).unwrap();
            let id = server.wait(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
            (stream, id)
        };
        // the bytes that came with the request are the first message
        let (mut stream, id) = ask(&[REQUEST.as_bytes(), HELLO].concat());
        server.handle.answer(id, Accept::new()).unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        expect(&mut stream, b"\x81\x05Hello");
        // later bytes are the next message
        stream.write_all(HELLO).unwrap();
        expect(&mut stream, b"\x81\x05Hello");
        let (mut stream, id) = ask(REQUEST.as_bytes());
        server.handle.answer(id, HttpResponse::new(401)).unwrap();
        assert!(String::from_utf8(read_rest(&mut stream)).unwrap().starts_with("HTTP/1.1 401 "));
        // an answer that is not valid
        let (mut stream, id) = ask(REQUEST.as_bytes());
        server.handle.answer(id, Accept::new().protocol("never offered")).unwrap();
        assert!(String::from_utf8(read_rest(&mut stream)).unwrap().starts_with("HTTP/1.1 500 "));
        assert!(matches!(server.error(), Error::Answer(_)));
    });
}

/// Stops the loop when a client sends a request, and then answers it nevertheless.
struct Quitter(mpsc::Sender<Error>);

impl Handler for Quitter {
    type Data = ();
    type Event = ();

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, _: &Request) -> Answer {
        connection.connections().stop();
        Accept::new().into()
    }

    fn on_http_request(&mut self, connection: &mut Connection<'_, Self>, _: &Request) -> Answer {
        connection.connections().stop();
        HttpResponse::new(404).into()
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        self.0.send(error).unwrap();
    }
}

#[test]
fn an_answer_to_a_request_of_an_ending_connection_is_no_error() {
    bounded(|| {
        let (report, errors) = mpsc::channel();
        for request in [REQUEST, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let mut event_loop = EventLoop::new(Quitter(report.clone())).unwrap();
            let address = event_loop.listen("127.0.0.1:0").unwrap();
            let running = spawn(move || event_loop.run().unwrap());
            let mut stream = tcp(address);
            stream.write_all(request.as_bytes()).unwrap();
            assert!(String::from_utf8(read_rest(&mut stream)).unwrap().starts_with("HTTP/1.1 503 "));
            drop(stream);
            running.join();
        }
        drop(report);
        assert!(errors.recv().is_err(), "an error was reported");
    });
}

#[test]
fn an_answer_that_comes_after_the_end_is_no_error() {
    bounded(|| {
        let server = serve_with(|_| (), |recorder| recorder.answers_later = true);
        let mut stream = tcp(server.address);
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let id = server.wait(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
        server.handle.stop().unwrap();
        // an error only if the loop has ended
        let _ = server.handle.answer(id, Accept::new());
        assert!(String::from_utf8(read_rest(&mut stream)).unwrap().starts_with("HTTP/1.1 503 "));
        drop(stream);
        let seen = server.join_and_drain();
        assert!(seen.is_empty(), "{seen:?}");
    });
}

#[test]
fn a_connection_that_the_application_ends_before_it_opens_is_not_reported() {
    bounded(|| {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let (seen, events) = mpsc::channel();
        let recorder = Recorder::new(seen);
        let mut event_loop = EventLoop::new(recorder).unwrap();
        let server = event_loop.listen("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", silent.local_addr().unwrap());
        let [closed, _stopped] = [0; 2].map(|_| event_loop.connect(&url).unwrap());
        let _silent_client = tcp(server);
        while event_loop.connections().len() < 3 {
            event_loop.turn(None).unwrap();
        }
        event_loop.connections().get(closed).unwrap().close(CloseCode::NORMAL, "").unwrap();
        event_loop.turn(None).unwrap();
        assert_eq!(event_loop.connections().len(), 2);
        event_loop.connections().stop();
        event_loop.run().unwrap();
        drop(event_loop);
        let seen: Vec<_> = events.iter().collect();
        assert!(seen.is_empty(), "{seen:?}");
    });
}

#[test]
fn after_an_address_that_refuses_the_next_is_tried() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| while ws.read().is_ok() {});
        let (closed, _in_use) = closed_port();
        let client = run(
            &options(|_| ()),
            |_| (),
            |event_loop| {
                let target = "ws://localhost/".parse().unwrap();
                event_loop.connect_with(&connector_to(&[closed, address]), target, ()).unwrap();
            },
        );
        let id = client.open();
        client.handle.close(id, CloseCode::NORMAL, "").unwrap();
        assert!(client.close().was_clean);
        peer.join();

        let client = run(
            &options(|_| ()),
            |_| (),
            |event_loop| {
                event_loop.connect(&format!("ws://{closed}/")).unwrap();
            },
        );
        let DialError::Unreachable(attempts) = client.connect_error() else { panic!() };
        assert_eq!(attempts[0].error.kind(), std::io::ErrorKind::ConnectionRefused);
        client.stop();
    });
}

#[test]
fn a_connection_to_a_server_that_never_answers_ends() {
    bounded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let client = run(
            &options(|config| config.opening_timeout = SHORT),
            |_| (),
            |event_loop| {
                event_loop.connect(&url).unwrap();
            },
        );
        let error = client.connect_error();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Http, .. }), "{error:?}");
        client.stop();
    });
}

/// Aborts surplus clients before they have sent anything.
struct Doorkeeper {
    came: mpsc::Sender<Option<SocketAddr>>,
    room: usize,
}

impl Handler for Doorkeeper {
    type Data = ();
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        self.came.send(connection.peer_addr().ok()).unwrap();
        if connection.connections().len() > self.room {
            connection.close(CloseCode::TRY_AGAIN_LATER, "").unwrap();
        }
    }
}

#[test]
fn on_accept_comes_before_the_request() {
    bounded(|| {
        let (came, comes) = mpsc::channel();
        let mut event_loop = EventLoop::new(Doorkeeper { came, room: 1 }).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let handle = event_loop.handle();
        let running = spawn(move || event_loop.run().unwrap());

        let mut first = tcp(address);
        assert_eq!(comes.recv_timeout(BOUND).unwrap(), first.local_addr().ok());
        let mut second = tcp(address);
        assert_eq!(comes.recv_timeout(BOUND).unwrap(), second.local_addr().ok());
        assert_eq!(read_rest(&mut second), b"");
        first.write_all(REQUEST.as_bytes()).unwrap();
        assert!(read_head(&mut first).starts_with("HTTP/1.1 101 "));
        drop(first);
        handle.stop().unwrap();
        running.join();
    });
}

impl Running {
    /// Waits for the loop's end. Returns the events that the test has not taken.
    fn join_and_drain(mut self) -> Vec<Seen> {
        let (_, nothing) = mpsc::channel();
        let seen = std::mem::replace(&mut self.seen, nothing);
        self.join();
        seen.iter().collect()
    }

    fn stop_and_drop<T>(self, clients: T) {
        drop(clients);
        self.stop();
    }
}
