//! A chat: `cargo run --example chat [address]`. The path is the room, the query the name: `ws://localhost:9001/tea?Ann`.

use std::collections::HashMap;
use std::{env, io};

use sansocket_mio::{
    Accept, Answer, Close, CloseCode, Connection, ConnectionId, Error, EventLoop, Handler, HttpResponse, Message, Open,
    Request,
};

#[derive(Default)]
struct Chat {
    guests: HashMap<ConnectionId, Guest>,
    rooms: HashMap<String, Vec<ConnectionId>>,
}

struct Guest {
    name: String,
    room: String,
}

impl Chat {
    /// Tells everyone in a room, in a message that is encoded once.
    fn say(&self, connection: &mut Connection<'_>, room: &str, text: String) {
        let guests = self.rooms.get(room).into_iter().flatten().copied();
        // all guests belong to this loop, so that no mailbox can be full
        let _ = connection.connections().broadcast_to(guests, text);
    }
}

impl Handler for Chat {
    fn on_request(&mut self, connection: &mut Connection<'_>, request: &Request) -> Answer {
        let Some(name) = request.query().filter(|name| !name.is_empty()) else {
            return HttpResponse::new(400).body("text/plain", "who are you? ws://.../room?name").into();
        };
        self.guests.insert(connection.id(), Guest { name: name.into(), room: request.path().into() });
        Accept::new().into()
    }

    fn on_open(&mut self, connection: &mut Connection<'_>, _: Open) {
        let Guest { name, room } = &self.guests[&connection.id()];
        let (room, text) = (room.clone(), format!("{name} is here"));
        self.rooms.entry(room.clone()).or_default().push(connection.id());
        self.say(connection, &room, text);
    }

    fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
        let (Some(text), Some(guest)) = (message.as_text(), self.guests.get(&connection.id())) else { return };
        self.say(connection, &guest.room, format!("{}: {text}", guest.name));
    }

    fn on_error(&mut self, connection: &mut Connection<'_>, error: Error) {
        eprintln!("{:?}: {error}", connection.id());
        match error {
            // reads too slowly to follow what is said
            Error::Send(_) => _ = connection.close(CloseCode::POLICY_VIOLATION, "too slow"),
            // comes from a foreign page: it will neither open nor close
            Error::Answer(_) => _ = self.guests.remove(&connection.id()),
            _ => {}
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_>, _: Close) {
        let Some(Guest { name, room }) = self.guests.remove(&connection.id()) else { return };
        let Some(guests) = self.rooms.get_mut(&room) else { return };
        guests.retain(|&guest| guest != connection.id());
        if guests.is_empty() {
            self.rooms.remove(&room);
        }
        self.say(connection, &room, format!("{name} has left"));
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut event_loop = EventLoop::new(Chat::default())?;
    println!("listening at ws://{}", event_loop.listen(address)?);
    event_loop.run()
}
