//! A buffer of the caller's that is refilled: messages stay there until they are whole. That they are the same
//! messages, `support::check` shows for every wire test.

use std::borrow::Cow;
use std::io::Read;
use std::slice;

use sansocket::{CloseCode, Config, Connection, Event, Input, Instant, Message, MessageKind, ProtocolError, Role};

use crate::support::{BOTH, Failure, Frame, endpoint, open, wire};

/// Gives bytes of a buffer that takes so many; returns the kind and the payload of the first message, which must be
/// lent, how many bytes are left and how many are missing.
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
            (MessageKind::Binary, &binary[..4_095]),
            (MessageKind::Text, &text[..4_096]),
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

/// A message whose fragments are shorter, and longer, than all the heads before them; and its payload.
fn in_fragments(kind: MessageKind) -> (Vec<Frame>, Vec<u8>) {
    let lengths = [1, 3, 125, 1, 700, 8, 126, 70_000, 40, 5];
    let mut letters = (b'a'..=b'w').cycle();
    let fragments = lengths.map(|length| letters.by_ref().take(length).collect::<Vec<_>>());
    let mut frames: Vec<_> = fragments.iter().map(|fragment| Frame::continuation(fragment).fin(false)).collect();
    let first = if kind == MessageKind::Text { Frame::text(&fragments[0]) } else { Frame::binary(&fragments[0]) };
    frames[0] = first.fin(false);
    let last = frames.pop().unwrap();
    frames.push(last.fin(true));
    (frames, fragments.concat())
}

#[test]
fn a_message_in_fragments_that_fits_the_buffer_is_left_until_it_is_whole_and_then_lent() {
    for role in BOTH {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let (frames, payload) = in_fragments(kind);
            let wire = wire(role, &frames);
            let heads: Vec<_> = frames.iter().map(|frame| frame.clone().to(role).head_size()).collect();
            // from here to there it is not known how long the message is
            let open = heads[0]..wire.len() - 5;
            for capacity in [wire.len(), 1 << 20] {
                for step in [1, 2, 7, 100, 1_000, 40_000] {
                    let mut buffer = wire.clone();
                    let mut connection = self::open(role);
                    for given in (step..buffer.len()).step_by(step) {
                        let end = match given {
                            1 => 2,
                            given if given < open.start => heads[0],
                            given if open.contains(&given) => capacity,
                            _ => wire.len(),
                        };
                        let seen = give(&mut connection, &mut buffer[..given], capacity);
                        assert_eq!(seen, (None, given, end - given), "{role:?}, {given} by {step}");
                    }
                    let seen = give(&mut connection, &mut buffer, capacity);
                    assert_eq!(seen, (Some((kind, payload.clone())), 0, 0), "{role:?}, {step}");
                }
            }
        }
    }
}

/// At whatever place the buffer ends, or something else comes between the fragments.
#[test]
fn a_message_in_fragments_is_taken_where_it_cannot_be_left() {
    for role in BOTH {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let (mut frames, payload) = in_fragments(kind);
            let message = match kind {
                MessageKind::Text => Message::from(String::from_utf8(payload).unwrap()),
                MessageKind::Binary => Message::from(payload),
            };
            let message = Event::Message(message);
            let whole = wire(role, &frames);
            let short = whole.len() - 70_100;
            for capacity in (1..short).chain([whole.len() - 6, whole.len() - 2, whole.len() - 1]) {
                assert_eq!(received(role, &whole, capacity), slice::from_ref(&message), "{role:?}, {capacity}");
            }
            for place in 1..frames.len() {
                frames.insert(place, Frame::ping("?"));
                let events = [Event::Ping(b"?".into()), message.clone()];
                assert_eq!(received(role, &wire(role, &frames), 1 << 20), events, "{role:?}, {place}");
                frames[place] = Frame::continuation("").fin(false);
                assert_eq!(
                    received(role, &wire(role, &frames), 1 << 20),
                    slice::from_ref(&message),
                    "{role:?}, {place}"
                );
                frames.remove(place);
            }
        }
    }
}

/// What is received from a buffer that takes so many bytes and is filled as far as it goes.
fn received(role: Role, mut wire: &[u8], capacity: usize) -> Vec<Event<'static>> {
    let mut connection = open(role);
    let (mut buffer, mut filled, mut events) = (vec![0; capacity], 0, Vec::new());
    while !wire.is_empty() {
        let count = wire.read(&mut buffer[filled..]).unwrap();
        assert!(count > 0, "a full buffer is left");
        filled += count;
        let mut input = Input::refillable(&mut buffer[..filled], capacity);
        while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
            events.push(event.into_owned());
        }
        let left = input.remaining().len();
        buffer.copy_within(filled - left..filled, 0);
        filled = left;
    }
    events
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
fn the_head_of_a_control_frame_is_left_until_it_is_whole() {
    for role in BOTH {
        let mut wire = wire(role, &[Frame::ping("Hello")]);
        let head = wire.len() - 5;
        let mut connection = open(role);
        for given in 1..head {
            let missing = if given == 1 { 1 } else { head - given };
            assert_eq!(give(&mut connection, &mut wire[..given], 64), (None, given, missing), "{role:?}");
        }
        assert_eq!(give(&mut connection, &mut wire[..head + 2], 64), (None, 0, 0), "{role:?}");
        let event = connection.receive(&mut Input::refillable(&mut wire[head + 2..], 64), Instant::EPOCH);
        assert_eq!(event, Ok(Some(Event::Ping(b"Hello".into()))), "{role:?}");
    }
}

#[test]
fn fragments_that_were_left_may_be_given_to_be_taken() {
    for role in BOTH {
        let (frames, payload) = in_fragments(MessageKind::Binary);
        let whole = wire(role, &frames);
        for cut in (1..1_200).chain([whole.len() - 1]) {
            let mut wire = whole.clone();
            let (left, rest) = wire.split_at_mut(cut);
            let mut connection = open(role);
            for given in (1..=cut).step_by(10) {
                assert_eq!(give(&mut connection, &mut left[..given], 1 << 20).1, given, "{role:?}, {cut}");
            }
            assert_eq!(give(&mut connection, left, 0), (None, 0, 0), "{role:?}, {cut}");
            let event = connection.receive(&mut Input::new(rest), Instant::EPOCH);
            assert_eq!(event, Ok(Some(Event::Message(Message::from(payload.clone())))), "{role:?}, {cut}");
        }
    }
}

#[test]
fn what_was_left_may_be_given_to_be_taken() {
    for role in BOTH {
        for length in [5, 10_000] {
            for taken in (1..=5).chain([length / 2, length - 1]).filter(|&taken| taken < length) {
                let text = "a".repeat(length);
                let mut wire = wire(role, &[Frame::text(&text), Frame::binary([7; 300])]);
                let head = Frame::text(&text).to(role).head_size();
                let (left, rest) = wire.split_at_mut(head + taken);
                let mut connection = open(role);
                for given in (1..left.len()).step_by(length.div_ceil(1_000)) {
                    assert_eq!(give(&mut connection, &mut left[..given], 1 << 20).1, given, "{role:?}");
                }
                let mut events = Vec::new();
                for bytes in [left, rest] {
                    let mut input = Input::new(bytes);
                    while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                        events.push(event.into_owned());
                    }
                    assert!(input.is_empty(), "{role:?}");
                }
                let expected = [Message::from(text), Message::from(vec![7; 300])].map(Event::Message);
                assert_eq!(events, expected, "{role:?}");
            }
        }
    }
}

/// After the application has closed, what the peer still sends is received as before.
#[test]
fn what_was_left_is_received_while_the_connection_closes() {
    for role in BOTH {
        for length in [300, 10_000] {
            let mut wire = wire(role, &[Frame::binary(vec![7; length])]);
            let size = wire.len();
            let mut connection = open(role);
            assert_eq!(give(&mut connection, &mut wire[..200], size), (None, 200, size - 200), "{role:?}");
            connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
            assert_eq!(connection.receive(&mut Input::new(&mut []), Instant::EPOCH), Ok(None), "{role:?}");
            let event = connection.receive(&mut Input::refillable(&mut wire, size), Instant::EPOCH);
            assert_eq!(event, Ok(Some(Event::Message(Message::from(vec![7; length])))), "{role:?}");
        }
    }
}

/// A driver that gives something else than what was left gets something else, but does no harm.
#[test]
fn something_else_than_what_was_left_is_harmless() {
    for role in BOTH {
        for other in
            [&b""[..], b"\x82", b"\x82\xFE", b"\x89\x80\0\0\0\0", b"\x82\x85\x01", b"\x82\x81\0\0\0\0\0", &[0xFF; 64]]
        {
            let fragments = [Frame::binary([7; 90]).fin(false), Frame::continuation([7; 300])];
            for frames in [&[Frame::binary([7; 300])][..], &[Frame::binary([7; 10_000])], &fragments] {
                for capacity in [0, 8, 1 << 20] {
                    let mut wire = wire(role, frames);
                    let mut connection = open(role);
                    assert_eq!(give(&mut connection, &mut wire[..200], 1 << 20).1, 200);
                    let mut other = other.to_vec();
                    let _ = connection.receive(&mut Input::refillable(&mut other, capacity), Instant::EPOCH);
                }
            }
        }
    }
}

#[test]
fn nothing_is_left_of_a_message_that_is_too_long() {
    for role in BOTH {
        for (frames, limit, name) in [
            (vec![Frame::binary([7; 100])], 100, "max_message_size"),
            (vec![Frame::binary([7; 30]).fin(false), Frame::continuation([7; 70])], 100, "max_message_size"),
            (vec![Frame::binary([7; 30]).fin(false), Frame::continuation([7; 70])], 70, "max_frame_payload"),
        ] {
            let bytes = wire(role, &frames);
            for excess in [0, 1] {
                let mut config = Config::default();
                match name {
                    "max_frame_payload" => config.max_frame_payload = Some(limit - excess),
                    _ => config.max_message_size = limit as usize - excess as usize,
                }
                let mut bytes = bytes[..bytes.len() - 1].to_vec();
                let mut input = Input::refillable(&mut bytes, 4096);
                let result = endpoint(role, &config).receive(&mut input, Instant::EPOCH);
                let exceeded = Failure::Limit(name, limit - 1, limit);
                let expected = if excess == 0 { Ok(None) } else { Err(exceeded) };
                assert_eq!(result.map_err(Failure::from), expected, "{role:?}, {limit}");
                assert_eq!(input.missing(), if excess == 0 { 1 } else { 0 }, "{role:?}, {limit}");
                assert_eq!(input.is_empty(), excess == 1, "{role:?}, {limit}");
            }
        }
    }
}

#[test]
fn what_was_left_and_taken_counts_towards_the_limit() {
    for role in BOTH {
        for limit in [100, 101] {
            let mut config = Config::default();
            config.max_message_size = limit;
            let fragments = [Frame::binary([7; 30]).fin(false), Frame::continuation([7; 70]).fin(false)];
            let mut bytes = wire(role, &[&fragments[..], &[Frame::continuation([7])]].concat());
            let mut connection = endpoint(role, &config);
            let left = wire(role, &fragments).len() - 20;
            assert_eq!(give(&mut connection, &mut bytes[..left], 4096), (None, left, 4096 - left), "{role:?}");
            let event = connection.receive(&mut Input::new(&mut bytes), Instant::EPOCH).map_err(Failure::from);
            let message = Ok(Some(Event::Message(Message::from(vec![7; 101]))));
            let expected = if limit == 101 { message } else { Err(Failure::Limit("max_message_size", 100, 101)) };
            assert_eq!(event, expected, "{role:?}, {limit}");
        }
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

#[test]
fn nothing_is_missing_once_what_was_left_is_taken() {
    for role in BOTH {
        let mut bytes = wire(role, &[Frame::binary([7; 5])]);
        let most = bytes.len() - 1;
        let mut connection = open(role);
        let mut input = Input::refillable(&mut bytes[..most], 64);
        assert_eq!(connection.receive(&mut input, Instant::EPOCH), Ok(None));
        assert_eq!((input.remaining().len(), input.missing()), (most, 1), "{role:?}");
        connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        assert_eq!(connection.receive(&mut input, Instant::EPOCH), Ok(None));
        assert_eq!((input.remaining().len(), input.missing()), (0, 0), "{role:?}");
    }
}
