//! The small public types: their methods, `Display` and `Debug`.

use core::time::Duration;
use std::collections::BTreeSet;
use std::panic::{UnwindSafe, catch_unwind};

use sansocket::bytes::Buf;
use sansocket::{
    Accept, CloseCode, Config, Connection, Delivery, EncodedBatch, EncodedMessage, Event, FragmentPayload, Input,
    Instant, Message, MessageKind, ReadyState, Scratch, SendError, WebSocket,
};

/// The duration from a later moment to an earlier one is zero.
#[test]
fn the_difference_of_moments_is_never_negative() {
    let (earlier, later) = (Instant::from_nanos(7), Instant::from_nanos(1_000_000_010));
    assert_eq!(later - earlier, Duration::new(1, 3));
    assert_eq!(later.saturating_duration_since(earlier), Duration::new(1, 3));
    assert_eq!(earlier - later, Duration::ZERO);
    assert_eq!(earlier.saturating_duration_since(later), Duration::ZERO);
}

#[test]
fn only_a_text_message_is_text() {
    assert_eq!(Message::from("Hello").as_text(), Some("Hello"));
    assert_eq!(Message::from(b"Hello").as_text(), None);
    assert!(Message::from("").is_empty() && Message::from(b"").is_empty());
    assert!(!Message::from("Hello").is_empty() && !Message::from(b"Hello").is_empty());
}

/// Messages are equal if their payloads are, borrowed or owned.
#[test]
fn borrowed_and_owned_messages_are_equal() {
    let (text, bytes) = (String::from("Hello"), b"Hello".to_vec());
    assert_eq!(Message::from(&text), Message::from("Hello"));
    assert_eq!(Message::from(text.clone()), Message::from(&text));
    assert_eq!(Message::from(&bytes), Message::from(b"Hello"));
    assert_eq!(Message::from(bytes.clone()), Message::from(&bytes));
    assert_eq!(Message::from(&text).into_bytes(), bytes);
    assert_eq!(Message::from(&bytes).into_bytes(), bytes);
}

/// `into_owned` of every event of an open connection.
#[test]
fn an_owned_event_equals_the_borrowed_one() {
    let mut config = Config::default();
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        config.delivery = delivery;
        let key = [0; 4];
        let frames: Vec<u8> =
            [0x81, 0x82, 0x89, 0x8A].map(|first| [&[first, 0x85], &key[..], b"Hello"].concat()).concat();
        let mut bytes = [frames, vec![0x88, 0x80, 0, 0, 0, 0]].concat();
        let mut server = Connection::server(config.clone(), Instant::EPOCH);
        let mut input = Input::new(&mut bytes);
        let mut events = Vec::new();
        while let Some(event) = server.receive(&mut input, Instant::EPOCH).unwrap() {
            events.push(event);
        }
        server.output().advance(usize::MAX);
        events.extend(server.receive_eof(Instant::EPOCH).unwrap());
        assert!(
            matches!(events[..], [_, _, Event::Ping(_), Event::Pong(_), Event::CloseReceived(_), Event::Close(_)]),
            "{events:?}"
        );
        let owned: Vec<_> = events.iter().cloned().map(Event::into_owned).collect();
        assert_eq!(owned, events);
    }
}

/// `Display` and `Debug` of a close code show its number (7.4).
#[test]
fn a_close_code_is_printed_as_its_number() {
    assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001");
    assert_eq!(format!("{:>6}", CloseCode::ABNORMAL), "  1006");
    assert_eq!(format!("{:?}", CloseCode::GOING_AWAY), "CloseCode(1001)");
}

#[test]
fn each_state_has_its_own_not_open_message() {
    let states = [ReadyState::Connecting, ReadyState::Open, ReadyState::Closing, ReadyState::Closed];
    let messages: BTreeSet<_> = states.map(|state| SendError::<()>::NotOpen(state).to_string()).into();
    assert_eq!(messages.len(), states.len(), "{messages:?}");
    assert!(messages.contains("the connection is closing"), "{messages:?}");
}

/// `Debug` shows lengths, and omits payloads.
#[test]
fn payloads_are_not_printed() {
    let mut bytes = *b"secret";
    let mut input = Input::new(&mut bytes);
    assert_eq!(format!("{input:?}"), "Input { remaining: 6 }");
    input.discard();
    assert_eq!(format!("{:?}", FragmentPayload::from("secret")), "FragmentPayload { len: 6, .. }");
    let message = EncodedMessage::new("secret", &Config::default());
    assert_eq!(format!("{message:?}"), "EncodedMessage { kind: Text, len: 6 }");
    assert_eq!(format!("{:?}", EncodedBatch::new(&[message])), "EncodedBatch { count: 1, len: 6 }");

    assert_eq!(format!("{:?}", Scratch::default()), "Scratch { .. }");

    let mut server = Connection::server(Config::default(), Instant::EPOCH);
    server.send("secret").unwrap();
    server.ping(b"secret").unwrap();
    server.send_fragment(MessageKind::Text, b"secret", false).unwrap();
    let mut begun = [&[0x01, 0x86, 0, 0, 0, 0][..], b"secret"].concat();
    assert_eq!(server.receive(&mut Input::new(&mut begun), Instant::EPOCH), Ok(None));
    let debug = format!("{server:?}");
    assert!(!debug.contains("secret") && !debug.contains("115, 101, 99, 114, 101, 116"), "{debug}");
}

/// Bytes that a driver forgot to pass to `receive` are lost, so debug builds panic. `discard` prevents it.
#[test]
fn the_drop_of_an_input_with_bytes_left_panics_in_debug_builds() {
    fn is_caught(test: impl FnOnce(&mut [u8]) + UnwindSafe) -> bool {
        // two Pings
        catch_unwind(|| test(&mut [0x89, 0x80, 1, 2, 3, 4, 0x89, 0x80, 1, 2, 3, 4])).is_err()
    }
    fn receive_once(input: &mut Input<'_>) {
        let event = Connection::server(Config::default(), Instant::EPOCH).receive(input, Instant::EPOCH);
        assert!(matches!(event, Ok(Some(Event::Ping(_)))));
    }
    let is_checked = cfg!(all(debug_assertions, feature = "std"));
    assert_eq!(is_caught(|bytes| drop(Input::new(bytes))), is_checked);
    assert_eq!(is_caught(|bytes| receive_once(&mut Input::new(bytes))), is_checked);
    assert!(!is_caught(|bytes| receive_once(&mut Input::new(&mut bytes[..6]))));
    assert!(!is_caught(|bytes| drop(Input::new(&mut bytes[..0]))));
    assert!(!is_caught(|bytes| {
        let mut input = Input::new(bytes);
        receive_once(&mut input);
        input.discard();
        assert!(input.is_empty());
    }));
    // a failure discards the rest
    assert!(!is_caught(|bytes| {
        bytes[0] |= 0x40;
        let error =
            Connection::server(Config::default(), Instant::EPOCH).receive(&mut Input::new(bytes), Instant::EPOCH);
        assert!(error.is_err());
    }));
    // a second panic, which would abort the process, is avoided
    assert!(is_caught(|bytes| {
        let _input = Input::new(bytes);
        panic!("a handler");
    }));
}

/// The borrow of the bytes ends with the last use of the input, even if it is still in scope, in all builds.
#[test]
fn an_input_borrows_its_bytes_until_its_last_use() {
    let mut bytes = [0x89, 0x80, 1, 2, 3, 4];
    let mut server = Connection::server(Config::default(), Instant::EPOCH);
    let mut input = Input::new(&mut bytes);
    while server.receive(&mut input, Instant::EPOCH).unwrap().is_some() {}
    let _in_scope = input.is_empty();
    bytes.fill(0);
}

/// 4.2.2: the agreement of a `WebSocket` before and after its opening handshake, with a scratch attached.
#[test]
fn a_server_selects_the_first_offered_protocol_that_it_supports() {
    let mut request = b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: mqtt, chat, superchat\r\n\r\n"
        .to_vec();
    let mut scratch = Scratch::new();
    let mut server = WebSocket::server(Config::default(), Instant::EPOCH);
    assert_eq!(server.protocol(), None);
    server.attach_scratch(&mut scratch);
    let event = server.receive(&mut Input::new(&mut request), Instant::EPOCH);
    let Ok(Some(Event::Request(request))) = event else { panic!("{event:?}") };
    let accept = Accept::new().first_protocol(&request, &["superchat", "chat"]);
    server.accept(accept, Instant::EPOCH).unwrap();
    assert_eq!(server.protocol(), Some("chat"));
    server.detach_scratch(&mut scratch);
}

/// The versions of the `http` crate that can carry a response.
#[cfg(feature = "http")]
#[test]
fn a_response_converts_from_every_version_since_http_1_0() {
    use http::Version;
    use sansocket::Response;

    for (version, is_valid) in [
        (Version::HTTP_09, false),
        (Version::HTTP_10, true),
        (Version::HTTP_11, true),
        (Version::HTTP_2, true),
        (Version::HTTP_3, true),
    ] {
        let (parts, ()) = http::Response::builder().version(version).body(()).unwrap().into_parts();
        assert_eq!(Response::try_from(&parts).is_ok(), is_valid, "{version:?}");
    }
}
