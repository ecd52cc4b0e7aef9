//! Every limit of `Config` at its edge: exactly at it all is well, one beyond is refused, and zero means zero.
//! RFC 6455 section 10.4; Conformance 28; the advisories are named where they belong.

use std::num::NonZeroUsize;

use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Config, Delivery, Message, MessageKind, ProtocolError, Role, SendError};

use crate::support::*;

const FRAME_TOO_LONG: Result<(), ProtocolError> = Err(ProtocolError::FrameTooLong);
const MESSAGE_TOO_LONG: Result<(), ProtocolError> = Err(ProtocolError::MessageTooLong);

fn config(change: impl Fn(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// The event for a message of this payload, whole or in chunks.
fn delivered(config: &Config, opcode: u8, payload: &[u8]) -> Seen {
    let kind = if opcode == TEXT { MessageKind::Text } else { MessageKind::Binary };
    match (config.delivery, kind) {
        (Delivery::Chunks, _) => chunk(kind, payload, true),
        (_, MessageKind::Text) => text(String::from_utf8(payload.to_vec()).unwrap()),
        (_, MessageKind::Binary) => binary(payload),
    }
}

/// With each kind of delivery: limits count what the peer sends, not what is kept.
fn for_each_delivery(change: impl Fn(&mut Config), test: impl Fn(&Config)) {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        test(&config(|config| {
            config.delivery = delivery;
            change(config);
        }));
    }
}

/// CVE-2016-10542 (ws): there are limits without asking for them.
#[test]
fn the_defaults_are_finite() {
    let default = Config::default();
    assert_eq!((default.max_frame_payload, default.max_message_size), (16 << 20, 16 << 20));
    let frame = Frame::binary("");
    check_both(&[frame.clone().claiming(16 << 20)], &[], Ok(()));
    check_both(&[frame.claiming((16 << 20) + 1)], &[], FRAME_TOO_LONG);
    check_both(&[Frame::binary("a").fin(false), Frame::continuation("").claiming((16 << 20) - 1)], &[], Ok(()));
    check_both(&[Frame::binary("a").fin(false), Frame::continuation("").claiming(16 << 20)], &[], MESSAGE_TOO_LONG);
}

/// Section 7.4.1: 1009 is for messages too big, 1008 for what is wrong with no other code.
#[test]
fn limits_have_their_status_codes() {
    assert_eq!(ProtocolError::FrameTooLong.close_code(), CloseCode::MESSAGE_TOO_BIG);
    assert_eq!(ProtocolError::MessageTooLong.close_code(), CloseCode::MESSAGE_TOO_BIG);
    assert_eq!(ProtocolError::EmptyFragmentsTooMany.close_code(), CloseCode::POLICY_VIOLATION);
    assert_eq!(CloseCode::MESSAGE_TOO_BIG.as_u16(), 1009);
    assert_eq!(CloseCode::POLICY_VIOLATION.as_u16(), 1008);
}

/// Around every change of the length's encoding, where a wrong comparison would hide.
#[test]
fn a_frame_may_be_as_long_as_the_limit() {
    for limit in [0, 1, 124, 125, 126, 127, 65_535, 65_536] {
        for_each_delivery(
            |config| config.max_frame_payload = limit,
            |config| {
                let payload = vec![b'x'; limit as usize];
                for opcode in [TEXT, BINARY] {
                    let fits = Frame::new(opcode, &payload);
                    check_both_with(config, &[fits], &[delivered(config, opcode, &payload)], Ok(()));
                    let begins = Frame::new(opcode, "").fin(false);
                    let continues = Frame::continuation(&payload);
                    check_both_with(
                        config,
                        &[begins.clone(), continues],
                        &[delivered(config, opcode, &payload)],
                        Ok(()),
                    );
                    let exceeds = [&payload[..], b"x"].concat();
                    check_both_with(config, &[Frame::new(opcode, &exceeds)], &[], FRAME_TOO_LONG);
                    check_both_with(config, &[begins.clone(), Frame::continuation(exceeds)], &[], FRAME_TOO_LONG);
                    // by the head alone
                    for claim in [limit + 1, limit + 2, 1 << 40] {
                        check_both_with(config, &[Frame::new(opcode, "").claiming(claim)], &[], FRAME_TOO_LONG);
                        let continues = Frame::continuation("").claiming(claim);
                        check_both_with(config, &[begins.clone(), continues], &[], FRAME_TOO_LONG);
                    }
                }
            },
        );
    }
}

#[test]
fn a_message_may_be_as_long_as_the_limit() {
    for limit in [0, 1, 125, 126, 65_535, 65_536] {
        for_each_delivery(
            |config| config.max_message_size = limit,
            |config| {
                let payload = vec![b'x'; limit];
                for opcode in [TEXT, BINARY] {
                    let events = [delivered(config, opcode, &payload)];
                    check_both_with(config, &[Frame::new(opcode, &payload)], &events, Ok(()));
                    let (first, rest) = payload.split_at(limit / 2);
                    let begins = Frame::new(opcode, first).fin(false);
                    check_both_with(config, &[begins, Frame::continuation(rest)], &events, Ok(()));

                    let exceeds = [&payload[..], b"x"].concat();
                    check_both_with(config, &[Frame::new(opcode, &exceeds)], &[], MESSAGE_TOO_LONG);
                    // by the head alone
                    let exceeds = limit as u64 + 1;
                    check_both_with(config, &[Frame::new(opcode, "").claiming(exceeds)], &[], MESSAGE_TOO_LONG);
                    let begins = Frame::new(opcode, "").fin(false);
                    check_both_with(config, &[begins.clone().claiming(exceeds)], &[], MESSAGE_TOO_LONG);
                    let continues = Frame::continuation("").claiming(exceeds);
                    check_both_with(config, &[begins, continues], &[], MESSAGE_TOO_LONG);
                }
            },
        );
    }
}

/// Chunks that were handed over count.
#[test]
fn the_message_limit_is_for_the_sum_of_fragments() {
    for_each_delivery(
        |config| config.max_message_size = 5,
        |config| {
            let begins = [Frame::binary("12").fin(false), Frame::continuation("34").fin(false)];
            let before: &[_] = match config.delivery {
                Delivery::Chunks => &[chunk(MessageKind::Binary, "1234", false)],
                _ => &[],
            };
            let fits = [&begins[..], &[Frame::continuation("5").fin(false), Frame::continuation("")]].concat();
            check_both_with(config, &fits, &[delivered(config, BINARY, b"12345")], Ok(()));
            let exceeds = [&begins[..], &[Frame::continuation("").claiming(2)]].concat();
            check_both_with(config, &exceeds, before, MESSAGE_TOO_LONG);
        },
    );
}

/// Section 5.5 has limits of its own: Pings are not messages.
#[test]
fn control_frames_are_not_limited_as_data_is() {
    let config = config(|config| (config.max_frame_payload, config.max_message_size) = (0, 0));
    let frames = [Frame::ping([7; 125]), Frame::pong([8; 125]), Frame::text(""), Frame::close(1000, "bye")];
    check_both_with(&config, &frames, &[ping([7; 125]), pong([8; 125]), text(""), closed(1000, "bye")], Ok(()));
}

#[test]
fn limits_at_their_highest_let_all_pass() {
    let config = config(|config| {
        config.max_frame_payload = u64::MAX;
        config.max_message_size = usize::MAX;
        config.max_empty_fragments = u32::MAX;
        config.max_buffered_amount = usize::MAX;
        config.high_water_mark = usize::MAX;
        config.max_pending_controls = usize::MAX;
        config.max_sent_frame_payload = NonZeroUsize::MAX;
    });
    let frames = [Frame::text("a").fin(false), Frame::continuation(""), Frame::ping("p")];
    check_both_with(&config, &frames, &[text("a"), ping("p")], Ok(()));
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send("a").unwrap();
        connection.send_shared(MessageKind::Binary, Bytes::from_static(b"b")).unwrap();
        connection.send(vec![b'c'; 10_000]).unwrap();
        assert!(connection.wants_read());
        let expected = [Frame::text("a"), Frame::binary("b"), Frame::binary([b'c'; 10_000])];
        assert_eq!(take_output(&mut connection), expected);
    }
}

/// CVE-2026-42786 (bandit).
#[test]
fn as_many_empty_fragments_in_a_row_as_the_limit_may_come() {
    for limit in [0, 1, 2, 10] {
        for_each_delivery(
            |config| config.max_empty_fragments = limit,
            |config| {
                let empty = vec![Frame::continuation("").fin(false); limit as usize];
                let begins = vec![Frame::text("a").fin(false)];
                let fits = [begins.clone(), empty.clone(), vec![Frame::continuation("")]].concat();
                check_both_with(config, &fits, &[delivered(config, TEXT, b"a")], Ok(()));

                let before: &[_] = match config.delivery {
                    Delivery::Chunks => &[chunk(MessageKind::Text, "a", false)],
                    _ => &[],
                };
                let exceeds = [begins, empty.clone(), vec![Frame::continuation("").fin(false)]].concat();
                check_both_with(config, &exceeds, before, Err(ProtocolError::EmptyFragmentsTooMany));
                let all_empty = [vec![Frame::text("").fin(false)], empty].concat();
                check_both_with(config, &all_empty, &[], Err(ProtocolError::EmptyFragmentsTooMany));
                // empty messages are no fragments
                let messages = vec![Frame::text(""); 30];
                check_both_with(config, &messages, &vec![delivered(config, TEXT, b""); 30], Ok(()));
            },
        );
    }
}

/// What is handed back is what was given, and the connection goes on.
#[test]
fn as_many_bytes_as_the_limit_may_wait() {
    for role in BOTH {
        for limit in [0, 1, 10, 20_000] {
            let mut connection = endpoint(role, &config(|config| config.max_buffered_amount = limit));
            let too_long = vec![b'x'; limit + 1];
            let given_back = Err(SendError::BufferFull(Some(Message::from(too_long.clone()))));
            assert_eq!(connection.send(too_long.clone()), given_back);
            assert_eq!(connection.send(&too_long), given_back);
            let full = Err(SendError::BufferFull(None));
            assert_eq!(connection.send_shared(MessageKind::Binary, too_long.clone().into()), full);
            assert_eq!(connection.send_fragment(MessageKind::Binary, &too_long, true), full);
            assert!(!connection.output().has_remaining());

            let fits = &too_long[..limit];
            connection.send(fits).unwrap();
            assert_eq!(connection.buffered_amount(), limit);
            assert_eq!(connection.send("x"), Err(SendError::BufferFull(Some(Message::from("x")))));
            assert_eq!(take_output(&mut connection), [Frame::binary(fits)]);
            assert_eq!(connection.buffered_amount(), 0);
            connection.send_shared(MessageKind::Binary, fits.to_vec().into()).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::binary(fits)]);
        }
    }
}

/// CVE-2020-35896 (ws-rs): empty messages have no payload, but heads; they are bounded too.
#[test]
fn empty_messages_cannot_wait_without_end() {
    for role in BOTH {
        let mut connection = endpoint(role, &config(|config| config.max_buffered_amount = 100));
        let accepted = (0..1_000).take_while(|_| connection.send("").is_ok()).count();
        assert!((1..=60).contains(&accepted), "{accepted}");
        assert!(connection.output().remaining() <= 2 * 100 + 14);
        assert_eq!(take_output(&mut connection).len(), accepted);
        connection.send("").unwrap();
    }
}

#[test]
fn as_many_control_frames_as_the_limit_may_wait() {
    for role in BOTH {
        for limit in [0, 1, 64] {
            let mut connection = endpoint(role, &config(|config| config.max_pending_controls = limit));
            for _ in 0..limit {
                connection.ping(b"p").unwrap();
            }
            assert_eq!(connection.ping(b"p"), Err(SendError::BufferFull(None)));
            assert_eq!(connection.pong(b"p"), Err(SendError::BufferFull(None)));
            // 5.5.2: a Ping MUST be answered, whatever the application has filled
            feed(&mut connection, &wire(role, &[Frame::ping("peer")])).1.unwrap();
            let expected = [vec![Frame::ping("p"); limit], vec![Frame::pong("peer")]].concat();
            assert_eq!(take_output(&mut connection), expected);
        }
    }
}

/// Section 5.4: messages as long as the limit leave in one frame, longer ones in fragments.
#[test]
fn a_sent_frame_is_as_long_as_the_limit() {
    let sent = |role, limit, length: usize, owned: bool| -> Vec<usize> {
        let config = config(|config| config.max_sent_frame_payload = NonZeroUsize::new(limit).unwrap());
        let mut connection = endpoint(role, &config);
        let payload = vec![b'x'; length];
        if owned {
            connection.send(payload.clone()).unwrap()
        } else {
            connection.send(&payload).unwrap()
        }
        let frames = take_output(&mut connection);
        assert_eq!(frames.iter().flat_map(|frame| frame.payload.clone()).collect::<Vec<_>>(), payload);
        frames.iter().map(|frame| frame.payload.len()).collect()
    };
    for role in BOTH {
        for owned in [true, false] {
            for limit in [1, 10, 5_000] {
                assert_eq!(sent(role, limit, limit - 1, owned), [limit - 1]);
                assert_eq!(sent(role, limit, limit, owned), [limit]);
                assert_eq!(sent(role, limit, limit + 1, owned), [limit, 1]);
                assert_eq!(sent(role, limit, 2 * limit, owned), [limit, limit]);
            }
        }
    }
}

/// A server that is not read from stops reading; a client never does, or two of them would wait for each other.
#[test]
fn a_server_reads_while_its_output_is_at_most_the_high_water_mark() {
    for role in BOTH {
        for limit in [0, 10] {
            let mut connection = endpoint(role, &config(|config| config.high_water_mark = limit));
            assert!(connection.wants_read());
            while connection.output().remaining() < limit {
                connection.send("").unwrap();
            }
            while connection.output().remaining() > limit {
                connection.output().advance(1);
            }
            assert!(connection.wants_read());
            connection.send("").unwrap();
            assert_eq!(connection.wants_read(), role == Role::Client);
            while connection.output().remaining() > limit {
                connection.output().advance(1);
            }
            assert!(connection.wants_read());
        }
    }
}
