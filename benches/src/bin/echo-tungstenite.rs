//! tungstenite, as its README: a thread for each connection.

use std::{io, thread};

use tungstenite::accept;

fn main() -> io::Result<()> {
    for stream in sansocket_benches::listen()?.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        thread::spawn(move || {
            let mut websocket = accept(stream).unwrap();
            loop {
                let message = websocket.read().unwrap();
                if message.is_binary() || message.is_text() {
                    websocket.send(message).unwrap();
                }
            }
        });
    }
    Ok(())
}
