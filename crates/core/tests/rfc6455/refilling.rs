//! A buffer of the caller's that is refilled: messages stay there until they are whole. That they are the same messages,
//! `support::check` shows for every wire test.

use std::borrow::Cow;

use sansocket::{Config, Connection, Event, Input, Instant, Message, MessageKind, ProtocolError, Role};

use crate::support::{BOTH, Frame, endpoint, open, wire};

/// Gives bytes of a buffer that takes so many; returns the kind of the first message, how many bytes are left and how many
/// are missing. The message must be lent.
fn give(connection: &mut Connection, bytes: &[u8], capacity: usize) -> (Option<MessageKind>, usize, usize) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::refillable(&mut bytes, capacity);
    let kind = match connection.receive(&mut input, Instant::EPOCH).unwrap() {
        None => None,
        Some(Event::Message(Message::Binary(Cow::Borrowed(_)))) => Some(MessageKind::Binary),
        Some(Event::Message(Message::Text(Cow::Borrowed(_)))) => Some(MessageKind::Text),
        other => panic!("{other:?}"),
    };
    (kind, input.remaining().len(), input.missing())
}

#[test]
fn a_message_that_fits_the_buffer_is_left_until_it_is_whole_and_then_lent() {
    for role in BOTH {
        for (length, kind) in [
            (1, MessageKind::Binary),
            (125, MessageKind::Text),
            (300, MessageKind::Binary),
            (70_000, MessageKind::Text),
        ] {
            let frame = match kind {
                MessageKind::Binary => Frame::binary(vec![7; length]),
                MessageKind::Text => Frame::text(vec![b'x'; length]),
            };
            let head = frame.clone().to(role).head_size();
            let wire = wire(role, &[frame]);
            let mut connection = open(role);
            for given in [head, head + 1, wire.len() - 1].into_iter().filter(|&given| given < wire.len()) {
                let seen = give(&mut connection, &wire[..given], wire.len());
                assert_eq!(seen, (None, given, wire.len() - given), "{role:?}, {given} of {} bytes", wire.len());
            }
            assert_eq!(give(&mut connection, &wire, wire.len()), (Some(kind), 0, 0), "{role:?}");
        }
    }
}

#[test]
fn a_message_of_one_byte_more_than_the_buffer_takes_is_taken_as_it_comes() {
    for role in BOTH {
        let wire = wire(role, &[Frame::binary([7; 300])]);
        let (most, last) = wire.split_at(wire.len() - 1);
        let mut connection = open(role);
        assert_eq!(give(&mut connection, most, wire.len() - 1), (None, 0, 0), "{role:?}");
        let mut last = last.to_vec();
        let event = connection.receive(&mut Input::refillable(&mut last, wire.len() - 1), Instant::EPOCH);
        assert_eq!(event, Ok(Some(Event::Message(Message::from(vec![7; 300])))), "{role:?}");
    }
}

#[test]
fn what_was_left_may_be_given_to_be_taken() {
    let wire = wire(Role::Server, &[Frame::text("Hello")]);
    let mut connection = open(Role::Server);
    assert_eq!(give(&mut connection, &wire[..8], 64), (None, 8, 3));
    let (mut left, mut rest) = (wire[..8].to_vec(), wire[8..].to_vec());
    let mut input = Input::new(&mut left);
    assert_eq!(connection.receive(&mut input, Instant::EPOCH), Ok(None));
    assert!(input.is_empty());
    let event = connection.receive(&mut Input::refillable(&mut rest, 64), Instant::EPOCH);
    assert_eq!(event, Ok(Some(Event::Message(Message::from("Hello")))));
}

#[test]
fn nothing_is_left_of_a_message_that_is_too_long() {
    let mut config = Config::default();
    config.max_message_size = 100;
    for role in BOTH {
        let mut bytes = wire(role, &[Frame::binary([7; 101])])[..20].to_vec();
        let mut input = Input::refillable(&mut bytes, 4096);
        let result = endpoint(role, &config).receive(&mut input, Instant::EPOCH);
        assert_eq!(result, Err(ProtocolError::MessageTooLong.into()), "{role:?}");
        assert!(input.is_empty() && input.missing() == 0);
    }
}

#[test]
fn text_that_was_left_is_validated_when_it_is_whole_or_taken() {
    for role in BOTH {
        let wire = wire(role, &[Frame::text(b"\xFFello")]);
        let (most, _) = wire.split_at(wire.len() - 1);
        let (mut patient, mut prompt) = (open(role), open(role));
        assert_eq!(give(&mut patient, most, 64), (None, most.len(), 1), "{role:?}");
        for (connection, bytes) in [(&mut patient, &wire[..]), (&mut prompt, most)] {
            let mut bytes = bytes.to_vec();
            let result = connection.receive(&mut Input::new(&mut bytes), Instant::EPOCH);
            assert_eq!(result, Err(ProtocolError::Utf8Invalid.into()), "{role:?}");
        }
    }
}
