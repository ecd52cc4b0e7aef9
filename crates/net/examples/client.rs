//! Sends lines of the input and prints messages: `cargo run --example client [url]`. The end of the input closes the
//! connection.

use std::error::Error;
use std::net::TcpStream;
use std::{env, io, thread};

use sansocket_net::{CloseCode, Event, Writer};

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:9001/".into());
    let (mut reader, writer) = sansocket_net::connect(&url)?.split()?;
    thread::spawn(move || {
        if let Err(error) = send_lines(&writer) {
            eprintln!("sending has stopped: {error}");
        }
        writer.close(CloseCode::NORMAL, "")
    });
    while let Some(event) = reader.read()? {
        match event {
            Event::Message(message) => match message.as_text() {
                Some(text) => println!("{text}"),
                None => println!("{} bytes", message.len()),
            },
            Event::Close(close) => println!("closed: {} {}", close.code, close.reason),
            _ => {}
        }
    }
    Ok(())
}

fn send_lines(writer: &Writer<TcpStream>) -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lines() {
        writer.send(line?)?;
    }
    Ok(())
}
