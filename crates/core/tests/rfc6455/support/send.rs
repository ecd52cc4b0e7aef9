//! Messages, and every method that sends them.

use sansocket::bytes::Bytes;
use sansocket::{Config, Connection, MessageKind, SendError};

use super::{BINARY, Frame, TEXT};

use MessageKind::{Binary, Text};

pub(crate) fn with_buffer_of(bytes: usize) -> Config {
    let mut config = Config::default();
    config.max_buffered_amount = bytes;
    config
}

/// The ways in which a message is handed over; each takes its own path to the output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SendMethod {
    Borrowed,
    Owned,
    Shared,
    Fragment,
    SharedFragment,
}

pub(crate) const SEND_METHODS: [SendMethod; 5] =
    [SendMethod::Borrowed, SendMethod::Owned, SendMethod::Shared, SendMethod::Fragment, SendMethod::SharedFragment];

/// Bytes that are UTF-8 and differ from their neighbours.
pub(crate) fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| b'!' + (index % 89) as u8).collect()
}

pub(crate) fn send(
    connection: &mut Connection,
    way: SendMethod,
    kind: MessageKind,
    payload: &[u8],
) -> Result<(), SendError> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    match (way, kind) {
        (SendMethod::Borrowed, Text) => Ok(connection.send(text(payload))?),
        (SendMethod::Borrowed, Binary) => Ok(connection.send(payload)?),
        (SendMethod::Owned, Text) => Ok(connection.send(text(payload).to_owned())?),
        (SendMethod::Owned, Binary) => Ok(connection.send(payload.to_vec())?),
        (SendMethod::Shared, kind) => Ok(connection.send_shared(kind, Bytes::copy_from_slice(payload))?),
        (SendMethod::Fragment, kind) => connection.send_fragment(kind, payload, true),
        (SendMethod::SharedFragment, kind) => connection.send_fragment(kind, payload.to_vec(), true),
    }
}

pub(crate) fn opcode(kind: MessageKind) -> u8 {
    match kind {
        Text => TEXT,
        Binary => BINARY,
    }
}

/// The frames that a message becomes: the first has its opcode, the last its FIN, all but the last the whole size.
pub(crate) fn fragments(kind: MessageKind, payload: &[u8], size: usize) -> Vec<Frame> {
    let mut frames: Vec<_> = payload.chunks(size).map(|piece| Frame::continuation(piece).fin(false)).collect();
    if frames.is_empty() {
        frames.push(Frame::continuation("").fin(false));
    }
    frames.first_mut().unwrap().opcode = opcode(kind);
    frames.last_mut().unwrap().fin = true;
    frames
}
