//! The settings of a listener: which pages may connect, subprotocols, the limit of connections.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use sansocket_mio::{
    Accept, Answer, Close, Connection, ConnectionId, Connections, EventLoop, Handle, Handler, ListenOptions, Open,
    Options, OriginPolicy, Request, Threads,
};
use support::turned::Turned;
use support::*;

/// How a [`Doorkeeper`] answers.
#[derive(Clone)]
enum How {
    /// As the default method of the trait does.
    Default,
    /// With this answer.
    Accept(Accept),
    /// With this answer, later.
    Later(Accept),
}

/// A handler with the default methods only.
struct Silent;

impl Handler for Silent {
    type Data = ();
    type Event = ();
}

struct Doorkeeper {
    how: How,
    asked: mpsc::Sender<ConnectionId>,
}

impl Handler for Doorkeeper {
    type Data = ();
    type Event = ();

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        self.asked.send(connection.id()).unwrap();
        match &self.how {
            How::Default => connection.default_accept(request).into(),
            How::Accept(accept) => accept.clone().into(),
            How::Later(_) => Answer::Later,
        }
    }
}

/// Sends a request with these lines, and does not wait for the response.
fn ask(address: SocketAddr, lines: &str) -> TcpStream {
    let mut stream = tcp(address);
    stream.write_all(REQUEST.replace("\r\n\r\n", &format!("\r\n{lines}\r\n")).as_bytes()).unwrap();
    stream
}

/// Returns the head of a loop's response to a request with these lines.
fn answer(options: &ListenOptions, how: How, lines: &str) -> String {
    let (asked, asks) = mpsc::channel();
    match how {
        How::Default => answer_of(Silent, options, lines, |_| ()),
        How::Accept(_) => answer_of(Doorkeeper { how, asked }, options, lines, |_| ()),
        How::Later(ref accept) => answer_of(Doorkeeper { how: how.clone(), asked }, options, lines, |handle| {
            handle.answer(asks.recv_timeout(BOUND).unwrap(), accept.clone()).unwrap();
        }),
    }
}

fn answer_of<H: Handler + Send + 'static>(
    handler: H,
    options: &ListenOptions,
    lines: &str,
    later: impl FnOnce(&Handle<H>),
) -> String {
    let mut event_loop = EventLoop::new(handler).unwrap();
    let address = event_loop.listen_with("127.0.0.1:0", options).unwrap();
    let handle = event_loop.handle();
    let running = spawn(move || event_loop.run().unwrap());
    let mut stream = ask(address, lines);
    later(&handle);
    let head = read_head(&mut stream);
    drop(stream);
    handle.stop().unwrap();
    running.join();
    head
}

const FOREIGN: &str = "Origin: https://elsewhere.example\r\n";
const SAME: &str = "Origin: http://server.example.com\r\n";

#[test]
fn the_origin_policy_of_a_listener_applies_unless_an_answer_has_its_own() {
    bounded(|| {
        let (any, same) = (OriginPolicy::Any, OriginPolicy::SameOrigin);
        let accept = Accept::new;
        // the listener's policy, the answer, the origin of the page, the status
        let cases = [
            (None, How::Default, "", 101),
            (None, How::Default, SAME, 101),
            (None, How::Default, FOREIGN, 403),
            (None, How::Accept(accept()), FOREIGN, 403),
            (None, How::Accept(accept().origin(any.clone())), FOREIGN, 101),
            (Some(&any), How::Default, FOREIGN, 101),
            (Some(&any), How::Accept(accept()), FOREIGN, 101),
            (Some(&any), How::Later(accept()), FOREIGN, 101),
            (Some(&any), How::Accept(accept().origin(same.clone())), FOREIGN, 403),
            (Some(&any), How::Later(accept().origin(same.clone())), FOREIGN, 403),
            (Some(&same), How::Later(accept()), FOREIGN, 403),
        ];
        for (number, (policy, how, lines, status)) in cases.into_iter().enumerate() {
            let options = policy.map_or(ListenOptions::new(), |policy| ListenOptions::new().origin(policy.clone()));
            let head = answer(&options, how, lines);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "case {number}: {head}");
        }
    });
}

#[test]
fn the_default_answer_selects_the_first_subprotocol_offered_that_the_listener_supports() {
    bounded(|| {
        let cases = [
            (How::Default, "x, a, b", Some("a")),
            (How::Default, "b, a", Some("b")),
            (How::Default, "x, A", None),
            // the subprotocol of the application's own answer is not replaced
            (How::Accept(Accept::new()), "a, b", None),
            (How::Accept(Accept::new().protocol("x")), "a, x", Some("x")),
        ];
        for (how, offered, expected) in cases {
            let options = ListenOptions::new().protocol("b").protocol("a");
            let head = answer(&options, how, &format!("Sec-WebSocket-Protocol: {offered}\r\n"));
            let selected = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
            assert_eq!(selected, expected, "{offered}: {head}");
        }
        let head = answer(&ListenOptions::new(), How::Default, "Sec-WebSocket-Protocol: a\r\n");
        assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("Sec-WebSocket-Protocol"), "{head}");
    });
}

/// Returns a loop with a limited listener, and the address of its unlimited one.
fn limited(max_connections: usize) -> (Turned, SocketAddr) {
    let mut server = Turned::new(&Options::new());
    let options = ListenOptions::new().max_connections(max_connections);
    let limited = server.event_loop.listen_with("127.0.0.1:0", &options).unwrap();
    let unlimited = std::mem::replace(&mut server.address, limited);
    (server, unlimited)
}

impl Turned {
    /// Turns until another client is open.
    fn open(&mut self) -> ConnectionId {
        self.until(|seen| if let Seen::Open(id) = seen { Some(id) } else { None })
    }
}

#[test]
fn a_listener_at_its_limit_lets_clients_wait() {
    bounded(|| {
        let (mut server, unlimited) = limited(2);
        let (first, _) = server.client();
        let (second, _) = server.client();
        // the client is connected, and unanswered
        let mut third = ask(server.address, "");
        let mut fourth = ask(server.address, "");
        server.until_quiet();
        assert_eq!(server.event_loop.connections().len(), 2);
        // connections of other listeners do not count
        let _other = ask(unlimited, "");
        server.open();
        drop(first);
        server.open();
        assert!(read_head(&mut third).starts_with("HTTP/1.1 101 "));
        server.until_quiet();
        assert_eq!(server.event_loop.connections().len(), 3);
        fourth.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert_eq!(fourth.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        fourth.set_read_timeout(Some(BOUND)).unwrap();
        drop((second, third));
        server.open();
        assert!(read_head(&mut fourth).starts_with("HTTP/1.1 101 "));
        // there is room for one more
        let _fifth = server.client();
        server.until_quiet();
        assert_eq!(server.event_loop.connections().len(), 3);
    });
}

#[test]
fn a_client_that_vanishes_before_it_is_accepted_does_not_count() {
    bounded(|| {
        let (mut server, _) = limited(1);
        let (first, _) = server.client();
        for _ in 0..3 {
            reset(ask(server.address, ""));
        }
        drop(tcp(server.address));
        let mut last = ask(server.address, "");
        server.until_quiet();
        assert_eq!(server.event_loop.connections().len(), 1);
        drop(first);
        server.until_quiet();
        assert!(read_head(&mut last).starts_with("HTTP/1.1 101 "));
        assert_eq!(server.event_loop.connections().len(), 1);
        reset(last);
        server.until_quiet();
        server.seen.try_iter().for_each(drop);
        let _next = server.client();
    });
}

#[test]
fn a_client_that_sends_no_request_makes_room_at_its_deadline() {
    bounded(|| {
        let mut server = Turned::new(&options(|config| config.opening_timeout = SHORT));
        let limit = ListenOptions::new().max_connections(1);
        server.address = server.event_loop.listen_with("127.0.0.1:0", &limit).unwrap();
        let _silent = tcp(server.address);
        server.event_loop.turn(Some(BOUND)).unwrap();
        assert_eq!(server.event_loop.connections().len(), 1);
        let _client = server.client();
    });
}

/// Counts the open connections of all loops.
#[derive(Clone)]
struct Counter {
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    /// Reports the number of the loop in which a connection opens.
    opened: mpsc::Sender<usize>,
}

impl Handler for Counter {
    type Data = ();
    type Event = ();

    fn on_accept(&mut self, _: &mut Connection<'_, Self>) {
        self.most.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.opened.send(connection.id().thread()).unwrap();
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, _: Close) {
        self.open.fetch_sub(1, SeqCst);
    }
}

#[test]
fn loops_that_listen_together_count_their_connections_together() {
    const LIMIT: usize = 3;
    const CLIENTS: usize = 60;
    bounded(|| {
        let (opened, opens) = mpsc::channel();
        let counter = Counter { open: Arc::default(), most: Arc::default(), opened };
        let limit = ListenOptions::new().max_connections(LIMIT);
        let threads = Threads::start_with(4, &Options::new(), "127.0.0.1:0", &limit, |_| counter.clone()).unwrap();
        // all are connected, and are served as others end, whichever loop's backlog they are in
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| ask(threads.local_addr(), "")).collect();
        let mut loops = [0; 4];
        for number in 0..CLIENTS {
            loops[opens.recv_timeout(BOUND).unwrap()] += 1;
            if number + 1 >= LIMIT {
                // an open connection ends
                let began = Instant::now();
                let index = loop {
                    if let Some(index) = clients.iter_mut().position(is_answered) {
                        break index;
                    }
                    assert!(began.elapsed() < BOUND);
                    std::thread::yield_now();
                };
                drop(clients.remove(index));
            }
        }
        assert_eq!(counter.most.load(SeqCst), LIMIT);
        assert_eq!(loops.iter().sum::<usize>(), CLIENTS);
        assert!(loops.iter().filter(|&&count| count > 0).count() > 1, "{loops:?}");
        drop(clients);
        threads.handle().stop().unwrap();
        threads.join().unwrap();
    });
}

/// The first of two loops stops at its first client, while others wait in its backlog. The second begins when the first
/// has ended.
struct Quitter {
    begin: mpsc::Receiver<()>,
    /// Dropped with the first loop, as a signal.
    ended: Option<mpsc::Sender<()>>,
    opened: mpsc::Sender<()>,
}

impl Handler for Quitter {
    type Data = ();
    type Event = ();

    fn on_start(&mut self, _: &mut Connections<Self>) {
        while self.begin.recv_timeout(BOUND).is_ok() {}
    }

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        if self.ended.is_some() {
            connection.connections().stop();
        }
    }

    fn on_open(&mut self, _: &mut Connection<'_, Self>, _: Open) {
        self.opened.send(()).unwrap();
    }
}

#[test]
fn clients_in_the_backlog_of_a_loop_that_stops_do_not_count() {
    const LIMIT: usize = 2;
    bounded(|| {
        let (opened, opens) = mpsc::channel();
        let (begins, begin) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        let mut quitters = vec![
            Quitter { begin: end, ended: None, opened: opened.clone() },
            Quitter { begin, ended: Some(ended), opened },
        ];
        let limit = ListenOptions::new().max_connections(LIMIT);
        let quitter = |_| quitters.pop().unwrap();
        let threads = Threads::start_with(2, &Options::new(), "127.0.0.1:0", &limit, quitter).unwrap();
        // both loops get clients
        let clients: Vec<_> = (0..32).map(|_| ask(threads.local_addr(), "")).collect();
        drop(begins);
        for _ in 0..LIMIT {
            opens.recv_timeout(BOUND).expect("there are as many places as before");
        }
        drop(clients);
        threads.handle().stop().unwrap();
        threads.join().unwrap();
    });
}

/// Returns whether a response has arrived.
fn is_answered(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let is_answered = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    is_answered
}
