//! Events as the tests compare them.

use sansocket::{Error, Event, Initiator, Message, MessageKind};

/// An event that owns its data, in the types in which the tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Chunk { kind: MessageKind, payload: Vec<u8>, last: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    CloseReceived { code: u16, reason: String },
    Close { code: u16, reason: String, was_clean: bool, initiator: Initiator },
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.into_owned()),
            Event::Message(Message::Binary(bytes)) => Self::Binary(bytes.into_owned()),
            Event::Chunk(chunk) => {
                Self::Chunk { kind: chunk.kind, payload: chunk.payload.into_owned(), last: chunk.last }
            }
            Event::Ping(payload) => Self::Ping(payload.into_owned()),
            Event::Pong(payload) => Self::Pong(payload.into_owned()),
            Event::CloseReceived(frame) => {
                Self::CloseReceived { code: frame.code.as_u16(), reason: frame.reason.into() }
            }
            Event::Close(close) => Self::Close {
                code: close.code.as_u16(),
                reason: close.reason.into(),
                was_clean: close.was_clean,
                initiator: close.initiator,
            },
            event => panic!("not an event of an open connection: {event:?}"),
        }
    }
}

/// Converts the result of a call for comparison.
pub(crate) fn owned(event: Result<Option<Event<'_>>, Error>) -> Result<Option<OwnedEvent>, Error> {
    event.map(|event| event.map(OwnedEvent::from))
}

pub(crate) fn text(text: impl Into<String>) -> OwnedEvent {
    OwnedEvent::Text(text.into())
}

pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> OwnedEvent {
    OwnedEvent::Binary(bytes.as_ref().to_vec())
}

pub(crate) fn ping(bytes: impl AsRef<[u8]>) -> OwnedEvent {
    OwnedEvent::Ping(bytes.as_ref().to_vec())
}

pub(crate) fn pong(bytes: impl AsRef<[u8]>) -> OwnedEvent {
    OwnedEvent::Pong(bytes.as_ref().to_vec())
}

pub(crate) fn chunk(kind: MessageKind, bytes: impl AsRef<[u8]>, last: bool) -> OwnedEvent {
    OwnedEvent::Chunk { kind, payload: bytes.as_ref().to_vec(), last }
}

/// The event for the peer's Close frame.
pub(crate) fn close_received(code: u16, reason: &str) -> OwnedEvent {
    OwnedEvent::CloseReceived { code, reason: reason.into() }
}

/// The event at the end of a clean closing handshake that the peer began.
pub(crate) fn closed(code: u16, reason: &str) -> OwnedEvent {
    OwnedEvent::Close { code, reason: reason.into(), was_clean: true, initiator: Initiator::Peer }
}

/// The event at the end of a connection.
pub(crate) fn close_event(code: u16, reason: &str, was_clean: bool, initiator: Initiator) -> OwnedEvent {
    OwnedEvent::Close { code, reason: reason.to_owned(), was_clean, initiator }
}

/// The event at the end of TCP without a Close frame from the peer.
pub(crate) fn abnormal(initiator: Initiator) -> OwnedEvent {
    OwnedEvent::Close { code: 1006, reason: String::new(), was_clean: false, initiator }
}
