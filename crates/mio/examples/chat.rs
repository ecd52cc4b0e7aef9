//! A chat: `cargo run --example chat [address]`. The path is the room, the query the name:
//! `ws://localhost:9001/tea?Ann`. Lines typed at the server's terminal are sent to every room.

use std::collections::HashMap;
use std::time::Duration;
use std::{env, io, thread};

use sansocket_mio::{
    Answer, Close, CloseCode, Connection, Connections, Error, EventLoop, Group, Handle, Handler, HttpResponse, Message,
    Open, Request, TimerKey,
};

/// The timer that ends the connection of a silent guest.
const SILENCE: TimerKey = TimerKey(0);
const MAX_SILENCE: Duration = Duration::from_secs(30 * 60);

#[derive(Default)]
struct Chat {
    rooms: HashMap<String, Group>,
}

/// A connection's guest.
#[derive(Clone, Default)]
struct Guest {
    name: String,
    room: String,
}

/// A line typed at the terminal.
struct Announcement(String);

impl Chat {
    /// Publishes a message to all guests in a room.
    fn say(&self, connections: &mut Connections<Self>, room: &str, text: String) {
        if let Some(room) = self.rooms.get(room) {
            // all guests belong to this loop, so that no mailbox can be full
            let _ = connections.publish(room, text);
        }
    }
}

impl Handler for Chat {
    type Data = Guest;
    type Event = Announcement;

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        let Some(name) = request.query().filter(|name| !name.is_empty()) else {
            return HttpResponse::new(400).body("text/plain", "who are you? ws://.../room?name").into();
        };
        *connection.data_mut() = Guest { name: name.into(), room: request.path().into() };
        connection.default_accept(request).into()
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        let Guest { name, room } = connection.data().clone();
        connection.join(self.rooms.entry(room.clone()).or_default());
        connection.set_timer(SILENCE, MAX_SILENCE);
        self.say(connection.connections(), &room, format!("{name} is here"));
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        let Some(text) = message.as_text() else { return };
        let Guest { name, room } = connection.data().clone();
        connection.set_timer(SILENCE, MAX_SILENCE);
        self.say(connection.connections(), &room, format!("{name}: {text}"));
    }

    fn on_timer(&mut self, connection: &mut Connection<'_, Self>, _: TimerKey) {
        let _ = connection.close(CloseCode::POLICY_VIOLATION, "silent for too long");
    }

    fn on_event(&mut self, connections: &mut Connections<Self>, Announcement(line): Announcement) {
        for room in self.rooms.keys() {
            self.say(connections, room, format!("the host: {line}"));
        }
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        eprintln!("{:?}: {error}", connection.id());
        if let Error::Send(_) = error {
            // the guest reads too slowly
            let _ = connection.close(CloseCode::POLICY_VIOLATION, "too slow");
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        let Guest { name, room } = std::mem::take(connection.data_mut());
        self.say(connection.connections(), &room, format!("{name} has left"));
        let Some(group) = self.rooms.get(&room) else { return };
        connection.leave(group);
        if connection.connections().members(group).len() == 0 {
            self.rooms.remove(&room);
        }
    }
}

/// Posts the typed lines, until the terminal or the loop ends.
fn announce(handle: &Handle<Chat>) {
    for line in io::stdin().lines().map_while(Result::ok) {
        if let Err(error) = handle.post(0, Announcement(line)) {
            eprintln!("{error}");
        }
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut event_loop = EventLoop::new(Chat::default())?;
    let handle = event_loop.handle();
    thread::spawn(move || announce(&handle));
    println!("listening on ws://{}", event_loop.listen(address)?);
    event_loop.run()
}
