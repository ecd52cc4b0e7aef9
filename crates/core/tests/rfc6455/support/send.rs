//! Messages, and the methods that send them.

use sansocket::bytes::Bytes;
use sansocket::{Config, Connection, MessageKind, SendError};

use super::{BINARY, Frame, TEXT};

use MessageKind::{Binary, Text};

pub(crate) fn with_buffer_of(bytes: usize) -> Config {
    let mut config = Config::default();
    config.max_buffered_amount = bytes;
    config
}

/// How a message is passed to the connection. Each way has its own path to the output.
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

/// Returns ASCII bytes, each different from its neighbours.
pub(crate) fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| b'!' + (index % 89) as u8).collect()
}

pub(crate) fn send(
    connection: &mut Connection,
    method: SendMethod,
    kind: MessageKind,
    payload: &[u8],
) -> Result<(), SendError> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    match (method, kind) {
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

/// Returns the frames of a message that is sent with this frame size.
pub(crate) fn fragments(kind: MessageKind, payload: &[u8], size: usize) -> Vec<Frame> {
    let mut frames: Vec<_> = payload.chunks(size).map(|piece| Frame::continuation(piece).fin(false)).collect();
    if frames.is_empty() {
        frames.push(Frame::continuation("").fin(false));
    }
    frames.first_mut().unwrap().opcode = opcode(kind);
    frames.last_mut().unwrap().fin = true;
    frames
}
