//! `Output` as a `Buf`, which payloads are copied, and the order of control frames (sections 5.4 and 5.5).

use std::io::IoSlice;

use proptest::prelude::*;
use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Config, Connection, Instant, MessageKind, Role};

use crate::support::*;

use MessageKind::{Binary, Text};

/// Returns the slices for `writev`.
fn slices(connection: &mut Connection, count: usize) -> Vec<Vec<u8>> {
    let mut slices = vec![IoSlice::new(&[]); count];
    let output = connection.output();
    let filled = output.chunks_vectored(&mut slices);
    assert!(slices[filled..].iter().all(|slice| slice.is_empty()), "slices beyond the count were touched");
    slices[..filled].iter().map(|slice| slice.to_vec()).collect()
}

/// Queues every kind of frame: shared, owned, copied, fragmented, control frames, Close.
fn fill(connection: &mut Connection) {
    let role = connection.role();
    connection.send("begun").unwrap();
    take(connection, 1);
    connection.send_shared(Binary, Bytes::from(vec![1; 6_000])).unwrap();
    connection.send_shared(Text, Bytes::new()).unwrap();
    connection.ping(b"first").unwrap();
    connection.send(vec![2; 70_000]).unwrap();
    connection.send("").unwrap();
    connection.send_fragment(Text, b"by", false).unwrap();
    let _ = feed(connection, &wire(role, &[Frame::ping(""), Frame::ping("second")]));
    connection.send_fragment(Text, b" hand", true).unwrap();
    connection.send(&[3; 2_000]).unwrap();
    connection.close(CloseCode::NORMAL, "end", Instant::EPOCH).unwrap();
}

/// Returns filled connections, with frame sizes for which the output has different segments.
fn filled() -> impl Iterator<Item = Connection> {
    BOTH.into_iter().flat_map(|role| {
        [100, 5_000, 1 << 20].into_iter().map(move |size| {
            let mut connection = endpoint(role, &with_frames_of(size));
            fill(&mut connection);
            connection
        })
    })
}

// The contract of `bytes::Buf`: the chunk is empty if and only if nothing remains. The vectored chunks begin with it,
// and are the next bytes.
#[test]
fn chunk_and_chunks_vectored_show_what_comes_next() {
    for (mut reference, mut connection) in filled().zip(filled()) {
        let stream = take(&mut reference, usize::MAX);
        let mut position = 0;
        // both have the same masking keys, and so the same stream
        for step in [1, 2, 3, 5, 7, 11, 1, 100, 1, 4_000, 1, 1, 13].into_iter().cycle() {
            let remaining = connection.output().remaining();
            assert_eq!(remaining, stream.len() - position);
            assert_eq!(connection.output().has_remaining(), remaining > 0);
            let chunk = connection.output().chunk().to_vec();
            assert_eq!(chunk.is_empty(), remaining == 0);
            assert_eq!(stream[position..][..chunk.len()], chunk);
            for count in [0, 1, 2, 3, 16, 200] {
                let slices = slices(&mut connection, count);
                let together = slices.concat();
                assert_eq!(stream[position..][..together.len()], together);
                assert!(slices.iter().all(|slice| !slice.is_empty()), "no slice is empty");
                if count > 0 {
                    assert_eq!(slices.first().unwrap_or(&vec![]), &chunk);
                }
            }
            if remaining == 0 {
                break;
            }
            let step = step.min(remaining);
            connection.output().advance(step);
            position += step;
        }
    }
}

// The stream is the same if it is taken byte by byte or at once.
#[test]
fn advance_by_any_amount_gives_the_same_stream() {
    for (mut whole, mut bytewise) in filled().zip(filled()) {
        let expected = take(&mut whole, usize::MAX);
        let mut stream = vec![];
        while bytewise.output().has_remaining() {
            stream.extend(take(&mut bytewise, 1));
        }
        assert!(stream == expected);
        assert_eq!(bytewise.buffered_amount(), 0);
    }
}

// The methods that `Buf` provides, such as `copy_to_bytes`.
#[test]
fn the_provided_methods_of_buf_agree() {
    for (mut reference, mut connection) in filled().zip(filled()) {
        let expected = take(&mut reference, usize::MAX);
        assert_eq!(connection.output().get_u8(), expected[0]);
        let middle = connection.output().copy_to_bytes(8_000);
        assert!(middle == expected[1..8_001]);
        let mut rest = vec![0; connection.output().remaining()];
        connection.output().copy_to_slice(&mut rest);
        assert!(rest == expected[8_001..]);
    }
}

// Contract 10: to advance by more than `remaining` is to advance by `remaining`.
#[test]
fn advance_by_more_than_remains_takes_all() {
    for beyond in [1, 1_000, usize::MAX / 2, usize::MAX] {
        for mut connection in filled() {
            let remaining = connection.output().remaining();
            connection.output().advance(remaining.saturating_add(beyond));
            assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, 0));
            assert!(connection.output().chunk().is_empty());
            connection.output().advance(beyond);
            assert_eq!(take_output(&mut connection), []);
        }
    }
    for role in BOTH {
        let mut connection = open(role);
        connection.output().advance(usize::MAX);
        connection.send("after").unwrap();
        connection.output().advance(usize::MAX);
        connection.send("and after").unwrap();
        assert_eq!(take_output(&mut connection), [Frame::text("and after")]);
    }
}

#[test]
fn advance_by_nothing_takes_nothing() {
    for mut connection in filled() {
        let before = (connection.output().remaining(), connection.buffered_amount(), places(&mut connection));
        connection.output().advance(0);
        let after = (connection.output().remaining(), connection.buffered_amount(), places(&mut connection));
        assert_eq!(before, after);
    }
}

// `buffered_amount` counts payload bytes of messages, not heads, control frames and the Close frame.
#[test]
fn buffered_amount_falls_with_each_byte_of_payload() {
    for role in BOTH {
        let mut connection = endpoint(role, &with_frames_of(3));
        let head = if role == Role::Client { 6 } else { 2 };
        connection.send("abcd").unwrap();
        connection.ping(b"ping").unwrap();
        connection.send_shared(Binary, Bytes::from_static(b"ef")).unwrap();
        connection.close(CloseCode::NORMAL, "why", Instant::EPOCH).unwrap();
        assert_eq!(connection.buffered_amount(), 6);
        // framing and payload bytes of each frame; the Ping is first, since no data frame has begun
        let mut expected = 6;
        for (framing, payload) in [(head + 4, 0), (head, 3), (head, 1), (head, 2), (head + 5, 0)] {
            for _ in 0..framing {
                take(&mut connection, 1);
                assert_eq!(connection.buffered_amount(), expected);
            }
            for _ in 0..payload {
                take(&mut connection, 1);
                expected -= 1;
                assert_eq!(connection.buffered_amount(), expected);
            }
        }
        assert_eq!((connection.output().remaining(), expected), (0, 0));
    }
}

// As in browsers, bytes that were pending when the connection was lost stay counted.
#[test]
fn buffered_amount_keeps_the_bytes_that_were_lost() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send(&[1; 1_000]).unwrap();
        take(&mut connection, 500);
        let buffered = connection.buffered_amount();
        assert!((500..510).contains(&buffered));
        connection.abort(Instant::EPOCH);
        assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, buffered));
        connection.output().advance(0);
        connection.output().advance(5);
        assert_eq!(connection.buffered_amount(), buffered);
    }
}

// A server passes the shared bytes themselves to `writev`, on any number of connections.
#[test]
fn a_shared_payload_is_not_copied_on_a_server() {
    for length in [256, 5_000, 300_000] {
        let shared = Bytes::from(vec![7; length]);
        for _ in 0..3 {
            let mut server = open(Role::Server);
            server.send("before").unwrap();
            server.send_shared(Binary, shared.clone()).unwrap();
            server.send("after").unwrap();
            assert!(places(&mut server).contains(&(shared.as_ptr(), length)), "{length} bytes were copied");
            // also if a part was taken
            let before = 2 + 6 + (Frame::binary(&shared).head_size());
            take(&mut server, before);
            assert_eq!(places(&mut server)[0], (shared.as_ptr(), length));
        }
    }
}

// The fragments of a shared payload are slices of it.
#[test]
fn fragments_of_a_shared_payload_are_not_copied_on_a_server() {
    let shared = Bytes::from(vec![7; 25_000]);
    let mut server = endpoint(Role::Server, &with_frames_of(10_000));
    server.send_shared(Binary, shared.clone()).unwrap();
    let places = places(&mut server);
    for (offset, length) in [(0, 10_000), (10_000, 10_000), (20_000, 5_000)] {
        assert!(places.contains(&(shared[offset..].as_ptr(), length)));
    }
}

// A client masks a copy of a payload that others share.
#[test]
fn a_client_does_not_mask_a_shared_payload_in_place() {
    let shared = Bytes::from(vec![7; 5_000]);
    let mut client = open(Role::Client);
    client.send_shared(Binary, shared.clone()).unwrap();
    assert!(places(&mut client).iter().all(|(place, _)| !shared.as_ptr_range().contains(place)));
    assert!(shared.iter().all(|&byte| byte == 7));
    assert_eq!(take_output(&mut client), [Frame::binary(&shared)]);
}

// A large owned payload is moved to the queue. A client masks it in place.
#[test]
fn a_large_owned_payload_is_not_copied() {
    for role in BOTH {
        let mut connection = open(role);
        let payload = vec![7; 100_000];
        let place = (payload.as_ptr(), payload.len());
        connection.send(payload).unwrap();
        assert!(places(&mut connection).contains(&place));

        let text = "t".repeat(100_000);
        let place = (text.as_ptr(), text.len());
        connection.send(text).unwrap();
        assert!(places(&mut connection).contains(&place));
        assert_eq!(take_output(&mut connection), [Frame::binary([7; 100_000]), Frame::text("t".repeat(100_000))]);
    }
}

// Short payloads, and payloads in short frames, are copied behind their heads, which is faster.
#[test]
fn an_owned_payload_is_not_copied_from_4_kib_on() {
    for role in BOTH {
        let pieces = |frames_of, length| {
            let mut connection = endpoint(role, &with_frames_of(frames_of));
            connection.send(vec![7; length]).unwrap();
            places(&mut connection).len()
        };
        assert_eq!((pieces(1 << 20, 4_095), pieces(1 << 20, 4_096)), (1, 2), "{role:?}");
        assert_eq!((pieces(4_095, 3 * 4_095), pieces(4_096, 3 * 4_096)), (1, 6), "{role:?}");
    }
}

// Small payloads and their heads are copied into one slice.
#[test]
fn small_messages_share_a_segment() {
    for role in BOTH {
        let mut connection = open(role);
        for index in 0..100 {
            connection.send(&[index; 10]).unwrap();
            connection.send(vec![index; 10]).unwrap();
        }
        assert_eq!(places(&mut connection).len(), 1);
        assert_eq!(connection.output().chunk().len(), connection.output().remaining());
    }
}

// Section 5.4: control frames "MAY be injected in the middle of a fragmented message", so that a large message does not
// delay Pings.
#[test]
fn control_frames_are_sent_between_the_fragments_of_a_message() {
    for role in BOTH {
        let head = if role == Role::Client { 6 } else { 2 };
        let message = vec![5; 30_000];
        for by_reference in [false, true] {
            // anywhere in the second fragment: at its first byte, in its head, in its payload, before its last byte
            for into in [0, 1, head, head + 50, head + 99, head + 100] {
                let mut connection = endpoint(role, &with_frames_of(100));
                if by_reference {
                    connection.send(message.clone()).unwrap();
                } else {
                    connection.send(&message).unwrap();
                }
                let mut stream = take(&mut connection, head + 100 + into);
                connection.ping(b"ping").unwrap();
                let _ = feed(&mut connection, &wire(role, &[Frame::ping("answer")]));
                stream.extend(take(&mut connection, usize::MAX));

                let frames = Frame::parse_unmasked(&stream);
                let between = if into == 0 { 1 } else { 2 };
                assert_eq!(frames[between..between + 2], [Frame::ping("ping"), Frame::pong("answer")], "{into}");
                let data: Vec<_> = frames.into_iter().filter(|frame| frame.opcode < 8).collect();
                assert_eq!(data.len(), 300);
                assert!(data.iter().flat_map(|frame| &frame.payload).eq(&message));
            }
        }
    }
}

// Section 5.5: control frames are sent first, unless a data frame has begun.
#[test]
fn control_frames_overtake_messages_that_have_not_begun() {
    for role in BOTH {
        for taken in 0..8 {
            let mut connection = open(role);
            connection.send("ab").unwrap();
            connection.send("cd").unwrap();
            let mut stream = take(&mut connection, taken);
            connection.pong(b"!").unwrap();
            stream.extend(take(&mut connection, usize::MAX));
            let frames = Frame::parse_unmasked(&stream);
            let mut expected = vec![Frame::text("ab"), Frame::text("cd")];
            let size = if role == Role::Client { 8 } else { 4 };
            expected.insert(taken.div_ceil(size), Frame::pong("!"));
            assert_eq!(frames, expected, "{taken} bytes taken");
        }
    }
}

// A partly written control frame is finished first, and does not change.
#[test]
fn a_partly_written_control_frame_is_finished() {
    for role in BOTH {
        let mut config = Config::default();
        config.max_pending_controls = 1;
        let mut connection = endpoint(role, &config);
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("one")]));
        let mut stream = take(&mut connection, 3);
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("two"), Frame::ping("three")]));
        connection.send("message").unwrap();
        connection.ping(b"asked").unwrap();
        stream.extend(take(&mut connection, usize::MAX));
        let frames = Frame::parse_unmasked(&stream);
        assert_eq!(frames.first(), Some(&Frame::pong("one")));
        assert_eq!(frames.last(), Some(&Frame::text("message")));
        // 5.5.3: of the pending Pongs, the latest is kept
        assert!(frames.contains(&Frame::pong("three")) && frames.contains(&Frame::ping("asked")));
    }
}

// Full segments stay in place while others are queued behind them, and taken in front of them.
#[test]
fn pending_bytes_are_never_moved() {
    for role in BOTH {
        let mut connection = open(role);
        // several segments of 64 KiB, of copied messages
        while connection.output().remaining() < 400_000 {
            connection.send(&[9; 999]).unwrap();
        }
        let before = places(&mut connection);
        assert!(before.len() >= 6, "several segments");
        for _ in 0..300 {
            connection.send(&[9; 999]).unwrap();
        }
        let (last, full) = before.split_last().unwrap();
        let after = places(&mut connection);
        assert_eq!(after[..full.len()], *full);
        assert!(after.len() > before.len() && after[full.len()].1 > last.1);

        // taking bytes moves no others: each slice keeps its end
        let end = |&(place, length): &(*const u8, usize)| place as usize + length;
        let ends: Vec<_> = after.iter().map(end).collect();
        while connection.output().has_remaining() {
            connection.output().advance(777);
            let now = places(&mut connection);
            let gone = ends.len() - now.len();
            assert!(now.iter().map(end).eq(ends[gone..].iter().copied()));
        }
    }
}

// The same for payloads that are not copied.
#[test]
fn pending_payloads_are_never_moved() {
    let mut server = open(Role::Server);
    let payloads: Vec<_> = (0..20).map(|index| Bytes::from(vec![index; 10_000])).collect();
    for payload in &payloads {
        server.send_shared(Binary, payload.clone()).unwrap();
    }
    for payload in &payloads {
        take(&mut server, 4);
        for taken in (0..10_000).step_by(1_000) {
            assert_eq!(places(&mut server)[0], (payload[taken..].as_ptr(), 10_000 - taken));
            take(&mut server, 1_000);
        }
    }
    assert!(!server.output().has_remaining());
}

// The output releases a shared payload as soon as it was written.
#[test]
fn a_shared_payload_is_released_once_it_was_written() {
    let shared = Bytes::from(vec![1; 10_000]);
    let mut server = open(Role::Server);
    server.send_shared(Binary, shared.clone()).unwrap();
    server.send("behind").unwrap();
    assert!(!shared.is_unique());
    take(&mut server, 4 + 9_999);
    assert!(!shared.is_unique());
    take(&mut server, 1);
    assert!(shared.is_unique());
    assert_eq!(take_output(&mut server), [Frame::text("behind")]);
}

proptest! {
    // `chunk`, `chunks_vectored` and `remaining` agree with the bytes that are taken next, for any messages and
    // amounts.
    #[test]
    fn chunks_are_the_bytes_that_are_taken_next(
        steps in proptest::collection::vec((0_u8..8, 0_usize..6_000), 0..60),
        size in prop_oneof![1_usize..50, Just(1_000), Just(1 << 20)],
        role in proptest::sample::select(&BOTH[..]),
    ) {
        let mut connection = endpoint(role, &with_frames_of(size));
        for (kind, amount) in steps {
            match kind {
                0 => drop(connection.send(vec![1; amount].as_slice())),
                1 => drop(connection.send(vec![2; amount])),
                2 => drop(connection.send_shared(Binary, vec![3; amount].into())),
                3 => drop(connection.ping(&vec![4; amount % 126])),
                _ => {
                    let remaining = connection.output().remaining();
                    let slices = slices(&mut connection, kind.into());
                    prop_assert_eq!(slices.is_empty(), remaining == 0);
                    let chunk = connection.output().chunk().to_vec();
                    prop_assert_eq!(slices.first().cloned().unwrap_or_default(), chunk);
                    let next = slices.concat();
                    let amount = amount.min(next.len());
                    prop_assert!(take(&mut connection, amount) == next[..amount]);
                    prop_assert_eq!(connection.output().remaining(), remaining - amount);
                }
            }
        }
    }
}

// Contract 11: a short shared payload needs no more memory than a copy of it.
#[test]
fn a_short_shared_payload_is_copied() {
    let shared = Bytes::from(vec![7; 255]);
    let mut server = endpoint(Role::Server, &Config::default());
    server.send_shared(Binary, shared.clone()).unwrap();
    server.send_shared(Binary, shared).unwrap();
    let places = places(&mut server);
    assert_eq!(places.len(), 1, "two frames, back to back");
    assert_eq!(places[0].1, 2 * (4 + 255));
}

// Contract 8: a control frame that is pending behind a begun data frame does not cause `chunks_vectored` to search the
// backlog. (This would take many minutes.)
#[test]
fn chunks_vectored_takes_constant_time_within_a_frame() {
    const MANY: usize = 30_000;
    for role in BOTH {
        let mut connection = endpoint(role, &Config::default());
        connection.send(vec![0; MANY]).unwrap();
        for _ in 0..MANY {
            connection.send_shared(Binary, Bytes::from_static(&[1; 256])).unwrap();
        }
        take(&mut connection, 20);
        connection.ping(b"").unwrap();
        for _ in 0..MANY {
            assert_eq!(places(&mut connection).len(), 2, "the rest of the frame, and the Ping");
        }
    }
}

// `Debug` omits payloads, of sent and of received messages.
#[test]
fn debug_output_omits_payloads() {
    for role in BOTH {
        let mut connection = open(role);
        connection.ping(&[221]).unwrap();
        connection.send("\u{dd}".repeat(300)).unwrap();
        connection.send_shared(Binary, vec![221; 300].into()).unwrap();
        let mut bytes = wire(role, &[Frame::ping([221; 100])]);
        let cut = bytes.len() - 1;
        assert!(connection.receive(&mut sansocket::Input::new(&mut bytes[..cut]), Instant::EPOCH).is_ok());
        let shown = format!("{connection:?}");
        assert!(!shown.contains("221") && !shown.contains('\u{dd}'), "{shown}");
    }
}
