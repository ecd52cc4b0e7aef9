//! A buffer of the caller's that is refilled: messages stay there until they are whole. That they are the same messages,
//! `support::check` shows for every wire test.

use std::borrow::Cow;

use sansocket::{Config, Connection, Event, Input, Instant, Message, MessageKind, ProtocolError};

use crate::support::{BOTH, Frame, endpoint, open, wire};

/// Gives bytes of a buffer that takes so many; returns the kind and the payload of the first message, which must be lent,
/// how many bytes are left and how many are missing.
fn give(
    connection: &mut Connection,
    bytes: &mut [u8],
    capacity: usize,
) -> (Option<(MessageKind, Vec<u8>)>, usize, usize) {
    let mut input = Input::refillable(bytes, capacity);
    let message = match connection.receive(&mut input, Instant::EPOCH).unwrap() {
        None => None,
        Some(Event::Message(Message::Binary(Cow::Borrowed(bytes)))) => Some((MessageKind::Binary, bytes.to_vec())),
        Some(Event::Message(Message::Text(Cow::Borrowed(text)))) => Some((MessageKind::Text, text.into())),
        other => panic!("{other:?}"),
    };
    (message, input.remaining().len(), input.missing())
}

#[test]
fn a_message_that_fits_the_buffer_is_left_until_it_is_whole_and_then_lent() {
    let binary: Vec<u8> = (0..70_000).map(|index| (index % 251) as u8).collect();
    let text: Vec<u8> = (0..70_000).map(|index| b'a' + (index % 23) as u8).collect();
    for role in BOTH {
        for (kind, payload) in [
            (MessageKind::Binary, &binary[..1]),
            (MessageKind::Text, &text[..125]),
            (MessageKind::Binary, &binary[..300]),
            (MessageKind::Text, &text),
            (MessageKind::Binary, &binary),
        ] {
            let frame = if kind == MessageKind::Text { Frame::text(payload) } else { Frame::binary(payload) };
            let head = frame.clone().to(role).head_size();
            let mut wire = wire(role, &[frame]);
            let size = wire.len();
            let mut connection = open(role);
            let beginnings = (1..=head).chain([head, head + 1, size.div_ceil(2).max(head), size - 1]);
            for given in beginnings.filter(|&given| given < size) {
                let seen = give(&mut connection, &mut wire[..given], size);
                let missing = match given {
                    1 => 1,
                    given if given < head => head - given,
                    given => size - given,
                };
                assert_eq!(seen, (None, given, missing), "{role:?}, {given} of {size} bytes");
            }
            assert_eq!(give(&mut connection, &mut wire, size), (Some((kind, payload.to_vec())), 0, 0), "{role:?}");
        }
    }
}

#[test]
fn a_message_of_one_byte_more_than_the_buffer_takes_is_taken_as_it_comes() {
    for role in BOTH {
        let mut wire = wire(role, &[Frame::binary([7; 300])]);
        let capacity = wire.len() - 1;
        let (most, last) = wire.split_at_mut(capacity);
        let mut connection = open(role);
        assert_eq!(give(&mut connection, most, capacity), (None, 0, 0), "{role:?}");
        let event = connection.receive(&mut Input::refillable(last, capacity), Instant::EPOCH);
        assert_eq!(event, Ok(Some(Event::Message(Message::from(vec![7; 300])))), "{role:?}");
    }
}

#[test]
fn a_head_that_does_not_fit_the_buffer_is_taken_as_it_comes() {
    for role in BOTH {
        let mut wire = wire(role, &[Frame::binary([7; 300])]);
        let head = wire.len() - 300;
        let mut connection = open(role);
        assert_eq!(give(&mut connection, &mut wire[..2], head - 1), (None, 0, 0), "{role:?}");
        let event = connection.receive(&mut Input::new(&mut wire[2..]), Instant::EPOCH);
        assert_eq!(event, Ok(Some(Event::Message(Message::from(vec![7; 300])))), "{role:?}");
    }
}

#[test]
fn what_was_left_may_be_given_to_be_taken() {
    for role in BOTH {
        for taken in 1..=5 {
            let mut wire = wire(role, &[Frame::text("Hello"), Frame::binary([7; 300])]);
            let head = Frame::text("Hello").to(role).head_size();
            let (left, rest) = wire.split_at_mut(head + taken);
            let mut connection = open(role);
            for given in 1..left.len() {
                assert_eq!(give(&mut connection, &mut left[..given], 64).1, given, "{role:?}");
            }
            let mut events = Vec::new();
            for bytes in [left, rest] {
                let mut input = Input::new(bytes);
                while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                    events.push(event.into_owned());
                }
                assert!(input.is_empty(), "{role:?}");
            }
            let expected = [Message::from("Hello"), Message::from(vec![7; 300])].map(Event::Message);
            assert_eq!(events, expected, "{role:?}");
        }
    }
}

/// After the application has closed, what the peer still sends is received as before.
#[test]
fn what_was_left_is_received_while_the_connection_closes() {
    for role in BOTH {
        let mut wire = wire(role, &[Frame::binary([7; 300])]);
        let size = wire.len();
        let mut connection = open(role);
        assert_eq!(give(&mut connection, &mut wire[..200], size), (None, 200, size - 200), "{role:?}");
        connection.close(sansocket::CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        assert_eq!(connection.receive(&mut Input::new(&mut []), Instant::EPOCH), Ok(None), "{role:?}");
        let event = connection.receive(&mut Input::refillable(&mut wire, size), Instant::EPOCH);
        assert_eq!(event, Ok(Some(Event::Message(Message::from(vec![7; 300])))), "{role:?}");
    }
}

/// A driver that gives something else than what was left gets something else, but does no harm.
#[test]
fn something_else_than_what_was_left_is_harmless() {
    for role in BOTH {
        for other in
            [&b""[..], b"\x82", b"\x82\xFE", b"\x89\x80\0\0\0\0", b"\x82\x85\x01", b"\x82\x81\0\0\0\0\0", &[0xFF; 64]]
        {
            let mut wire = wire(role, &[Frame::binary([7; 300])]);
            let size = wire.len();
            for capacity in [0, 8, 4096] {
                let mut connection = open(role);
                assert_eq!(give(&mut connection, &mut wire[..200], size), (None, 200, size - 200));
                let mut other = other.to_vec();
                let _ = connection.receive(&mut Input::refillable(&mut other, capacity), Instant::EPOCH);
            }
        }
    }
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
        let mut whole = wire(role, &[Frame::text(b"\xFFello")]);
        let most = whole.len() - 1;
        let mut part = whole[..most].to_vec();
        for bytes in [&mut whole, &mut part] {
            let mut connection = open(role);
            assert_eq!(give(&mut connection, &mut bytes[..most], 64), (None, most, 1), "{role:?}");
            let result = connection.receive(&mut Input::new(bytes), Instant::EPOCH);
            assert_eq!(result, Err(ProtocolError::Utf8Invalid.into()), "{role:?}");
        }
    }
}
