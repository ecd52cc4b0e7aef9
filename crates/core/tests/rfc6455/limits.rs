//! Every limit of `Config`: the value at the limit is accepted, one more is refused, and zero means zero. RFC 6455
//! section 10.4; Conformance 28.

use std::num::NonZeroUsize;

use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Config, Delivery, EncodedMessage, Message, MessageKind, Role, SendError};

use crate::support::*;

const FRAME: &str = "max_frame_payload";
const MESSAGE: &str = "max_message_size";
const EMPTY: &str = "max_empty_fragments";

fn config(change: impl Fn(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// Returns the event for a message with this payload, whole or in chunks.
fn delivered(config: &Config, opcode: u8, payload: &[u8]) -> OwnedEvent {
    let kind = if opcode == TEXT { MessageKind::Text } else { MessageKind::Binary };
    match (config.delivery, kind) {
        (Delivery::Chunks, _) => chunk(kind, payload, true),
        (_, MessageKind::Text) => text(String::from_utf8(payload.to_vec()).unwrap()),
        (_, MessageKind::Binary) => binary(payload),
    }
}

/// Runs a test with each kind of delivery: limits count the bytes that the peer sends, not those that are kept.
fn for_each_delivery(change: impl Fn(&mut Config), test: impl Fn(&Config)) {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        test(&config(|config| {
            config.delivery = delivery;
            change(config);
        }));
    }
}

/// CVE-2016-10542 (ws): every limit has a default.
#[test]
fn the_defaults_are_finite() {
    let default = Config::default();
    assert_eq!((default.max_frame_payload, default.max_message_size), (None, 16 << 20));
    let (frame, limit) = (Frame::binary(""), 16 << 20);
    check_both(&[frame.clone().claiming(limit)], &[], Ok(()));
    check_limit(&default, &[frame.claiming(limit + 1)], &[], (MESSAGE, limit, limit + 1));
    let begins = Frame::binary("a").fin(false);
    check_both(&[begins.clone(), Frame::continuation("").claiming(limit - 1)], &[], Ok(()));
    let exceeds = [begins, Frame::continuation("").claiming(limit)];
    check_limit(&default, &exceeds, &[], (MESSAGE, limit, limit + 1));
}

/// Section 7.4.1: the code is 1009 for messages that are too big, and 1008 for violations without a code of their own.
/// The error and the reason in the Close frame name the limit, its value and the size. The longest reason fits the
/// frame.
#[test]
fn the_error_names_the_exceeded_limit_and_its_numbers() {
    const LONGEST: u64 = (1 << 63) - 1;
    let none = config(|config| config.max_message_size = 0);
    let frame = Frame::binary("");
    let fragment = frame.clone().fin(false);
    let message = config(|config| config.max_message_size = 16 << 20);
    let rows = [
        (
            message.clone(),
            vec![frame.clone().claiming(20 << 20)],
            1009,
            (MESSAGE, 16 << 20, 20 << 20),
            "a message of 20,971,520 bytes exceeds the limit of 16,777,216 bytes (`max_message_size`)",
        ),
        (
            message.max_frame_payload(65_536),
            vec![frame.clone().claiming(65_537)],
            1009,
            (FRAME, 65_536, 65_537),
            "a frame of 65,537 bytes exceeds the limit of 65,536 bytes (`max_frame_payload`)",
        ),
        (
            config(|config| config.max_empty_fragments = 1_000),
            [vec![fragment], vec![Frame::continuation("").fin(false); 1_000]].concat(),
            1008,
            (EMPTY, 1_000, 1_001),
            "1,001 empty fragments in a row exceed the limit of 1,000 (`max_empty_fragments`)",
        ),
        (
            none.clone(),
            vec![frame.clone().claiming(LONGEST)],
            1009,
            (MESSAGE, 0, LONGEST),
            "a message of 9,223,372,036,854,775,807 bytes exceeds the limit of 0 bytes (`max_message_size`)",
        ),
        (
            none.max_frame_payload(LONGEST - 1),
            vec![frame.claiming(LONGEST)],
            1009,
            (FRAME, LONGEST - 1, LONGEST),
            "a frame of 9,223,372,036,854,775,807 bytes exceeds the limit of 9,223,372,036,854,775,806 bytes \
             (`max_frame_payload`)",
        ),
    ];
    for (config, frames, code, limit, reason) in rows {
        check_limit(&config, &frames, &[], limit);
        for role in BOTH {
            let mut connection = endpoint(role, &config);
            let error = feed(&mut connection, &wire(role, &frames)).1.unwrap_err();
            assert_eq!(error.to_string(), reason);
            assert_eq!(error.close_code().map(CloseCode::as_u16), Some(code));
            assert_eq!(take_output(&mut connection), [Frame::close(code, reason)]);
        }
    }
}

/// A frame that is longer than the limit on messages exceeds that limit, even if the limit on frames permits it.
#[test]
fn the_message_limit_applies_to_frames_too() {
    let rows = [
        (None, 100, 101, Some((MESSAGE, 100, 101))),
        (None, 101, 101, None),
        (None, 20 << 20, 20 << 20, None),
        (Some(100), 101, 101, Some((FRAME, 100, 101))),
        (Some(101), 101, 101, None),
        (Some(200), 100, 101, Some((MESSAGE, 100, 101))),
    ];
    for (max_frame_payload, max_message_size, length, exceeded) in rows {
        let config = Config::default().max_frame_payload(max_frame_payload).max_message_size(max_message_size);
        let frames = [Frame::binary("").claiming(length)];
        match exceeded {
            Some(limit) => check_limit(&config, &frames, &[], limit),
            None => check_both_with(&config, &frames, &[], Ok(())),
        }
    }
}

/// The announced lengths of earlier fragments count, and no sum overflows.
#[test]
fn the_reported_size_is_the_sum_of_the_announced_lengths() {
    let begins = [Frame::binary("1234").fin(false), Frame::continuation("56").fin(false)];
    let small = Config::default().max_message_size(10);
    let exceeds = [&begins[..], &[Frame::continuation("").claiming(5)]].concat();
    let binary = MessageKind::Binary;
    check_limit(&small, &exceeds, &[], (MESSAGE, 10, 11));
    let exceeds = [&begins[..], &[Frame::continuation("").claiming(u64::MAX >> 1)]].concat();
    check_limit(&small, &exceeds, &[], (MESSAGE, 10, (u64::MAX >> 1) + 6));
    let chunks = small.delivery(Delivery::Chunks);
    check_limit(&chunks, &exceeds, &[chunk(binary, "123456", false)], (MESSAGE, 10, (u64::MAX >> 1) + 6));
}

/// Limits around the lengths at which the encoding changes.
#[test]
fn a_frame_can_be_as_long_as_the_limit() {
    for limit in [0, 1, 124, 125, 126, 127, 65_535, 65_536] {
        for_each_delivery(
            |config| config.max_frame_payload = Some(limit),
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
                    let one_more = (FRAME, limit, limit + 1);
                    check_limit(config, &[Frame::new(opcode, &exceeds)], &[], one_more);
                    check_limit(config, &[begins.clone(), Frame::continuation(exceeds)], &[], one_more);
                    // by the head alone
                    for claim in [limit + 1, limit + 2, 1 << 40] {
                        let exceeded = (FRAME, limit, claim);
                        check_limit(config, &[Frame::new(opcode, "").claiming(claim)], &[], exceeded);
                        let continues = Frame::continuation("").claiming(claim);
                        check_limit(config, &[begins.clone(), continues], &[], exceeded);
                    }
                }
            },
        );
    }
}

#[test]
fn a_message_can_be_as_long_as_the_limit() {
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
                    let one_more = (MESSAGE, limit as u64, limit as u64 + 1);
                    check_limit(config, &[Frame::new(opcode, &exceeds)], &[], one_more);
                    // by the head alone
                    let exceeds = limit as u64 + 1;
                    check_limit(config, &[Frame::new(opcode, "").claiming(exceeds)], &[], one_more);
                    let begins = Frame::new(opcode, "").fin(false);
                    check_limit(config, &[begins.clone().claiming(exceeds)], &[], one_more);
                    let continues = Frame::continuation("").claiming(exceeds);
                    check_limit(config, &[begins, continues], &[], one_more);
                }
            },
        );
    }
}

/// Delivered chunks count.
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
            check_limit(config, &exceeds, before, (MESSAGE, 5, 6));
        },
    );
}

/// Control frames have limits of their own (section 5.5).
#[test]
fn limits_on_data_do_not_apply_to_control_frames() {
    let config = config(|config| (config.max_frame_payload, config.max_message_size) = (Some(0), 0));
    let frames = [Frame::ping([7; 125]), Frame::pong([8; 125]), Frame::text(""), Frame::close(1000, "bye")];
    check_both_with(&config, &frames, &[ping([7; 125]), pong([8; 125]), text(""), closed(1000, "bye")], Ok(()));
}

#[test]
fn the_highest_limits_permit_everything() {
    let config = config(|config| {
        config.max_frame_payload = Some(u64::MAX);
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
fn as_many_empty_fragments_in_a_row_as_the_limit_are_accepted() {
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
                let one_more = (EMPTY, limit.into(), u64::from(limit) + 1);
                check_limit(config, &exceeds, before, one_more);
                let all_empty = [vec![Frame::text("").fin(false)], empty].concat();
                check_limit(config, &all_empty, &[], one_more);
                // empty messages do not count
                let messages = vec![Frame::text(""); 30];
                check_both_with(config, &messages, &vec![delivered(config, TEXT, b""); 30], Ok(()));
            },
        );
    }
}

/// A refused call returns the message, and the connection stays usable.
#[test]
fn as_many_bytes_as_the_limit_can_be_pending() {
    for role in BOTH {
        for limit in [1, 10, 20_000] {
            let mut connection = endpoint(role, &config(|config| config.max_buffered_amount = limit));
            let longest = vec![b'x'; limit];
            connection.send(&longest).unwrap();
            assert_eq!(connection.buffered_amount(), limit);
            let full = || Err(SendError::BufferFull { message: (), size: limit });
            let message = Message::from(&longest);
            assert_eq!(connection.send(&longest), Err(SendError::BufferFull { message, size: limit }));
            let shared = Bytes::from(longest.clone());
            let unsent = Err(SendError::BufferFull { message: shared.clone(), size: limit });
            assert_eq!(connection.send_shared(MessageKind::Binary, shared), unsent);
            assert_eq!(connection.send_encoded(&EncodedMessage::new(&longest, &Config::default())), full());
            assert_eq!(connection.send_fragment(MessageKind::Binary, &longest, true), full());
            let error = connection.send("x").unwrap_err();
            assert_eq!(
                error.to_string(),
                "no room for a payload of 1 bytes now: let the transport take some of the output first"
            );
            assert_eq!(take_output(&mut connection), [Frame::binary(&longest)]);
            assert_eq!(connection.buffered_amount(), 0);
            connection.send_shared(MessageKind::Binary, longest.clone().into()).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::binary(&longest)]);
        }
    }
}

/// A message that can never fit has an error of its own, for any backlog.
#[test]
fn a_message_longer_than_the_buffer_can_never_be_sent() {
    for role in BOTH {
        for (limit, pending) in [(0, 0), (1, 0), (10, 0), (10, 10), (20_000, 0), (20_000, 1)] {
            let config = config(|config| config.max_buffered_amount = limit);
            let mut connection = endpoint(role, &config);
            connection.send(vec![0; pending]).unwrap();
            take_output(&mut connection);
            connection.send(vec![0; pending]).unwrap();
            let size = limit + 1;
            let too_long = vec![b'x'; size];
            let error = |message| Err(SendError::MessageTooLong { message, size, limit });
            assert_eq!(connection.send(&too_long), error(Message::from(&too_long)));
            assert_eq!(connection.send(too_long.clone()), error(Message::from(&too_long)));
            let shared = Bytes::from(too_long.clone());
            let unsent = Err(SendError::MessageTooLong { message: shared.clone(), size, limit });
            assert_eq!(connection.send_shared(MessageKind::Binary, shared), unsent);
            let unsent = Err(SendError::MessageTooLong { message: (), size, limit });
            assert_eq!(connection.send_encoded(&EncodedMessage::new(&too_long, &config)), unsent);
            assert_eq!(connection.send_fragment(MessageKind::Binary, &too_long, true), unsent);
            assert_eq!(connection.send_fragment(MessageKind::Binary, too_long, false), unsent);

            take_output(&mut connection);
            connection.send(vec![0; limit]).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::binary(vec![0; limit])]);
        }
    }
    let mut connection = endpoint(Role::Server, &config(|config| config.max_buffered_amount = 1_000));
    let error = connection.send(vec![0; 1_234_567]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a message of 1,234,567 bytes exceeds the limit of 1,000 bytes (`max_buffered_amount`)"
    );
}

#[test]
fn as_many_control_frames_as_the_limit_can_be_pending() {
    for role in BOTH {
        for limit in [0, 1, 64] {
            let mut connection = endpoint(role, &config(|config| config.max_pending_controls = limit));
            for index in 0..limit {
                let sent = if index % 2 == 0 { connection.ping(b"p") } else { connection.pong(b"p") };
                assert_eq!(sent, Ok(()));
            }
            let full = || Err(SendError::BufferFull { message: (), size: 1 });
            assert_eq!(connection.ping(b"p"), full());
            assert_eq!(connection.pong(b"p"), full());
            // 5.5.2: a Ping MUST be answered; replies have a limit of their own
            feed(&mut connection, &wire(role, &[Frame::ping("peer")])).1.unwrap();
            let mut expected: Vec<_> = [Frame::ping("p"), Frame::pong("p")].into_iter().cycle().take(limit).collect();
            expected.push(Frame::pong("peer"));
            assert_eq!(take_output(&mut connection), expected);
            assert_eq!(connection.ping(b"p").is_ok(), limit > 0, "there is room again");
        }
    }
}

/// A server with a backlog stops reading. A client never does, since two ends would wait for each other.
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
