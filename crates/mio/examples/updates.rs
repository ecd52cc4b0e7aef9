//! Sends the latest state each second to every client that has read nearly all earlier updates:
//! `cargo run --example updates [address]`. A slow client misses updates, but never gets old ones.
//!
//! As in the WebSocket API's documentation of `bufferedAmount`, with its threshold.

use std::time::Duration;
use std::{env, io};

use sansocket_mio::{Connections, EventLoop, Handler, TimerKey};

const SECOND: Duration = Duration::from_secs(1);
const UPDATE: TimerKey = TimerKey(0);
const THRESHOLD: usize = 10_240;

#[derive(Default)]
struct Updates {
    state: u64,
}

impl Handler for Updates {
    type Data = ();
    type Event = ();

    fn on_start(&mut self, connections: &mut Connections<Self>) {
        connections.set_timer(UPDATE, SECOND);
    }

    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, _: TimerKey) {
        connections.set_timer(UPDATE, SECOND);
        self.state += 1;
        let mut ready: Vec<_> = connections.open().collect();
        ready.retain(|&id| connections.get(id).is_some_and(|client| client.buffered_amount() < THRESHOLD));
        // all of them belong to this loop, so that no mailbox can be full
        let _ = connections.broadcast_to(ready, format!("the state is {}", self.state));
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut event_loop = EventLoop::new(Updates::default())?;
    println!("listening on ws://{}", event_loop.listen(address)?);
    event_loop.run()
}
