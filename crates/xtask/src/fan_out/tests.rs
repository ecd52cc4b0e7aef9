//! The generator accepts a server that delivers each message once and in order, and no other.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use sansocket_mio::{Connection, EventLoop, Handle, Handler, Message};

use super::Generator;
use crate::echo::{Cell, StopAfter};

/// What a server does with the second of each three messages, besides publishing the others.
#[derive(Clone, Copy, Debug)]
enum Second {
    Publish,
    PublishTwice,
    Skip,
    PublishToPublisher,
    PingPublisher,
}

/// A fan-out server in a thread, which ends when it is dropped.
struct Server {
    address: SocketAddr,
    handle: Handle<FanOut>,
    thread: Option<JoinHandle<()>>,
}

struct FanOut {
    second: Second,
    count: u64,
}

impl Handler for FanOut {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        self.count += 1;
        let second = if self.count % 3 == 2 { self.second } else { Second::Publish };
        match second {
            Second::Skip => return,
            Second::PublishToPublisher => return connection.send(message).unwrap(),
            Second::PublishTwice => connection.connections().broadcast(message.clone()).unwrap(),
            Second::PingPublisher => connection.ping(b"").unwrap(),
            Second::Publish => {}
        }
        connection.connections().broadcast(message).unwrap();
    }
}

impl Server {
    fn start(second: Second) -> Self {
        let mut event_loop = EventLoop::new(FanOut { second, count: 0 }).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let handle = event_loop.handle();
        Self { address, handle, thread: Some(thread::spawn(move || event_loop.run().unwrap())) }
    }

    fn run(&self, cell: &str, messages: u64) -> anyhow::Result<u64> {
        let cell: Cell = cell.parse().unwrap();
        Ok(Generator::connect(self.address, cell)?.run(StopAfter::Messages(messages))?.messages)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.handle.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn every_member_receives_every_message() {
    let server = Server::start(Second::Publish);
    // ten bursts of 3 messages to 5 members
    assert_eq!(server.run("128B/5/3", 136).unwrap(), 150);
    assert_eq!(server.run("8B/1/1", 1).unwrap(), 1);
    // more than the buffers of a socket hold
    assert_eq!(server.run("60000B/2/300", 1).unwrap(), 600);
}

#[test]
fn faults_of_a_server_are_found() {
    // the messages of the first burst have the numbers 3, 4 and 5
    for (second, reason) in [
        (Second::PublishTwice, "message 5:"),
        (Second::Skip, "message 4:"),
        (Second::PublishToPublisher, "message 4:"),
        (Second::PingPublisher, "0x89"),
    ] {
        let server = Server::start(second);
        let error = format!("{:#}", server.run("128B/5/3", 1).unwrap_err());
        assert!(error.contains(reason), "{second:?}: {error}");
    }
}
