//! Loops that run together: they share a port, broadcasts, and their end.

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use sansocket_mio::{Close, Connection, ConnectionId, Handler, Message, Open, Options, Threads};
use support::*;
use tungstenite::Message as Theirs;

/// Broadcasts every message.
struct Broadcaster {
    report: mpsc::Sender<(usize, ConnectionId)>,
    thread: usize,
}

impl Handler for Broadcaster {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.report.send((self.thread, connection.id())).unwrap();
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        connection.connections().broadcast(message).unwrap();
    }
}

#[test]
fn loops_that_run_together_share_a_port_and_a_broadcast() {
    const COUNT: usize = 40;
    bounded(|| {
        let (report, opened) = mpsc::channel();
        let handler = |thread| Broadcaster { report: report.clone(), thread };
        let threads = Threads::start(3, &Options::new(), "127.0.0.1:0", handler).unwrap();
        let mut clients: Vec<_> = (0..COUNT).map(|_| client(threads.local_addr())).collect();
        let ids: Vec<_> = (0..COUNT).map(|_| opened.recv_timeout(BOUND).unwrap()).collect();
        assert!(ids.iter().all(|(thread, id)| *thread == id.thread()));
        assert!((1..3).any(|thread| ids.iter().any(|&(on, _)| on == thread)), "all on one thread: {ids:?}");
        clients[0].send(Theirs::text("Hello to all")).unwrap();
        for client in &mut clients {
            assert_eq!(client.read().unwrap(), Theirs::text("Hello to all"));
        }
        threads.handle().broadcast("from outside").unwrap();
        for client in &mut clients {
            assert_eq!(client.read().unwrap(), Theirs::text("from outside"));
        }
        let handle = threads.handle();
        let reading = spawn(move || clients.iter_mut().for_each(|client| while client.read().is_ok() {}));
        handle.stop().unwrap();
        threads.join().unwrap();
        reading.join();
    });
}

#[test]
fn loops_do_not_share_their_port_with_other_sockets() {
    bounded(|| {
        let start = |count, address| Threads::start(count, &Options::new(), address, |_| Silent);
        for first in [1, 2] {
            let threads = start(first, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            for second in [1, 2] {
                let error = start(second, threads.local_addr()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{first} and {second}");
            }
            let address = threads.local_addr();
            let client = client(address);
            threads.handle().stop().unwrap();
            drop(client);
            threads.join().unwrap();
            // the next listener need not wait until TCP has forgotten old connections
            let again = start(2, address).unwrap();
            again.handle().stop().unwrap();
            again.join().unwrap();
        }
    });
}

struct Silent;

impl Handler for Silent {
    type Data = ();
    type Event = ();
}

/// Panics at a message, and again when it is stopped because of that.
struct Fragile(mpsc::Sender<ConnectionId>);

impl Handler for Fragile {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.0.send(connection.id()).unwrap();
    }

    fn on_message(&mut self, _: &mut Connection<'_, Self>, message: Message<'_>) {
        panic!("{}", message.as_text().unwrap());
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, close: Close) {
        panic!("closed with {}", close.code);
    }
}

#[test]
fn if_one_loop_fails_the_others_stop() {
    bounded(|| {
        let (report, opened) = mpsc::channel();
        let threads = Threads::start(2, &Options::new(), "127.0.0.1:0", |_| Fragile(report.clone())).unwrap();
        // until each loop has a client
        let mut clients = [vec![], vec![]];
        while clients.iter().any(Vec::is_empty) {
            let client = client(threads.local_addr());
            clients[opened.recv_timeout(BOUND).unwrap().thread()].push(client);
        }
        let [polite, lost] = &mut clients;
        lost[0].send(Theirs::text("the first failure")).unwrap();
        let Theirs::Close(Some(frame)) = polite[0].read().unwrap() else { panic!("no Close") };
        assert_eq!(u16::from(frame.code), 1001);
        while polite[0].read().is_ok() {}
        assert!(lost[0].read().is_err());
        // the server waits for the end of TCP
        drop(clients);
        let failure = catch_unwind(AssertUnwindSafe(|| threads.join())).unwrap_err();
        assert_eq!(failure.downcast_ref::<String>().unwrap(), "the first failure");
    });
}
