//! A client and a server exchange a message over TLS, in memory. An application has a socket instead of `carry`.

use std::error::Error;

use sansocket_drive::sansocket::bytes::Buf;
use sansocket_drive::sansocket::{Accept, ClientRequest, Config, Event, Instant, WebSocket};
use sansocket_drive::{Driver, LayerScratch};
use sansocket_tls::{ClientTls, SelfSigned, ServerTls, Tls};

/// Carries all bytes that `from` has to write to `to`, and returns the messages that arrive.
fn carry(from: &mut Driver<Tls>, to: &mut Driver<Tls>) -> Result<Vec<String>, Box<dyn Error>> {
    let (mut messages, mut bytes) = (Vec::new(), Vec::new());
    let mut outgoing = from.to_write();
    while outgoing.has_remaining() {
        bytes.extend_from_slice(outgoing.chunk());
        outgoing.advance(outgoing.remaining());
    }
    let mut scratch = LayerScratch::new();
    let mut input = to.open(&mut bytes, &mut scratch);
    while let Some(event) = to.next_event(&mut input, Instant::EPOCH)? {
        match event {
            Event::Request(_) => to.accept(Accept::new(), Instant::EPOCH)?,
            Event::Open(_) => to.websocket_mut().send("Hello")?,
            Event::Message(message) => messages.extend(message.as_text().map(str::to_owned)),
            _ => {}
        }
    }
    Ok(messages)
}

fn main() -> Result<(), Box<dyn Error>> {
    let certificate = SelfSigned::new(["localhost"])?;
    let client_tls = ClientTls::builder().only_roots(certificate.roots()).build()?;
    let server_tls = ServerTls::new(certificate.identity)?;

    let request = ClientRequest::new("wss://localhost/".parse()?);
    let rng = sansocket_drive::masking_keys()?;
    let client = WebSocket::client(request, Config::default(), rng, Instant::EPOCH)?;
    let mut client = Driver::with_layer(client, client_tls.layer("localhost")?);
    let server = WebSocket::server(Config::default(), Instant::EPOCH);
    let mut server = Driver::with_layer(server, server_tls.layer());

    loop {
        carry(&mut client, &mut server)?;
        if let [message, ..] = &carry(&mut server, &mut client)?[..] {
            println!("the server sent {message:?} over {:?}", client.layer().protocol_version());
            return Ok(());
        }
    }
}
