//! Listeners: stopping them from another thread, waiting for their connections, limiting their number.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sansocket_net::{Accept, Acceptor, Event, HttpResponse, Incoming, Listener, ReadOutcome, WebSocket};
use support::*;

/// Returns listeners at the kinds of addresses that this machine has.
fn listeners() -> Vec<Listener> {
    let all = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"];
    // A machine may have no IPv6.
    let listeners: Vec<_> = all.iter().filter_map(|address| Listener::bind(address).ok()).collect();
    assert!(listeners.len() >= 2);
    listeners
}

/// Starts a thread that accepts until the listener is stopped, and returns when it is about to wait.
fn accepting(listener: &Arc<Listener>) -> Task<Option<Incoming>> {
    let (listener, (begin, begun)) = (Arc::clone(listener), std::sync::mpsc::channel());
    let task = spawn(move || {
        begin.send(()).unwrap();
        listener.accept().unwrap()
    });
    begun.recv_timeout(BOUND).unwrap();
    task
}

#[test]
fn a_stop_ends_accept_in_every_thread_at_addresses_of_every_kind() {
    bounded(|| {
        for listener in listeners() {
            let listener = Arc::new(listener);
            let stopper = listener.stopper();
            assert!(!stopper.is_stopped());
            let threads = [(); 4].map(|()| accepting(&listener));
            // Most threads wait by now. The others must end as well.
            thread::yield_now();
            stopper.stop();
            assert!(threads.into_iter().all(|thread| thread.join().is_none()));
            assert!(stopper.clone().is_stopped());
        }
    });
}

#[test]
fn a_stop_before_accept_takes_effect_even_if_clients_wait() {
    bounded(|| {
        for listener in listeners() {
            let port = listener.local_addr().unwrap().port();
            let host = if listener.local_addr().unwrap().is_ipv6() { "[::1]" } else { "127.0.0.1" };
            let _waiting = TcpStream::connect(format!("{host}:{port}")).unwrap();
            listener.stopper().stop();
            listener.stopper().stop();
            assert!(listener.accept().unwrap().is_none());
            assert!(listener.incoming().next().is_none());
        }
    });
}

#[test]
fn threads_that_share_a_listener_accept_each_client_once() {
    const CLIENTS: usize = 40;
    bounded(|| {
        let (listener, address) = listen();
        let listener = Arc::new(listener);
        let stopper = listener.stopper();
        let servers = [(); 4].map(|()| {
            let listener = Arc::clone(&listener);
            spawn(move || {
                listener.incoming().map(|incoming| echo(incoming.unwrap().accept().unwrap())).collect::<Vec<_>>().len()
            })
        });
        let clients = [(); CLIENTS].map(|()| spawn(move || connect(address).finish().unwrap()));
        assert!(clients.into_iter().all(|client| client.join().was_clean));
        stopper.stop();
        assert_eq!(servers.into_iter().map(Task::join).sum::<usize>(), CLIENTS);
    });
}

#[test]
fn a_stopper_may_outlive_its_listener() {
    let stopper = listen().0.stopper();
    stopper.stop();
    assert!(stopper.is_stopped());
}

/// The streams of accepted clients block, though the listening socket does not.
#[test]
fn accepted_streams_block() {
    bounded(|| {
        let (listener, address) = listen();
        let _client = TcpStream::connect(address).unwrap();
        let mut incoming = accept(&listener);
        incoming.stream().set_read_timeout(Some(SHORT)).unwrap();
        let started = std::time::Instant::now();
        incoming.stream_mut().read(&mut [0]).unwrap_err();
        assert!(started.elapsed() >= SHORT / 2);
    });
}

#[test]
fn drain_waits_for_connections_that_their_threads_end() {
    bounded(|| {
        let (listener, address) = listen();
        let stopper = listener.stopper();
        let server = spawn(move || {
            for incoming in listener.incoming() {
                let (incoming, stopper) = (incoming.unwrap(), listener.stopper());
                thread::spawn(move || {
                    let mut ws = incoming.accept().unwrap();
                    loop {
                        match ws.read_timeout(Duration::from_millis(10)).unwrap() {
                            ReadOutcome::Event(Event::Message(message)) => {
                                let message = message.into_owned();
                                ws.send(message).unwrap();
                            }
                            ReadOutcome::Event(_) => {}
                            ReadOutcome::Pending if stopper.is_stopped() => return drop(ws.finish()),
                            ReadOutcome::Pending => {}
                            ReadOutcome::Ended => return,
                        }
                    }
                });
            }
            (listener.drain(Duration::MAX), listener)
        });
        let mut clients = [(); 3].map(|()| connect(address));
        for client in &mut clients {
            client.send("Hello").unwrap();
            message(client);
        }
        stopper.stop();
        for mut client in clients {
            assert!(close(&mut client).was_clean);
        }
        assert_eq!(server.join().0, 0);
    });
}

#[test]
fn drain_stops_the_listener_and_counts_what_remains() {
    bounded(|| {
        let (listener, address) = listen();
        let _clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
        let mut incoming = Vec::from([(); 3].map(|()| accept(&listener)));
        assert_eq!(listener.drain(SHORT), 3);
        assert!(listener.accept().unwrap().is_none());
        incoming.pop();
        assert_eq!(listener.drain(Duration::ZERO), 2);
        incoming.clear();
        assert_eq!(listener.drain(Duration::ZERO), 0);
    });
}

/// Returns whether a response arrives within `timeout`.
fn is_answered(client: &mut TcpStream, timeout: Duration) -> bool {
    client.set_read_timeout(Some(timeout)).unwrap();
    client.read(&mut [0; 1024]).is_ok()
}

fn request(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    client
}

/// Starts a server that drives each connection in a thread. A split connection counts while one of its halves exists.
fn start(listener: Listener, is_split: bool) {
    thread::spawn(move || {
        for incoming in listener.incoming() {
            let incoming = incoming.unwrap();
            thread::spawn(move || {
                let mut ws = incoming.accept().unwrap();
                if is_split {
                    let (mut reader, _writer) = ws.split().unwrap();
                    while reader.read().unwrap().is_some() {}
                } else {
                    while ws.read().unwrap().is_some() {}
                }
            });
        }
    });
}

#[test]
fn clients_beyond_max_connections_wait_until_others_have_ended() {
    bounded(|| {
        for is_split in [false, true] {
            let (listener, address) = listen_with(Acceptor::new().max_connections(2));
            start(listener, is_split);
            let mut first = [(); 2].map(|()| request(address));
            assert!(first.iter_mut().all(|client| is_answered(client, BOUND)));
            let mut waiting = [(); 2].map(|()| request(address));
            let mut answered =
                || waiting.iter_mut().filter_map(|client| is_answered(client, SHORT).then_some(())).count();
            assert_eq!(answered(), 0);
            let [gone, mut staying] = first;
            drop(gone);
            assert_eq!(std::iter::repeat_with(&mut answered).find(|&count| count > 0), Some(1));
            staying.write_all(CLOSE).unwrap();
            drop(staying);
            assert_eq!(std::iter::repeat_with(answered).find(|&count| count > 0), Some(1));
        }
    });
}

#[test]
fn a_stop_ends_an_accept_that_waits_for_others_to_end() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().max_connections(1));
        let listener = Arc::new(listener);
        let _clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
        let first = accept(&listener);
        let second = accepting(&listener);
        thread::yield_now();
        listener.stopper().stop();
        assert!(second.join().is_none());
        drop(first);
    });
}

/// However a connection ends, it counts until then, and not afterwards.
#[test]
fn every_end_of_a_connection_returns_its_permit() {
    fn accepted(incoming: Incoming) -> WebSocket {
        incoming.accept().unwrap()
    }
    type End = fn(Incoming);
    let ends: [(&str, End); 12] = [
        ("dropped before the request was read", drop),
        ("answered", |incoming| incoming.respond(HttpResponse::new(404)).unwrap()),
        ("refused", |incoming| drop(incoming.accept_with(Accept::new().protocol("not offered")).unwrap_err())),
        ("dropped", |incoming| drop(accepted(incoming))),
        ("aborted", |incoming| accepted(incoming).abort()),
        ("finished", |incoming| drop(accepted(incoming).finish().unwrap())),
        ("taken apart", |incoming| drop(accepted(incoming).into_stream())),
        ("reader dropped first", |incoming| {
            let (reader, writer) = accepted(incoming).split().unwrap();
            drop(reader);
            drop((writer.clone(), writer));
        }),
        ("writer dropped first", |incoming| {
            let (reader, writer) = accepted(incoming).split().unwrap();
            drop(writer);
            drop(reader);
        }),
        ("writer aborted", |incoming| {
            let (mut reader, writer) = accepted(incoming).split().unwrap();
            writer.abort();
            while reader.read().unwrap().is_some() {}
        }),
        ("reader finished", |incoming| {
            let (reader, _writer) = accepted(incoming).split().unwrap();
            reader.finish().unwrap();
        }),
        ("thread panicked", |incoming| {
            let _ws = accepted(incoming);
            std::panic::resume_unwind(Box::new("as expected"));
        }),
    ];
    bounded(move || {
        for (name, end) in ends {
            let (listener, address) = listen_with(Acceptor::new().max_connections(1));
            let mut client = request(address);
            // Some ends reset TCP.
            let client = spawn(move || _ = client.write_all(CLOSE).and_then(|()| client.read_to_end(&mut Vec::new())));
            let incoming = accept(&listener);
            assert_eq!(listener.drain(Duration::ZERO), 1, "{name}");
            let _ = thread::spawn(move || end(incoming)).join();
            assert_eq!(listener.drain(Duration::ZERO), 0, "{name}");
            client.join();
        }
    });
}

#[test]
fn a_connection_outlives_its_listener() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().max_connections(1));
        let client = spawn(move || connect(address).finish().unwrap());
        let incoming = accept(&listener);
        drop(listener);
        assert!(echo(incoming.accept().unwrap()).was_clean);
        assert!(client.join().was_clean);
    });
}
