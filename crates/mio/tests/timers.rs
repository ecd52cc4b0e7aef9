//! Timers of a loop and of its connections.

mod support;

use std::io::Write;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sansocket_mio::{
    Close, CloseCode, Connection, ConnectionId, Connections, EventLoop, Handler, Message, Open, Options, TimerKey,
};
use support::*;

/// What a [`Clock`] reports: whose timer fired (the loop's if `None`), and when.
type Fired = (Option<ConnectionId>, TimerKey, Instant);

/// Reports its timers, and does something with connections.
struct Clock {
    fired: mpsc::Sender<Fired>,
    on_open: fn(&mut Connection<'_, Self>),
    on_message: fn(&mut Connection<'_, Self>),
    on_close: fn(&mut Connection<'_, Self>),
    on_timer: fn(&mut Connections<Self>, TimerKey),
}

impl Handler for Clock {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        (self.on_open)(connection);
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        (self.on_message)(connection);
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        (self.on_close)(connection);
    }

    fn on_timer(&mut self, connection: &mut Connection<'_, Self>, key: TimerKey) {
        self.fired.send((Some(connection.id()), key, Instant::now())).unwrap();
    }

    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, key: TimerKey) {
        self.fired.send((None, key, Instant::now())).unwrap();
        (self.on_timer)(connections, key);
    }
}

struct Turning {
    event_loop: EventLoop<Clock>,
    fired: mpsc::Receiver<Fired>,
}

impl Turning {
    fn new(change: impl FnOnce(&mut Clock)) -> Self {
        let (sender, fired) = mpsc::channel();
        let mut clock =
            Clock { fired: sender, on_open: |_| (), on_message: |_| (), on_close: |_| (), on_timer: |_, _| () };
        change(&mut clock);
        Self { event_loop: EventLoop::with_options(clock, &Options::new()).unwrap(), fired }
    }

    fn set(&mut self, key: u64, after: Duration) {
        self.event_loop.connections().set_timer(TimerKey(key), after);
    }

    /// Turns until this many timers have fired.
    fn fire(&mut self, count: usize) -> Vec<Fired> {
        let mut fired = Vec::new();
        while fired.len() < count {
            self.event_loop.turn(Some(BOUND)).unwrap();
            fired.extend(self.fired.try_iter());
        }
        assert_eq!(fired.len(), count);
        fired
    }

    fn turn_until(&mut self, mut condition: impl FnMut(&mut Connections<Clock>) -> bool) {
        while !condition(self.event_loop.connections()) {
            self.event_loop.turn(Some(BOUND)).unwrap();
        }
    }
}

fn keys(fired: &[Fired]) -> Vec<u64> {
    fired.iter().map(|&(_, TimerKey(key), _)| key).collect()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn timers_fire_in_order_and_none_early() {
    const COUNT: u64 = 200;
    bounded(|| {
        let mut clock = Turning::new(|_| ());
        // 0 to 99 ms, not in order
        let delay = |key: u64| ms(key * 37 % 100);
        let began = Instant::now();
        for key in 0..COUNT {
            clock.set(key, delay(key));
        }
        let fired = clock.fire(COUNT as usize);
        for &(owner, TimerKey(key), at) in &fired {
            assert!(owner.is_none() && at - began >= delay(key), "timer {key} after {:?}", at - began);
        }
        let delays: Vec<_> = keys(&fired).into_iter().map(delay).collect();
        // all were set within much less than a millisecond; otherwise they are in the order of their numbers
        assert!(delays.is_sorted() || began.elapsed() > ms(150), "{delays:?}");
    });
}

#[test]
fn setting_a_timer_again_replaces_it_and_cancelling_it_stops_it() {
    bounded(|| {
        let mut clock = Turning::new(|_| ());
        let began = Instant::now();
        // sooner, later, not at all
        clock.set(0, BOUND);
        clock.set(0, ms(1));
        clock.set(1, ms(1));
        clock.set(1, ms(60));
        clock.set(2, ms(1));
        assert!(clock.event_loop.connections().cancel_timer(TimerKey(2)));
        assert!(!clock.event_loop.connections().cancel_timer(TimerKey(2)));
        assert!(!clock.event_loop.connections().cancel_timer(TimerKey(3)));
        clock.set(4, ms(80));
        let fired = clock.fire(3);
        assert_eq!(keys(&fired), [0, 1, 4]);
        assert!(fired[1].2 - began >= ms(60));
        assert!(!clock.event_loop.connections().cancel_timer(TimerKey(0)), "it has fired");
        // a loop without timers sleeps
        let turn = Instant::now();
        clock.event_loop.turn(Some(SHORT)).unwrap();
        assert!(turn.elapsed() >= SHORT);
    });
}

#[test]
fn timers_of_connections_and_of_the_loop_have_keys_of_their_own() {
    bounded(|| {
        let mut clock = Turning::new(|clock| {
            clock.on_open = |connection| {
                connection.set_timer(TimerKey(7), SHORT);
                connection.set_timer(TimerKey(8), SHORT);
                assert!(connection.cancel_timer(TimerKey(8)));
                assert!(!connection.cancel_timer(TimerKey(8)));
            };
        });
        let address = clock.event_loop.listen("127.0.0.1:0").unwrap();
        clock.set(7, SHORT);
        clock.set(8, SHORT);
        let clients = spawn(move || [raw_client(address), raw_client(address)]);
        clock.turn_until(|connections| connections.open().count() == 2);
        let ids: Vec<_> = clock.event_loop.connections().open().collect();
        let mut fired: Vec<_> = clock.fire(4).into_iter().map(|(owner, TimerKey(key), _)| (owner, key)).collect();
        fired.sort_unstable();
        assert_eq!(fired, [(None, 7), (None, 8), (Some(ids[0]), 7), (Some(ids[1]), 7)]);
        drop(clients.join());
    });
}

#[test]
fn timers_end_with_their_connection_even_if_another_takes_its_slot() {
    bounded(|| {
        let mut clock = Turning::new(|clock| {
            // the first timer cannot fire in time, and the last is set too late
            clock.on_message = |connection| {
                (0..10).for_each(|key| connection.set_timer(TimerKey(key), SHORT));
                connection.abort();
            };
            clock.on_close = |connection| connection.set_timer(TimerKey(11), Duration::ZERO);
        });
        let address = clock.event_loop.listen("127.0.0.1:0").unwrap();
        let mut indices = Vec::new();
        let mut clients = Vec::new();
        for sent in [HELLO, b""] {
            let client = spawn(move || {
                let mut client = raw_client(address);
                client.write_all(sent).unwrap();
                client
            });
            clock.turn_until(|connections| connections.open().count() == 1);
            indices.push(clock.event_loop.connections().open().next().unwrap().index());
            clients.push(client.join());
            if sent == HELLO {
                clock.turn_until(|connections| connections.is_empty());
            }
        }
        assert_eq!(indices[0], indices[1]);
        clock.set(99, 2 * SHORT);
        assert_eq!(keys(&clock.fire(1)), [99]);
    });
}

#[test]
fn a_timer_fires_while_its_connection_closes() {
    bounded(|| {
        let mut clock = Turning::new(|clock| {
            clock.on_open = |connection| {
                connection.close(CloseCode::NORMAL, "").unwrap();
                connection.set_timer(TimerKey(1), ms(1));
            };
        });
        let address = clock.event_loop.listen("127.0.0.1:0").unwrap();
        // the client does not answer the Close frame
        let client = spawn(move || raw_client(address));
        let fired = clock.fire(1);
        assert!(matches!(fired[..], [(Some(_), TimerKey(1), _)]));
        let mut client = client.join();
        client.write_all(CLOSE).unwrap();
        drop(client);
        clock.turn_until(|connections| connections.is_empty());
    });
}

#[test]
fn a_timer_that_is_due_when_its_connection_closes_does_not_fire() {
    bounded(|| {
        let mut clock = Turning::new(|clock| {
            clock.on_open = |connection| connection.set_timer(TimerKey(connection.id().index() as u64), SHORT);
            // the turn then finishes its connections together, at its end
            clock.on_message = |connection| {
                let other = connection.connections().open().nth(1).unwrap();
                connection.connections().get(other).unwrap().send("to another").unwrap();
            };
        });
        let address = clock.event_loop.listen("127.0.0.1:0").unwrap();
        let clients = spawn(move || [0; 3].map(|_| raw_client(address)));
        clock.turn_until(|connections| connections.open().count() == 3);
        let [mut first, second, third] = clients.join();
        first.write_all(HELLO).unwrap();
        drop(third);
        std::thread::sleep(SHORT);
        clock.event_loop.turn(None).unwrap();
        let mut fired = keys(&clock.fired.try_iter().collect::<Vec<_>>());
        fired.sort_unstable();
        assert_eq!(fired, [0, 1]);
        assert_eq!(clock.event_loop.connections().len(), 2);
        drop((first, second));
    });
}

#[test]
fn many_timers_that_are_due_together_do_not_make_a_turn_long() {
    const COUNT: usize = 5_000;
    const LIMIT: usize = 1_024;
    bounded(|| {
        let mut clock = Turning::new(|_| ());
        (0..COUNT as u64).for_each(|key| clock.set(key, Duration::ZERO));
        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < COUNT {
            clock.event_loop.turn(Some(BOUND)).unwrap();
            turns.push(clock.fired.try_iter().count());
        }
        assert_eq!(turns, [LIMIT, LIMIT, LIMIT, LIMIT, COUNT - 4 * LIMIT]);
    });
}

#[test]
fn a_timer_that_is_always_due_does_not_starve_others() {
    bounded(|| {
        let mut clock = Turning::new(|clock| {
            clock.on_timer = |connections, key| {
                if key == TimerKey(0) {
                    connections.set_timer(key, Duration::ZERO);
                }
            };
            clock.on_message = |connection| connection.connections().set_timer(TimerKey(1), ms(1));
        });
        let address = clock.event_loop.listen("127.0.0.1:0").unwrap();
        clock.set(0, Duration::ZERO);
        let client = spawn(move || {
            let mut client = raw_client(address);
            client.write_all(HELLO).unwrap();
            client
        });
        while !clock.fired.try_iter().any(|(_, key, _)| key == TimerKey(1)) {
            clock.event_loop.turn(Some(BOUND)).unwrap();
        }
        drop(client.join());
    });
}
