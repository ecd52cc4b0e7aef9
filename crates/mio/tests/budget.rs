//! How much work of a turn precedes a Pong, a timer and a stop, counted in turns; and the limits of the mailbox.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sansocket_mio::{
    CloseCode, Config, Connection, ConnectionId, Connections, EncodedMessage, Error, EventLoop, Handler, MailboxLimit,
    Message, Open, Options, PostError, SendError, Threads, TimerKey,
};
use support::turned::Turned;
use support::*;

/// Commands that a turn executes.
const COMMANDS: usize = 1024;

/// Posts until the mailbox is full. Returns how many commands fitted.
fn fill(mut post: impl FnMut() -> bool) -> usize {
    (0..).take_while(|_| post()).count()
}

#[test]
fn a_full_mailbox_hands_back_the_command() {
    const COMMANDS_3: MailboxLimit = MailboxLimit::Commands(3);
    bounded(|| {
        let mut server = Turned::new(&Options::new().max_pending_commands(3).max_pending_bytes(100));
        let (mut client, id) = server.client();
        let handle = server.event_loop.handle();
        handle.send(id, "one").unwrap();
        handle.close(id, CloseCode::NORMAL, "two").unwrap();
        assert_eq!((handle.pending(), handle.pending_bytes()), (2, 6));
        // too many bytes
        assert_eq!(
            handle.send(id, vec![7; 95]),
            Err(PostError::Full(Message::from(vec![7; 95]), MailboxLimit::Bytes(100)))
        );
        handle.send(id, "three").unwrap();
        // too many commands
        assert_eq!(handle.send(id, "four"), Err(PostError::Full(Message::from("four"), COMMANDS_3)));
        assert_eq!(handle.broadcast("four"), Err(PostError::Full(Message::from("four"), COMMANDS_3)));
        assert_eq!(handle.close(id, CloseCode::NORMAL, "four"), Err(PostError::Full("four".into(), COMMANDS_3)));
        let encoded = EncodedMessage::new("four", &Config::default());
        assert_eq!(handle.send_encoded(id, &encoded), Err(PostError::Full((), COMMANDS_3)));
        assert_eq!(handle.broadcast_encoded(&encoded), Err(PostError::Full((), COMMANDS_3)));
        let error = handle.answer(id, sansocket_mio::Accept::new()).unwrap_err();
        assert!(error.is_full());
        let text =
            "the mailbox of the event loop is full, the limit is 3 commands (`max_pending_commands`): try again later";
        assert_eq!(error.to_string(), text);
        server.event_loop.turn(Some(BOUND)).unwrap();
        assert_eq!((handle.pending(), handle.pending_bytes()), (0, 0));
        expect(&mut client, b"\x81\x03one\x88\x05\x03\xe8two");
        // a message that is longer than the limit is accepted alone
        handle.send(id, vec![7; 101]).unwrap();
        assert!(handle.send(id, "x").unwrap_err().is_full());
        drop(server);
        assert_eq!(handle.send(id, "late"), Err(PostError::Stopped(Message::from("late"))));
        assert_eq!(handle.pending(), 0);
    });
}

#[test]
fn a_turn_executes_a_bounded_number_of_commands_and_the_next_one_continues() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, id) = server.client();
        let handle = server.event_loop.handle();
        const COUNT: usize = 3 * COMMANDS + 1;
        for number in 0..COUNT {
            handle.send(id, u32::try_from(number).unwrap().to_be_bytes().to_vec()).unwrap();
        }
        for done in [COMMANDS, 2 * COMMANDS, 3 * COMMANDS, COUNT] {
            // without waiting, although no event arrives
            server.event_loop.turn(None).unwrap();
            assert_eq!(handle.pending(), COUNT - done);
        }
        for number in 0..COUNT {
            expect(&mut client, &[&[0x82, 4], &u32::try_from(number).unwrap().to_be_bytes()[..]].concat());
        }
    });
}

#[test]
fn a_stop_overtakes_the_mailbox() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, id) = server.client();
        let handle = server.event_loop.handle();
        let posted = fill(|| handle.send(id, "x").is_ok());
        assert_eq!(posted, 16_384);
        server.event_loop.turn(None).unwrap();
        handle.stop().unwrap();
        assert_eq!(handle.send(id, "late"), Err(PostError::Stopped(Message::from("late"))));
        server.event_loop.turn(None).unwrap();
        // commands posted before the stop come first, up to one turn's budget
        let reading = spawn(move || {
            let mut got = vec![0; 2 * 3 * COMMANDS + 4];
            client.read_exact(&mut got).unwrap();
            client.write_all(CLOSE).unwrap();
            got
        });
        server.event_loop.run().unwrap();
        let got = reading.join();
        assert!(got.ends_with(b"\x81\x01x\x88\x02\x03\xe9"), "{:?}", &got[got.len() - 7..]);
        // and the handler gets the errors of messages that were not sent
        let is_unsent = |seen: &Seen| matches!(seen, Seen::Error(_, Error::Send(SendError::NotOpen(_))));
        assert!(server.seen.try_iter().any(|seen| is_unsent(&seen)));
    });
}

#[test]
fn a_full_mailbox_does_not_delay_a_pong() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, _) = server.client();
        let handle = server.event_loop.handle();
        fill(|| handle.broadcast("x").is_ok());
        client.write_all(PING).unwrap();
        // turn until the Pong is readable: then the Ping has reached the kernel
        let mut turns = 0;
        while !server.seen.try_iter().any(|seen| matches!(seen, Seen::Ping(_))) {
            server.event_loop.turn(None).unwrap();
            turns += 1;
        }
        assert!(handle.pending() >= 16_384 - turns * COMMANDS && turns < 16, "{turns} turns");
        let pending = handle.pending();
        assert!(pending > 0, "the mailbox was emptied first");
        let mut got = vec![0; (16_384 - pending) * 3 + PONG.len()];
        client.read_exact(&mut got).unwrap();
        assert!(got.windows(PONG.len()).any(|window| window == PONG));
    });
}

/// Counts the pending commands when its timer fires.
struct Alarm {
    rang: mpsc::Sender<usize>,
}

impl Handler for Alarm {
    type Data = ();
    type Event = ();

    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, _: TimerKey) {
        self.rang.send(connections.handle().pending()).unwrap();
    }
}

#[test]
fn a_full_mailbox_does_not_delay_a_timer() {
    bounded(|| {
        let (rang, rings) = mpsc::channel();
        let mut event_loop = EventLoop::new(Alarm { rang }).unwrap();
        let handle = event_loop.handle();
        let posted = fill(|| handle.broadcast("x").is_ok());
        event_loop.connections().set_timer(TimerKey(0), Duration::ZERO);
        event_loop.turn(None).unwrap();
        let pending = rings.try_recv().expect("the first turn rings");
        assert!(pending >= posted - COMMANDS, "{pending} of {posted}");
    });
}

#[test]
fn a_turn_executes_a_bounded_number_of_broadcasts() {
    const CLIENTS: usize = 3;
    const COUNT: usize = COMMANDS + 500;
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.client().0).collect();
        let handle = server.event_loop.handle();
        for number in 0..COUNT {
            handle.broadcast(u32::try_from(number).unwrap().to_be_bytes().to_vec()).unwrap();
        }
        for pending in [COUNT - COMMANDS, 0] {
            server.event_loop.turn(None).unwrap();
            assert_eq!(handle.pending(), pending);
        }
        for client in &mut clients {
            for number in 0..COUNT {
                expect(client, &[&[0x82, 4], &u32::try_from(number).unwrap().to_be_bytes()[..]].concat());
            }
        }
    });
}

#[test]
fn a_flood_of_small_frames_is_read_in_short_reads() {
    const EMPTY: &[u8] = b"\x89\x80\0\0\0\0";
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, _) = server.client();
        client.write_all(&EMPTY.repeat(60_000)).unwrap();
        let mut most = Vec::new();
        let mut pings = 0;
        while pings < 60_000 {
            server.event_loop.turn(Some(BOUND)).unwrap();
            let seen = server.seen.try_iter().filter(|seen| matches!(seen, Seen::Ping(_))).count();
            pings += seen;
            most.push(seen);
        }
        // a whole buffer until the flood is detected; then a short read for its turn, and one for the event
        assert!(most[0] <= 10_923, "{most:?}");
        assert!(most[1..].iter().all(|&seen| seen <= 2 * 683), "{most:?}");
        // after the flood, whole buffers again
        client.write_all(HELLO).unwrap();
        server.until(|seen| matches!(seen, Seen::Message(..)).then_some(()));
        client.write_all(&[&[0x82, 0xfe, 0x40, 0, 0, 0, 0, 0][..], &[0; 16_384]].concat()).unwrap();
        let mut turns = 0;
        while !server.seen.try_iter().any(|seen| matches!(seen, Seen::Message(..))) {
            server.event_loop.turn(Some(BOUND)).unwrap();
            turns += 1;
        }
        assert!(turns <= 2, "{turns} turns");
    });
}

/// Blocks for a long time after it has set its timer.
struct Slow {
    set: Option<Instant>,
    rang: Option<Duration>,
    delay: Duration,
}

impl Handler for Slow {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        self.set = Some(Instant::now());
        connection.connections().set_timer(TimerKey(0), self.delay);
        std::thread::sleep(Duration::from_millis(1_500));
    }

    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, _: TimerKey) {
        self.rang = self.set.map(|set| set.elapsed());
        connections.stop();
    }
}

#[test]
fn a_timer_counts_the_time_that_a_handler_takes() {
    bounded(|| {
        // if the clock were read before the handler ran, each would be 1.5 s late; the bounds permit a delay of 1.2 s
        for (delay, bound) in [(1, 2_700), (1_600, 2_800), (2_800, 4_000)] {
            let slow = Slow { set: None, rang: None, delay: Duration::from_millis(delay) };
            let mut event_loop = EventLoop::new(slow).unwrap();
            let address = event_loop.listen("127.0.0.1:0").unwrap();
            let client = spawn(move || {
                let mut client = raw_client(address);
                client.write_all(HELLO).unwrap();
                expect(&mut client, b"\x88\x02\x03\xe9");
                client.write_all(CLOSE).unwrap();
            });
            event_loop.run().unwrap();
            let rang = event_loop.handler().rang.unwrap();
            let range = Duration::from_millis(delay)..Duration::from_millis(bound);
            assert!(range.contains(&rang), "{delay} ms: after {rang:?}");
            drop(event_loop);
            client.join();
        }
    });
}

/// The limit of commands in a mailbox of the criers.
const LIMIT: usize = 10;

/// One loop is blocked, and the other one broadcasts.
struct Broadcaster {
    /// `None` when the loop is blocked.
    opened: mpsc::Sender<Option<ConnectionId>>,
    results: mpsc::Sender<usize>,
    held: Option<mpsc::Receiver<()>>,
}

impl Handler for Broadcaster {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.opened.send(Some(connection.id())).unwrap();
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        if let Some(held) = self.held.take() {
            self.opened.send(None).unwrap();
            let _ = held.recv();
            return;
        }
        let connections = connection.connections();
        let posted = fill(|| match connections.broadcast("x") {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error, PostError::Full(Message::from("x"), MailboxLimit::Commands(LIMIT)));
                false
            }
        });
        self.results.send(posted).unwrap();
    }
}

/// Two loops with at least one client each. One of the loops is blocked until it is released.
struct Criers {
    threads: Threads<Broadcaster>,
    /// The clients of each loop.
    clients: [Vec<(TcpStream, ConnectionId)>; 2],
    posted: mpsc::Receiver<usize>,
    free: mpsc::Sender<()>,
}

impl Criers {
    fn new(options: &Options, held_loop: usize) -> Self {
        let (opened, opens) = mpsc::channel();
        let (results, posted) = mpsc::channel();
        let (free, held) = mpsc::channel();
        let mut held = Some(held);
        let threads = Threads::start(2, options, "127.0.0.1:0", |number| Broadcaster {
            opened: opened.clone(),
            results: results.clone(),
            held: if number == held_loop { held.take() } else { None },
        })
        .unwrap();
        let mut clients = [vec![], vec![]];
        while clients.iter().any(Vec::is_empty) {
            let client = raw_client(threads.local_addr());
            let id = opens.recv_timeout(BOUND).unwrap().unwrap();
            clients[id.thread()].push((client, id));
        }
        clients[held_loop][0].0.write_all(HELLO).unwrap();
        assert_eq!(opens.recv_timeout(BOUND).unwrap(), None);
        Self { threads, clients, posted, free }
    }

    /// Releases the loop and stops both; each client must get the bytes expected for it, and the Close frame.
    fn finish(self, expected: impl Fn(ConnectionId) -> Vec<u8>) {
        let Self { threads, mut clients, free, .. } = self;
        free.send(()).unwrap();
        threads.handle().stop().unwrap();
        for (client, id) in clients.iter_mut().flatten() {
            expect(client, &[&expected(*id), &b"\x88\x02\x03\xe9"[..]].concat());
            client.write_all(CLOSE).unwrap();
        }
        drop(clients);
        threads.join().unwrap();
    }
}

#[test]
fn a_broadcast_to_a_loop_whose_mailbox_is_full_is_handed_back() {
    bounded(|| {
        let mut criers = Criers::new(&Options::new().max_pending_commands(LIMIT), 0);
        criers.clients[1][0].0.write_all(HELLO).unwrap();
        assert_eq!(criers.posted.recv_timeout(BOUND).unwrap(), LIMIT);
        // the accepted broadcasts, and no others, reach the clients of both loops
        criers.finish(|_| b"\x81\x01x".repeat(LIMIT));
    });
}

/// The mailbox of the first or of the last loop is full, by commands or by bytes.
#[test]
fn a_broadcast_of_a_handle_is_posted_to_all_loops_or_to_none() {
    bounded(|| {
        let (by_number, by_bytes) = (Options::new().max_pending_commands(2), Options::new().max_pending_bytes(8));
        for (held_loop, options, limit) in [
            (0, &by_number, MailboxLimit::Commands(2)),
            (1, &by_number, MailboxLimit::Commands(2)),
            (0, &by_bytes, MailboxLimit::Bytes(8)),
            (1, &by_bytes, MailboxLimit::Bytes(8)),
        ] {
            let criers = Criers::new(options, held_loop);
            let handle = criers.threads.handle();
            let id = criers.clients[held_loop][0].1;
            handle.send(id, "four").unwrap();
            handle.send(id, "more").unwrap();
            assert_eq!((handle.pending(), handle.pending_bytes()), (2, 8));
            let encoded = EncodedMessage::new("x", &Config::default());
            assert_eq!(handle.broadcast("x"), Err(PostError::Full(Message::from("x"), limit)));
            assert_eq!(handle.broadcast_encoded(&encoded), Err(PostError::Full((), limit)));
            assert_eq!((handle.pending(), handle.pending_bytes()), (2, 8));
            criers.finish(|client| if client == id { b"\x81\x04four\x81\x04more".to_vec() } else { vec![] });
        }
    });
}
