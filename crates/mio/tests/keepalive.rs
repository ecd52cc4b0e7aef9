//! Keepalive stays enabled in a `Config` of the caller's, unless it is set to `Off`. The deadline of an idle connection
//! shows it.

mod support;

use std::sync::mpsc;
use std::time::Duration;

use sansocket_mio::{Config, Connection, EventLoop, Handler, Instant, Keepalive, Open, Options, now};
use support::*;

/// Reports the deadline of each connection that opens.
struct Deadlines(mpsc::Sender<Option<Instant>>);

impl Handler for Deadlines {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.0.send(connection.websocket().poll_timeout()).unwrap();
    }
}

/// Returns when an idle connection of a loop sends a Ping: the server's, the client's.
fn intervals(config: &Config) -> [Option<Duration>; 2] {
    let (sender, deadlines) = mpsc::channel();
    let options = Options::new().config(config.clone());
    let mut event_loop = EventLoop::with_options(Deadlines(sender), &options).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let before = now();
    let interval = |deadline: Option<Instant>| deadline.map(|deadline| deadline - before);
    let client = spawn(move || raw_client(address));
    let next = |event_loop: &mut EventLoop<Deadlines>| loop {
        event_loop.turn(Some(BOUND)).unwrap();
        if let Ok(deadline) = deadlines.try_recv() {
            break interval(deadline);
        }
    };
    let server = next(&mut event_loop);
    client.join();

    let (address, peer) = peer_server(|websocket| websocket);
    event_loop.connections().connect(&format!("ws://{address}/")).unwrap();
    let client = next(&mut event_loop);
    peer.join();
    [server, client]
}

#[test]
fn keepalive_stays_enabled_in_a_configuration_of_the_callers() {
    bounded(|| {
        let config = Config::default().max_message_size(64 * 1024);
        let seconds = Duration::from_secs;
        for interval in intervals(&config) {
            let interval = interval.expect("a deadline");
            assert!((seconds(30)..seconds(50)).contains(&interval), "{interval:?}");
        }
        assert_eq!(intervals(&config.clone().keepalive(Keepalive::Off)), [None; 2]);
        for interval in intervals(&config.keepalive(Keepalive::Every(seconds(1000)))) {
            assert!(interval.is_some_and(|interval| interval >= seconds(1000)), "{interval:?}");
        }
    });
}
