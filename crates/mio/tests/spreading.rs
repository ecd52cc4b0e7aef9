//! Loops that run together get even shares of the clients, however the system distributes them.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use sansocket_mio::{Connection, Connections, Handler, ListenOptions, Options, Threads};
use support::*;

/// A change of a loop's connections.
#[derive(Debug, PartialEq)]
enum Report {
    Accepted(usize, SocketAddr),
    Ended(usize),
    Stopped,
}

/// What a loop is to do.
enum Order {
    /// To do nothing until the sender is dropped.
    Hold(mpsc::Receiver<()>),
    /// To do nothing until the sender is dropped, and then to stop.
    Stop(mpsc::Receiver<()>),
}

/// The data of a connection: reports its end.
#[derive(Default)]
struct Lifetime(Option<(usize, mpsc::Sender<Report>)>);

impl Drop for Lifetime {
    fn drop(&mut self) {
        if let Some((thread, reports)) = self.0.take() {
            // the test may be over
            let _ = reports.send(Report::Ended(thread));
        }
    }
}

/// The handler of a loop.
struct Reporter {
    thread: usize,
    reports: mpsc::Sender<Report>,
}

impl Handler for Reporter {
    type Data = Lifetime;
    type Event = Order;

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        assert_eq!(connection.id().thread(), self.thread);
        connection.data_mut().0 = Some((self.thread, self.reports.clone()));
        let _ = self.reports.send(Report::Accepted(self.thread, connection.peer_addr().unwrap()));
    }

    fn on_event(&mut self, connections: &mut Connections<Self>, order: Order) {
        let (Order::Hold(until) | Order::Stop(until)) = &order;
        let _ = until.recv_timeout(BOUND);
        if matches!(order, Order::Stop(_)) {
            connections.stop();
            let _ = self.reports.send(Report::Stopped);
        }
    }
}

/// Loops, and their clients.
struct Loops {
    threads: Threads<Reporter>,
    reports: mpsc::Receiver<Report>,
    clients: Vec<Vec<TcpStream>>,
}

impl Loops {
    /// Starts loops among which the system distributes the clients.
    fn start(count: u16) -> Self {
        Self::new(count, |reporter| Threads::start(count, &Options::new(), "127.0.0.1:0", reporter).unwrap())
    }

    /// Starts loops of which the first accepts all clients: the worst distribution that a system can choose.
    fn start_on_one(count: u16, options: &Options, listen_options: &ListenOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::new(count, |reporter| Threads::start_on(count, options, listener, listen_options, reporter).unwrap())
    }

    fn new(count: u16, start: impl FnOnce(&mut dyn FnMut(usize) -> Reporter) -> Threads<Reporter>) -> Self {
        let (sender, reports) = mpsc::channel();
        let threads = start(&mut |thread| Reporter { thread, reports: sender.clone() });
        Self { threads, reports, clients: (0..count).map(|_| Vec::new()).collect() }
    }

    fn next(&self) -> Report {
        self.reports.recv_timeout(BOUND).expect("something happens in time")
    }

    /// Opens the connection of a client, and returns its loop.
    fn connect(&mut self) -> usize {
        let client = raw_client(self.threads.local_addr());
        let Report::Accepted(thread, peer) = self.next() else { panic!("no client was accepted") };
        assert_eq!(peer, client.local_addr().unwrap());
        self.clients[thread].push(client);
        thread
    }

    /// Ends the clients of a loop.
    fn disconnect(&mut self, thread: usize) {
        for client in self.clients[thread].drain(..) {
            drop(client);
            assert_eq!(self.reports.recv_timeout(BOUND).unwrap(), Report::Ended(thread));
        }
    }

    /// Gives an order to a loop, which waits until the sender is dropped.
    fn order(&self, thread: usize, order: fn(mpsc::Receiver<()>) -> Order) -> mpsc::Sender<()> {
        let (sender, until) = mpsc::channel();
        assert!(self.threads.handle().post(thread, order(until)).is_ok());
        sender
    }

    fn wait_until_pending(&self, commands: usize) {
        while self.threads.handle().pending() != commands {
            std::thread::yield_now();
        }
    }

    fn counts(&self) -> Vec<usize> {
        self.clients.iter().map(Vec::len).collect()
    }

    fn fewest(&self) -> usize {
        self.clients.iter().map(Vec::len).min().unwrap()
    }

    fn end(self) {
        drop(self.clients);
        self.threads.handle().stop().unwrap();
        self.threads.join().unwrap();
    }
}

#[test]
fn a_few_clients_are_spread_evenly_over_the_loops() {
    bounded(|| {
        for count in [2, 4, 8] {
            let one = Loops::start_on_one(count, &Options::new(), &ListenOptions::new());
            for mut loops in [Loops::start(count), one] {
                for _ in 0..2 * count {
                    loops.connect();
                }
                assert_eq!(loops.counts(), vec![2; count.into()]);
                loops.end();
            }
        }
    });
}

#[test]
fn a_loop_that_gets_a_client_has_hardly_more_than_the_others() {
    bounded(|| {
        for count in [2, 4, 8] {
            let one = Loops::start_on_one(count, &Options::new(), &ListenOptions::new());
            for mut loops in [Loops::start(count), one] {
                for _ in 0..40 * count {
                    let fewest = loops.fewest();
                    let thread = loops.connect();
                    let counts = loops.counts();
                    assert!(counts[thread] <= 1 + fewest + fewest / 8, "loop {thread}: {counts:?}");
                }
                loops.end();
            }
        }
    });
}

#[test]
fn a_loop_whose_clients_leave_gets_the_next_ones() {
    bounded(|| {
        let mut loops = Loops::start_on_one(4, &Options::new(), &ListenOptions::new());
        for _ in 0..20 {
            loops.connect();
        }
        for thread in [2, 0] {
            loops.disconnect(thread);
            assert_eq!((0..5).map(|_| loops.connect()).collect::<Vec<_>>(), [thread; 5]);
        }
        loops.end();
    });
}

#[test]
fn clients_that_arrive_at_once_are_spread_evenly_and_all_are_served() {
    const CLIENTS: usize = 400;
    bounded(|| {
        for count in [2, 4, 8] {
            let one = Loops::start_on_one(count, &Options::new(), &ListenOptions::new());
            for loops in [Loops::start(count), one] {
                let mut clients: Vec<_> = (0..CLIENTS).map(|_| tcp(loops.threads.local_addr())).collect();
                for client in &mut clients {
                    client.write_all(REQUEST.as_bytes()).unwrap();
                }
                for client in &mut clients {
                    assert!(read_head(client).starts_with("HTTP/1.1 101 "));
                }
                let mut counts = vec![0; count.into()];
                for _ in 0..CLIENTS {
                    let Report::Accepted(thread, _) = loops.next() else { panic!("a client has left") };
                    counts[thread] += 1;
                }
                // Each loop may have added one client to another at the same moment.
                let (fewest, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(*most <= 1 + fewest + fewest / 8 + usize::from(count), "{counts:?}");
                drop(clients);
                loops.end();
            }
        }
    });
}

#[test]
fn a_loop_that_has_stopped_gets_no_clients() {
    bounded(|| {
        let mut loops = Loops::start_on_one(3, &Options::new(), &ListenOptions::new());
        drop(loops.order(1, Order::Stop));
        assert_eq!(loops.next(), Report::Stopped);
        for _ in 0..10 {
            loops.connect();
        }
        assert_eq!(loops.counts(), [5, 0, 5]);
        loops.end();
    });
}

#[test]
fn a_client_stays_if_the_mailbox_of_the_other_loop_is_full() {
    bounded(|| {
        let options = Options::new().max_pending_commands(1);
        let mut loops = Loops::start_on_one(2, &options, &ListenOptions::new());
        let hold = loops.order(1, Order::Hold);
        assert_eq!([loops.connect(), loops.connect(), loops.connect()], [0; 3]);
        drop(hold);
        loops.wait_until_pending(0);
        assert_eq!([loops.connect(), loops.connect(), loops.connect()], [1; 3]);
        loops.end();
    });
}

/// Handed over to a loop that then stops, a client is disconnected, and makes room for another.
#[test]
fn a_client_on_its_way_to_a_loop_that_stops_is_disconnected_and_does_not_count() {
    bounded(|| {
        // The loop that stops ends at once if it has no connection. An open one is not closed during the test.
        for settled in [0, 1] {
            let limit = ListenOptions::new().max_connections(2 * settled + 2);
            let mut loops = Loops::start_on_one(2, &Options::new(), &limit);
            for _ in 0..2 * settled {
                loops.connect();
            }
            let hold = loops.order(1, Order::Stop);
            loops.wait_until_pending(1);
            assert_eq!(loops.connect(), 0);
            let mut lost = tcp(loops.threads.local_addr());
            loops.wait_until_pending(2);
            drop(hold);
            assert_eq!(loops.next(), Report::Stopped);
            let end = lost.read(&mut [0]);
            assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
            assert_eq!(loops.connect(), 0);
            loops.end();
        }
    });
}

#[test]
fn the_settings_of_the_listener_apply_on_every_loop() {
    bounded(|| {
        let settings = ListenOptions::new().protocol("echo");
        let loops = Loops::start_on_one(2, &Options::new(), &settings);
        let mut clients = Vec::new();
        for (origin, status, count) in [("http://server.example.com", "101", 4), ("http://elsewhere.example", "403", 4)]
        {
            for number in 0..count {
                let mut client = tcp(loops.threads.local_addr());
                let lines = format!("\r\nOrigin: {origin}\r\nSec-WebSocket-Protocol: echo\r\n\r\n");
                client.write_all(REQUEST.replace("\r\n\r\n", &lines).as_bytes()).unwrap();
                let head = read_head(&mut client);
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{number}: {head}");
                assert_eq!(head.to_lowercase().contains("sec-websocket-protocol: echo"), status == "101", "{head}");
                clients.push(client);
            }
        }
        drop(clients);
        let mut accepted = [0; 2];
        for report in loops.reports.try_iter() {
            if let Report::Accepted(thread, _) = report {
                accepted[thread] += 1;
            }
        }
        assert!(accepted.iter().all(|&count| count >= 2), "{accepted:?}");
        loops.end();
    });
}
