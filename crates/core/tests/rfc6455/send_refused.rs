//! Calls that send and are refused: their errors, and the connection afterwards.

use std::borrow::Cow;

use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Config, Connection, Instant, Message, MessageKind, ReadyState, Role, SendError};

use crate::support::*;

use MessageKind::{Binary, Text};

type Action = fn(&mut Connection);
/// A call that must be refused.
type RefusedCall = fn(&mut Connection) -> Result<(), SendError>;

// Section 5.6: shared text is validated, at any length.
#[test]
fn shared_text_must_be_utf8() {
    for role in BOTH {
        for bad in [&b"\xff"[..], b"cut \xe2\x82", &[&[b'a'; 5_000][..], b"\xc3"].concat()] {
            let mut connection = open(role);
            let refused = connection.send_shared(Text, Bytes::copy_from_slice(bad));
            assert_eq!(refused, Err(SendError::Utf8Invalid));
            assert_eq!((connection.buffered_amount(), connection.output().remaining()), (0, 0));
            connection.send_shared(Text, Bytes::from_static("é".as_bytes())).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::text("é")]);
        }
    }
}

// A refused message is returned, neither copied nor masked, and the limit is exact.
#[test]
fn a_message_that_does_not_fit_is_returned_as_it_was_passed() {
    // one that fits later, and one that never fits
    for size in [6_001, 10_001] {
        for role in BOTH {
            let mut connection = endpoint(role, &with_buffer_of(10_000));
            connection.send(payload(4_000)).unwrap();

            let message = payload(size);
            let address = message.as_ptr();
            let error = connection.send(message).unwrap_err();
            assert_eq!(matches!(error, SendError::BufferFull { size: 6_001, .. }), size == 6_001);
            assert_eq!(matches!(error, SendError::MessageTooLong { size: 10_001, limit: 10_000, .. }), size == 10_001);
            let Some(Message::Binary(Cow::Owned(back))) = error.into_message() else { panic!("not owned") };
            assert_eq!((back.as_ptr(), &back), (address, &payload(size)));

            let text = String::from_utf8(payload(size)).unwrap();
            match connection.send(&text).unwrap_err().into_message() {
                Some(Message::Text(Cow::Borrowed(back))) => assert!(std::ptr::eq(back, &*text)),
                other => panic!("{other:?}"),
            }

            let shared = Bytes::from(payload(size));
            let address = shared.as_ptr();
            let back = connection.send_shared(Text, shared).unwrap_err().into_message().unwrap();
            assert_eq!((back.as_ptr(), &back[..]), (address, &payload(size)[..]));

            assert_eq!(connection.buffered_amount(), 4_000);
            connection.send(payload(6_000)).unwrap();
            assert_eq!(connection.buffered_amount(), 10_000);
            assert!(matches!(connection.send("x"), Err(SendError::BufferFull { size: 1, .. })));
            assert_eq!(take_output(&mut connection), [Frame::binary(payload(4_000)), Frame::binary(payload(6_000))]);
            connection.send(payload(10_000)).unwrap();
        }
    }
}

// `Debug` of an error omits the message.
#[test]
fn an_error_prints_the_length_of_the_message_and_not_the_message() {
    let mut connection = endpoint(Role::Server, &with_buffer_of(10));
    connection.send("secret").unwrap();
    let text = String::from("secret");
    let shared = || Bytes::from_static(b"secret");
    let full = "BufferFull { size: 6, .. }";
    let too_long = "MessageTooLong { size: 12, limit: 10, .. }";
    assert_eq!(format!("{:?}", connection.send(&text).unwrap_err()), full);
    assert_eq!(format!("{:?}", connection.send_shared(Text, shared()).unwrap_err()), full);
    assert_eq!(format!("{:?}", connection.send_fragment(Text, "secret", true).unwrap_err()), full);
    assert_eq!(format!("{:?}", connection.send("secretsecret").unwrap_err()), too_long);
    for (error, expected) in [
        (SendError::CloseCodeNotSendable(CloseCode::ABNORMAL), "CloseCodeNotSendable(CloseCode(1006))"),
        (SendError::ControlPayloadTooLong(126), "ControlPayloadTooLong(126)"),
        (SendError::FragmentKindMismatch, "FragmentKindMismatch"),
        (SendError::MessageUnfinished, "MessageUnfinished"),
        (SendError::NotOpen(ReadyState::Closed), "NotOpen(Closed)"),
        (SendError::ReasonTooLong, "ReasonTooLong"),
        (SendError::Utf8Invalid, "Utf8Invalid"),
    ] {
        assert_eq!(format!("{error:?}"), expected);
        assert_eq!(format!("{:?}", error.clone().map(|()| "a message")), expected);
        assert_eq!(error.into_message(), None);
    }
}

// `?` converts the error to one without the message, and to a `Box<dyn Error>`.
#[test]
fn errors_convert_without_their_messages() {
    fn send(connection: &mut Connection, text: &str) -> Result<(), SendError> {
        Ok(connection.send(text)?)
    }
    fn send_shared(connection: &mut Connection, bytes: Bytes) -> Result<(), SendError> {
        Ok(connection.send_shared(Binary, bytes)?)
    }
    fn send_static(connection: &mut Connection) -> Result<(), Box<dyn std::error::Error>> {
        Ok(connection.send("12345678901")?)
    }
    let mut connection = endpoint(Role::Server, &with_buffer_of(10));
    let too_long = Err(SendError::MessageTooLong { message: (), size: 11, limit: 10 });
    assert_eq!(send(&mut connection, &"x".repeat(11)), too_long);
    assert_eq!(send_shared(&mut connection, payload(11).into()), too_long);
    assert!(send_static(&mut connection).unwrap_err().to_string().contains("`max_buffered_amount`"));
}

// Each payload byte that the transport takes makes room for another; the bytes of a head do not.
#[test]
fn every_payload_byte_that_is_taken_makes_room() {
    for role in BOTH {
        let head = if role == Role::Client { 6 } else { 2 };
        let mut connection = endpoint(role, &with_buffer_of(100));
        connection.send(payload(100)).unwrap();
        take(&mut connection, head);
        assert!(connection.send("a").is_err(), "a head is no payload");
        for round in 0..8 {
            take(&mut connection, 1);
            assert_eq!(connection.buffered_amount(), 99, "{round}");
            assert!(connection.send("ab").is_err());
            connection.send("a").unwrap();
            assert_eq!(connection.buffered_amount(), 100);
        }
    }
}

// Contract 11; CVE-2020-35896 (ws-rs): the heads of empty messages are bounded, too.
#[test]
fn empty_messages_are_bounded() {
    for role in BOTH {
        for limit in [0, 1, 1_000] {
            for method in SEND_METHODS {
                let mut connection = endpoint(role, &with_buffer_of(limit));
                let mut sent = 0;
                while send(&mut connection, method, Text, b"").is_ok() {
                    sent += 1;
                    assert!(sent < 10_000, "no limit");
                }
                assert!(connection.output().remaining() <= limit + 6);
                assert_eq!(connection.buffered_amount(), 0);
                assert_eq!(take_output(&mut connection), vec![Frame::text(""); sent]);
                assert_eq!(send(&mut connection, method, Text, b""), Ok(()));
            }
        }
    }
}

// Conformance 33; section 5.5: "All control frames MUST have a payload length of 125 bytes or less".
#[test]
fn pings_and_pongs_carry_at_most_125_bytes() {
    for role in BOTH {
        let mut connection = open(role);
        for length in [126, 127, 65_536] {
            assert_eq!(connection.ping(&payload(length)), Err(SendError::ControlPayloadTooLong(length)));
            assert_eq!(connection.pong(&payload(length)), Err(SendError::ControlPayloadTooLong(length)));
        }
        assert_eq!(connection.output().remaining(), 0);
        connection.ping(&payload(125)).unwrap();
        connection.pong(&payload(125)).unwrap();
        assert_eq!(take_output(&mut connection), [Frame::ping(payload(125)), Frame::pong(payload(125))]);
    }
}

// A partly written Ping counts as pending; a written one does not.
#[test]
fn a_written_ping_makes_room_for_another() {
    let mut config = Config::default();
    config.max_pending_controls = 2;
    for role in BOTH {
        let size = if role == Role::Client { 7 } else { 3 };
        let mut connection = endpoint(role, &config);
        connection.ping(b"1").unwrap();
        connection.ping(b"2").unwrap();
        take(&mut connection, size - 1);
        assert_eq!(connection.ping(b"3"), Err(SendError::BufferFull { message: (), size: 1 }));
        take(&mut connection, 1);
        assert_eq!(connection.ping(b"3"), Ok(()));
        assert_eq!(take_output(&mut connection), [Frame::ping("2"), Frame::ping("3")]);
    }
}

// A call that returns a `SendError` does not change the connection.
#[test]
fn a_refused_call_has_no_effect() {
    let offences: &[RefusedCall] = &[
        |connection| Ok(connection.send(vec![0; 101])?),
        |connection| Ok(connection.send_shared(Binary, Bytes::from(vec![0; 101]))?),
        |connection| Ok(connection.send_shared(Text, Bytes::from_static(b"\xff"))?),
        |connection| connection.send_fragment(Text, b"\xff", false),
        |connection| connection.send_fragment(Text, &[b'a'; 101], false),
        |connection| connection.ping(&[0; 126]),
        |connection| connection.pong(&[0; 126]),
        |connection| connection.close(CloseCode::ABNORMAL, "", Instant::EPOCH),
        |connection| connection.close(CloseCode::NORMAL, &"r".repeat(124), Instant::EPOCH),
        |connection| connection.close(CloseCode::NO_STATUS, "r", Instant::EPOCH),
    ];
    for role in BOTH {
        let mut connection = endpoint(role, &with_buffer_of(100));
        for offence in offences {
            assert!(offence(&mut connection).is_err());
            assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, 0));
            assert_eq!((connection.ready_state(), connection.poll_timeout()), (ReadyState::Open, None));
            connection.send("fine").unwrap();
            let bytes = take(&mut connection, usize::MAX);
            assert_eq!(feed(&mut open(other(role)), &bytes), (vec![text("fine")], Ok(())));
            let _ = feed(&mut connection, &wire(role, &[Frame::pong("")]));
        }
    }
}

// Section 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
#[test]
fn nothing_is_sent_unless_the_connection_is_open() {
    let reach: &[(Action, ReadyState)] = &[
        (|connection| connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap(), ReadyState::Closing),
        (|it| drop(feed(it, &wire(it.role(), &[Frame::close(1000, "")]))), ReadyState::Closing),
        (|it| drop(feed(it, &wire(it.role(), &[Frame::continuation("")]))), ReadyState::Closing),
        // the first fragment is not delivered yet
        (|connection| drop(connection.receive_eof(Instant::EPOCH)), ReadyState::Closing),
        (|connection| connection.write_lost(Instant::EPOCH), ReadyState::Closing),
        (|connection| connection.abort(Instant::EPOCH), ReadyState::Closing),
        (
            |connection| {
                connection.abort(Instant::EPOCH);
                assert!(pending_event(connection, Instant::EPOCH).is_some());
            },
            ReadyState::Closed,
        ),
    ];
    for role in BOTH {
        for (reach, state) in reach {
            for drained in [false, true] {
                let mut connection = open(role);
                connection.send_fragment(Text, b"begun", false).unwrap();
                reach(&mut connection);
                if drained {
                    take_output(&mut connection);
                }
                let before = (connection.output().remaining(), connection.buffered_amount());
                let refused = Err(SendError::NotOpen(*state));
                assert_eq!(connection.ready_state(), *state);
                for method in SEND_METHODS {
                    for length in [0, 1, 5_000] {
                        assert_eq!(send(&mut connection, method, Text, &payload(length)), refused);
                    }
                }
                assert_eq!(connection.ping(b""), refused);
                assert_eq!(connection.pong(b""), refused);
                assert_eq!((connection.output().remaining(), connection.buffered_amount()), before);
            }
        }
    }
}
