//! Our client, over sansocket-net.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sansocket_net::sansocket::Compression;
use sansocket_net::{CloseCode, Config, Connector, Event, Message, MessageKind, ReadOutcome, Writer};

use super::workload::Fragments;

/// The longest time without an echo.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// The result of [`exchange`].
#[derive(Debug)]
pub(super) struct Exchanged {
    /// The number of bytes of the messages.
    pub(super) bytes: usize,
    /// What the connection has agreed about compression, as an element of `Sec-WebSocket-Extensions`.
    pub(super) agreed: String,
}

/// Sends all messages at once, and checks their echoes.
pub(super) fn exchange(
    connector: Connector,
    url: &str,
    compression: &Compression,
    workload: &[Fragments],
) -> Result<Exchanged> {
    let config = Config::default().compression(compression.clone());
    let ws = connector.config(config).connect(url)?;
    let agreed = ws.compression().context("the server declines compression")?.to_string();
    let (mut reader, writer) = ws.split()?;
    thread::scope(|scope| {
        let sending = scope.spawn(|| workload.iter().try_for_each(|message| send(&writer, message)));
        let mut expected = workload.iter().zip(1..);
        let mut next = expected.next();
        loop {
            let event = match reader.read_timeout(SILENCE_LIMIT)? {
                ReadOutcome::Event(event) => event,
                ReadOutcome::Pending => bail!("the server sends nothing for {} s", SILENCE_LIMIT.as_secs()),
                _ => break,
            };
            match (event, next) {
                (Event::Message(echo), Some((message, number))) => {
                    check(&echo, message).with_context(|| format!("the echo of message {number} differs"))?;
                    next = expected.next();
                    if next.is_none() {
                        writer.close(CloseCode::NORMAL, "")?;
                    }
                }
                (Event::Close(close), None) => ensure!(close.code == CloseCode::NORMAL, "{close:?}"),
                (Event::Close(close), Some((_, number))) => {
                    bail!("the connection closed before echo {number}: {close:?}");
                }
                _ => {}
            }
        }
        sending.join().map_err(|_| anyhow!("sending panicked"))?
    })?;
    let bytes = workload.iter().flat_map(|message| &message.fragments).map(Vec::len).sum();
    Ok(Exchanged { bytes, agreed })
}

fn send(writer: &Writer<TcpStream>, message: &Fragments) -> Result<()> {
    let Fragments { kind, fragments } = message;
    match &fragments[..] {
        [whole] => match kind {
            MessageKind::Text => writer.send(std::str::from_utf8(whole)?)?,
            MessageKind::Binary => writer.send(&whole[..])?,
        },
        fragments => {
            for (fragment, number) in fragments.iter().zip(1..) {
                writer.send_fragment(*kind, &fragment[..], number == fragments.len())?;
            }
        }
    }
    Ok(())
}

fn check(echo: &Message<'_>, sent: &Fragments) -> Result<()> {
    let (kind, bytes) = match echo {
        Message::Text(text) => (MessageKind::Text, text.as_bytes()),
        Message::Binary(bytes) => (MessageKind::Binary, &bytes[..]),
    };
    let expected = sent.fragments.concat();
    let (length, expected_length) = (bytes.len(), expected.len());
    ensure!(
        (kind, bytes) == (sent.kind, &expected),
        "{kind:?} of {length} bytes; sent {:?} of {expected_length} bytes",
        sent.kind
    );
    Ok(())
}
