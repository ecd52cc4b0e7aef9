//! A loop that the test turns, and the events that it has seen.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Instant;

use sansocket_mio::{Connection, ConnectionId, EventLoop, Options};

use super::{BOUND, Recorder, SHORT, Seen, raw_client, spawn};

/// A loop that the test turns.
pub(crate) struct Turned {
    pub(crate) event_loop: EventLoop<Recorder>,
    pub(crate) seen: mpsc::Receiver<Seen>,
    pub(crate) address: SocketAddr,
}

impl Turned {
    pub(crate) fn new(options: &Options) -> Self {
        let (seen, receiver) = mpsc::channel();
        let recorder = Recorder { reports_messages: true, ..Recorder::new(seen) };
        let mut event_loop = EventLoop::with_options(recorder, options).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        Self { event_loop, seen: receiver, address }
    }

    /// Turns until a wanted event is seen.
    pub(crate) fn until<T>(&mut self, mut wanted: impl FnMut(Seen) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            while let Ok(seen) = self.seen.try_recv() {
                if let Some(found) = wanted(seen) {
                    return found;
                }
            }
            assert!(began.elapsed() < BOUND, "nothing of the kind happens");
            self.event_loop.turn(Some(BOUND)).unwrap();
        }
    }

    /// Returns a client whose connection is open.
    pub(crate) fn client(&mut self) -> (TcpStream, ConnectionId) {
        let address = self.address;
        let client = spawn(move || raw_client(address));
        let id = self.until(|seen| if let Seen::Open(id) = seen { Some(id) } else { None });
        (client.join(), id)
    }

    pub(crate) fn with(&mut self, id: ConnectionId, ask: impl FnOnce(&mut Connection<'_, Recorder>)) {
        ask(&mut self.event_loop.connections().get(id).unwrap());
    }

    /// Turns until nothing has happened for a while. Fails if that does not occur.
    pub(crate) fn until_quiet(&mut self) {
        let began = Instant::now();
        loop {
            let turn = Instant::now();
            self.event_loop.turn(Some(SHORT)).unwrap();
            if turn.elapsed() >= SHORT {
                return;
            }
            assert!(began.elapsed() < BOUND, "the loop does not come to rest");
        }
    }
}
