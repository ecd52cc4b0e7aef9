//! Random calls and limits: a model of the sender predicts the output, and another endpoint receives it.

use proptest::prelude::*;
use sansocket::bytes::Buf;
use sansocket::{CloseCode, Instant, MessageKind, ReadyState, Role, SendError};

use crate::support::*;

use MessageKind::{Binary, Text};

/// A step of an application, its driver or its peer.
#[derive(Clone, Debug)]
enum Step {
    Send(SendMethod, MessageKind, usize),
    Fragment(MessageKind, usize, bool),
    Ping(usize),
    Pong(usize),
    /// A Ping of the peer arrives.
    ReceivePing(usize),
    Close,
    Drain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let method = proptest::sample::select(&SEND_METHODS[..3]);
    let kind = prop_oneof![Just(Text), Just(Binary)];
    let length = || prop_oneof![6 => 0_usize..30, 2 => 100_usize..200, 1 => 4_090_usize..4_300, 1 => 0_usize..70_000];
    let step = prop_oneof![
        6 => (method, kind.clone(), length()).prop_map(|(method, kind, length)| Step::Send(method, kind, length)),
        3 => (kind, length(), any::<bool>()).prop_map(|(kind, length, last)| Step::Fragment(kind, length, last)),
        2 => (0_usize..126).prop_map(Step::Ping),
        1 => (0_usize..126).prop_map(Step::Pong),
        2 => (0_usize..126).prop_map(Step::ReceivePing),
        1 => prop_oneof![9 => Just(Step::Drain(0)), 1 => Just(Step::Close)],
        6 => prop_oneof![0_usize..20, 0_usize..300, 0_usize..100_000].prop_map(Step::Drain),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // CVE-2022-25762; sections 5.4, 5.5, 5.5.1; contract 6: for any interleaving, the output has the accepted messages
    // in order, control frames only between data frames, and Close last. `buffered_amount` is right at every step, and
    // the limits are exact.
    #[test]
    fn output_is_what_was_accepted(
        steps in steps(),
        role in proptest::sample::select(&BOTH[..]),
        size in prop_oneof![1_usize..20, 100_usize..200, Just(5_000), Just(1 << 20)],
        limit in prop_oneof![0_usize..400, Just(10_000), Just(64 << 20)],
    ) {
        let mut config = with_frames_of(size);
        config.max_buffered_amount = limit;
        let mut connection = endpoint(role, &config);
        let mut accepted = 0;
        let mut messages: Vec<(MessageKind, Vec<u8>)> = vec![];
        let mut unfinished: Option<(MessageKind, Vec<u8>)> = None;
        let mut controls: Vec<Frame> = vec![];
        let mut closing = false;
        let mut wire: Vec<u8> = vec![];

        for step in steps {
            let sent = StreamSummary::new(&wire);
            let remaining = connection.output().remaining();
            let buffered = accepted - sent.payload;
            let has_room = |length: usize| remaining - buffered <= limit && buffered + length <= limit;
            let no_room = |size: usize| {
                let message = ();
                Err(if size > limit {
                    SendError::MessageTooLong { message, size, limit }
                } else {
                    SendError::BufferFull { message, size }
                })
            };
            let state = if closing { Err(SendError::NotOpen(ReadyState::Closing)) } else { Ok(()) };
            match step {
                Step::Send(method, kind, length) => {
                    let result = send(&mut connection, method, kind, &payload(length));
                    if closing {
                        prop_assert_eq!(result, state);
                    } else if unfinished.is_some() {
                        prop_assert_eq!(result, Err(SendError::MessageUnfinished));
                    } else if has_room(length) {
                        prop_assert_eq!(result, Ok(()));
                        accepted += length;
                        messages.push((kind, payload(length)));
                    } else {
                        prop_assert_eq!(result, no_room(length));
                    }
                }
                Step::Fragment(kind, length, last) => {
                    let result = connection.send_fragment(kind, payload(length).as_slice(), last);
                    if closing {
                        prop_assert_eq!(result, state);
                    } else if unfinished.as_ref().is_some_and(|(begun, _)| *begun != kind) {
                        prop_assert_eq!(result, Err(SendError::FragmentKindMismatch));
                    } else if has_room(length) {
                        prop_assert_eq!(result, Ok(()));
                        accepted += length;
                        let mut message = unfinished.take().unwrap_or((kind, vec![]));
                        message.1.extend(payload(length));
                        if last { messages.push(message) } else { unfinished = Some(message) }
                    } else {
                        prop_assert_eq!(result, no_room(length));
                    }
                }
                Step::Ping(length) => {
                    prop_assert_eq!(connection.ping(&payload(length)), state.clone());
                    controls.extend(state.is_ok().then(|| Frame::ping(payload(length))));
                }
                Step::Pong(length) => {
                    prop_assert_eq!(connection.pong(&payload(length)), state.clone());
                    controls.extend(state.is_ok().then(|| Frame::pong(payload(length))));
                }
                Step::ReceivePing(length) => {
                    let ping = Frame::ping(payload(length));
                    let events = feed(&mut connection, &self::wire(role, &[ping]));
                    prop_assert_eq!(events, (vec![OwnedEvent::Ping(payload(length))], Ok(())));
                    controls.extend((!sent.has_close).then(|| Frame::pong(payload(length))));
                }
                Step::Close => {
                    prop_assert_eq!(connection.close(CloseCode::NORMAL, "", Instant::EPOCH), Ok(()));
                    closing = true;
                }
                Step::Drain(count) => {
                    let taken = take(&mut connection, count);
                    prop_assert_eq!(taken.len(), count.min(remaining));
                    prop_assert_eq!(connection.output().remaining(), remaining - taken.len());
                    wire.extend(taken);
                }
            }
            prop_assert_eq!(connection.buffered_amount(), accepted - StreamSummary::new(&wire).payload);
        }

        wire.extend(take(&mut connection, usize::MAX));
        prop_assert_eq!((connection.buffered_amount(), connection.output().remaining()), (0, 0));
        let mut sent = vec![];
        let mut open: Option<(MessageKind, Vec<u8>)> = None;
        let mut frames = Frame::parse_all(&wire);
        for frame in &frames {
            prop_assert_eq!(frame.key.is_some(), role == Role::Client);
        }
        if closing {
            prop_assert_eq!(frames.pop().map(Frame::unmasked), Some(Frame::close(1000, "")));
        }
        let (sent_controls, data): (Vec<_>, Vec<_>) =
            frames.into_iter().map(Frame::unmasked).partition(|frame| frame.opcode >= CLOSE);
        prop_assert_eq!(sent_controls, controls);
        for frame in data {
            prop_assert!(frame.payload.len() <= size);
            let mut message = match frame.opcode {
                CONTINUATION => open.take().expect("a message to continue"),
                opcode => {
                    prop_assert_eq!(&open, &None);
                    (if opcode == TEXT { Text } else { Binary }, vec![])
                }
            };
            message.1.extend(frame.payload);
            if frame.fin { sent.push(message) } else { open = Some(message) }
        }
        prop_assert_eq!(sent, messages);
        prop_assert_eq!(open, unfinished);
    }

    // Sections 5.1 to 5.6: an endpoint receives the messages that the other sends, in frames of any size.
    #[test]
    fn sent_messages_are_received_unchanged(
        payloads in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<char>(), 0..300)), 0..8),
        size in 1_usize..500,
        method in proptest::sample::select(&SEND_METHODS[..]),
        role in proptest::sample::select(&BOTH[..]),
    ) {
        let mut connection = endpoint(role, &with_frames_of(size));
        let mut expected = vec![];
        for (is_text, characters) in payloads {
            let message: String = characters.into_iter().collect();
            let kind = if is_text { Text } else { Binary };
            send(&mut connection, method, kind, message.as_bytes()).unwrap();
            expected.push(if is_text { text(message) } else { binary(message) });
        }
        let bytes = take(&mut connection, usize::MAX);
        prop_assert_eq!(feed(&mut open(other(role)), &bytes), (expected, Ok(())));
    }
}
