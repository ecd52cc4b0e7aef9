//! Commands of a handle other than sending: events, connecting, aborting.

mod support;

use std::io;
use std::rc::Rc;
use std::sync::mpsc;

use sansocket_mio::{
    Close, CloseCode, Connection, ConnectionId, Connections, Connector, DialError, Error, EventLoop, Handle, Handler,
    MailboxLimit, Message, Open, Options, PostError, Threads,
};
use support::*;
use tungstenite::Message as Theirs;

/// An event of an [`Agent`].
#[derive(Debug, PartialEq)]
enum Report {
    Open(ConnectionId, &'static str),
    Event(&'static str),
    Error(&'static str, String),
    ConnectError(&'static str, String),
    Close(ConnectionId, CloseCode),
}

/// Reports its events, with the number of its loop.
struct Agent {
    number: usize,
    reports: mpsc::Sender<(usize, Report)>,
}

impl Agent {
    fn report(&self, report: Report) {
        // the test may be over
        let _ = self.reports.send((self.number, report));
    }
}

impl Handler for Agent {
    type Data = &'static str;
    type Event = (&'static str, Option<ConnectionId>);

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.report(Report::Open(connection.id(), connection.data()));
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        let _ = connection.send(message);
    }

    fn on_event(&mut self, connections: &mut Connections<Self>, (text, to): Self::Event) {
        self.report(Report::Event(text));
        if let Some(mut connection) = to.and_then(|id| connections.get(id)) {
            connection.send(text).unwrap();
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        self.report(Report::Error(connection.data(), error.to_string()));
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, data: Self::Data, error: DialError) {
        self.report(Report::ConnectError(data, error.to_string()));
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {
        self.report(Report::Close(connection.id(), close.code));
    }
}

struct Agents {
    threads: Threads<Agent>,
    handle: Handle<Agent>,
    reports: mpsc::Receiver<(usize, Report)>,
}

/// Loops that run together.
fn start(count: u16) -> Agents {
    let (sender, reports) = mpsc::channel();
    let agent = |number| Agent { number, reports: sender.clone() };
    let threads = Threads::start(count, &Options::new(), "127.0.0.1:0", agent).unwrap();
    Agents { handle: threads.handle(), threads, reports }
}

impl Agents {
    fn next(&self) -> (usize, Report) {
        self.reports.recv_timeout(BOUND).expect("something happens in time")
    }

    fn open(&self) -> (usize, ConnectionId) {
        match self.next() {
            (number, Report::Open(id, _)) => (number, id),
            other => panic!("{other:?}"),
        }
    }

    fn stop(self) {
        self.handle.stop().unwrap();
        self.threads.join().unwrap();
    }
}

#[test]
fn events_keep_their_order_among_the_other_commands_of_a_thread() {
    bounded(|| {
        let agents = start(1);
        let mut client = client(agents.threads.local_addr());
        let (_, id) = agents.open();
        agents.handle.send(id, "before").unwrap();
        agents.handle.post(0, ("an event", Some(id))).unwrap();
        agents.handle.send(id, "after").unwrap();
        for text in ["before", "an event", "after"] {
            assert_eq!(client.read().unwrap(), Theirs::text(text));
        }
        drop(client);
        agents.stop();
    });
}

#[test]
fn an_event_reaches_the_loop_to_which_it_was_posted() {
    const LOOPS: u16 = 3;
    bounded(|| {
        let agents = start(LOOPS);
        for number in 0..LOOPS.into() {
            agents.handle.post(number, ("to one", None)).unwrap();
            assert_eq!(agents.next(), (number, Report::Event("to one")));
        }
        let mut client = client(agents.threads.local_addr());
        let (number, id) = agents.open();
        agents.handle.post(id.thread(), ("to the one of a connection", Some(id))).unwrap();
        assert_eq!(agents.next(), (number, Report::Event("to the one of a connection")));
        assert_eq!(client.read().unwrap(), Theirs::text("to the one of a connection"));
        agents.handle.post_to_all(("to all", None)).unwrap();
        drop(client);
        let mut numbers: Vec<_> = std::iter::from_fn(|| Some(agents.next()))
            .filter(|(_, report)| matches!(report, Report::Event(_)))
            .take(3)
            .collect();
        numbers.sort_by_key(|&(number, _)| number);
        assert_eq!(numbers, [0, 1, 2].map(|number| (number, Report::Event("to all"))));
        let error = agents.handle.post(LOOPS.into(), ("to no loop", None)).unwrap_err();
        assert_eq!(error, PostError::Stopped(("to no loop", None)));
        agents.stop();
    });
}

/// An agent's loop that the test turns.
fn turned(options: &Options) -> (EventLoop<Agent>, mpsc::Receiver<(usize, Report)>) {
    let (reports, receiver) = mpsc::channel();
    (EventLoop::with_options(Agent { number: 0, reports }, options).unwrap(), receiver)
}

#[test]
fn a_full_mailbox_hands_back_events_and_connections() {
    bounded(|| {
        let (mut event_loop, reports) = turned(&Options::new().max_pending_commands(2));
        let handle = event_loop.handle();
        handle.post(0, ("first", None)).unwrap();
        handle.post_to_all(("second", None)).unwrap();
        let full = |event| PostError::Full(event, MailboxLimit::Commands(2));
        assert_eq!(handle.post(0, ("third", None)), Err(full(("third", None))));
        assert_eq!(handle.post_to_all(("third", None)), Err(full(("third", None))));
        let connect = |data| handle.connect(&Connector::new(), "ws://localhost/".parse().unwrap(), data);
        assert_eq!(connect("mine"), Err(PostError::Full("mine", MailboxLimit::Commands(2))));
        event_loop.turn(None).unwrap();
        let seen: Vec<_> = reports.try_iter().map(|(_, report)| report).collect();
        assert_eq!(seen, [Report::Event("first"), Report::Event("second")]);
        assert_eq!(handle.pending(), 0);
        handle.post(0, ("third", None)).unwrap();
        drop(event_loop);
        assert_eq!(handle.post(0, ("late", None)), Err(PostError::Stopped(("late", None))));
        assert_eq!(connect("late"), Err(PostError::Stopped("late")));
    });
}

#[test]
fn a_handle_makes_the_loops_connect_in_turn() {
    const EACH: usize = 2;
    bounded(|| {
        let server = serve(|_| ());
        let agents = start(3);
        for _ in 0..3 * EACH {
            agents.handle.connect(&Connector::new(), server.url().parse().unwrap(), "to the server").unwrap();
        }
        let mut connections = [0; 3];
        for _ in 0..3 * EACH {
            match agents.next() {
                (number, Report::Open(id, "to the server")) => {
                    assert_eq!(id.thread(), number);
                    connections[number] += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(connections, [EACH; 3]);
        agents.stop();
        server.stop();
    });
}

#[test]
fn a_failed_connection_of_a_handle_is_reported_with_its_data() {
    bounded(|| {
        let agents = start(1);
        let (closed, _in_use) = closed_port();
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused).to_string();
        // two connections that fail later, and one that cannot begin
        let connect = |connector: &Connector, data| {
            agents.handle.connect(connector, "ws://localhost/".parse().unwrap(), data).unwrap();
            match agents.next().1 {
                Report::ConnectError(reported, error) if reported == data => error,
                other => panic!("{other:?}"),
            }
        };
        let error = connect(&connector_to(&[closed]), "refused");
        assert!(error.starts_with("TCP: ") && error.to_lowercase().contains(&refused), "{error}");
        let error = connect(&connector_to(&[]), "nowhere");
        assert!(error.starts_with("name: no address for localhost"), "{error}");
        let error = connect(&Connector::new().header("no token", ""), "invalid");
        assert!(error.starts_with("request: "), "{error}");
        agents.stop();
    });
}

#[test]
fn a_handle_aborts_a_connection() {
    bounded(|| {
        let agents = start(1);
        let mut client = raw_client(agents.threads.local_addr());
        let (_, id) = agents.open();
        agents.handle.abort(id).unwrap();
        assert_eq!(agents.next().1, Report::Close(id, CloseCode::ABNORMAL));
        assert_eq!(read_rest(&mut client), b"", "no Close frame");
        // the connection has ended: no effect
        agents.handle.abort(id).unwrap();
        agents.stop();
    });
}

/// A handler that is not `Send`.
struct Local(#[expect(dead_code, reason = "it is there")] Rc<()>);

impl Handler for Local {
    type Data = Vec<u8>;
    type Event = mpsc::Sender<u8>;
}

#[test]
fn a_handle_is_send_and_sync_even_if_its_handler_is_not() {
    fn check(_: &(impl Clone + Send + Sync)) {}
    check(&EventLoop::new(Local(Rc::default())).unwrap().handle());
}

/// Posts to its own loop when it is cloned or dropped.
struct Echoing(Option<Handle<Quiet>>);

impl Echoing {
    fn post(&self) {
        if let Some(handle) = &self.0 {
            let _ = handle.post(0, Self(None));
        }
    }
}

impl Clone for Echoing {
    fn clone(&self) -> Self {
        self.post();
        Self(self.0.clone())
    }
}

impl Drop for Echoing {
    fn drop(&mut self) {
        self.post();
    }
}

struct Quiet;

impl Handler for Quiet {
    type Data = ();
    type Event = Echoing;
}

#[test]
fn events_may_post_when_they_are_cloned_and_dropped() {
    bounded(|| {
        let mut event_loop = EventLoop::new(Quiet).unwrap();
        let handle = event_loop.handle();
        assert!(handle.post_to_all(Echoing(Some(handle.clone()))).is_ok());
        event_loop.turn(Some(SHORT)).unwrap();
        assert!(handle.post(0, Echoing(Some(handle.clone()))).is_ok());
        // pending events are dropped with the loop
        drop(event_loop);
        assert_eq!(handle.pending(), 0);
        assert!(handle.post(0, Echoing(None)).is_err());
    });
}
