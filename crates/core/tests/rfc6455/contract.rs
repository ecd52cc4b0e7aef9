//! The contract of the core. Tests cite its lines as "Contract 4".
//!
//! 1. Any split of the same bytes gives the same events and the same output.
//! 2. Each call returns one event, and the state never runs ahead of the events.
//! 3. Events borrow the input, never the connection.
//! 4. Failure is sticky: every later `receive` returns the same error and discards its input. The Close frame for the
//!    error is in the output, `transport` says when to shut down and close TCP, and nothing is delivered.
//! 5. `Close` is returned exactly once, as the last event: after a closing handshake, at the end of the stream, or at a
//!    deadline.
//! 6. Back-pressure drops no reply. Control frames are sent between data frames, and our Close frame last.
//! 7. Timers never spin. Calls that are early or repeated are harmless, and time that goes backwards is ignored.
//! 8. Polls take constant time.
//! 9. Work is linear in the bytes received and sent, for any split. (`bounds.rs`)
//! 10. No bytes, order of calls or configuration cause a panic.
//! 11. The limits alone bound the memory, even if the output is never taken. (`bounds.rs`)
//! 12. Every accepted message is delivered. (`delivery.rs`)
//! 13. A driver that reports what its transport did loses nothing that the peer sent, and reaches the end.
//!     (`write_lost.rs`)

use std::time::Duration;

use proptest::prelude::*;
use sansocket::bytes::Buf;
use sansocket::{
    CloseCode, Config, Error, Event, Input, Instant, MessageKind, ReadyState, Role, SendError, TransportAction,
};

use crate::support::streams::{configs, payloads, roles_and_streams, streams};
use crate::support::*;

/// Removes the last chunk of a message that failed: how many of its bytes were delivered depends on the split.
fn without_failed_chunk(mut outcome: Outcome) -> Outcome {
    if outcome.result.is_err() && matches!(outcome.events.last(), Some(OwnedEvent::Chunk { last: false, .. })) {
        outcome.events.pop();
    }
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    // Contract 1, also for the failure.
    #[test]
    fn splits_change_nothing(
        (role, stream) in roles_and_streams(),
        config in configs(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        let whole = without_failed_chunk(Outcome::of(&config, role, [&stream[..]]));
        prop_assert_eq!(&without_failed_chunk(Outcome::of(&config, role, pieces)), &whole);
        prop_assert_eq!(&without_failed_chunk(Outcome::of(&config, role, stream.chunks(1))), &whole);
    }
}

// The strategies generate every kind of event, success and failure.
#[test]
fn the_generated_streams_reach_every_kind_of_outcome() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut failures, mut messages, mut long, mut closes) = (0, 0, 0, 0);
    for _ in 0..500 {
        let (role, stream) = roles_and_streams().new_tree(&mut runner).unwrap().current();
        let outcome = Outcome::of(&Config::default(), role, [&stream[..]]);
        failures += usize::from(outcome.result.is_err());
        messages +=
            outcome.events.iter().filter(|event| matches!(event, OwnedEvent::Text(_) | OwnedEvent::Binary(_))).count();
        long += usize::from(outcome.events.len() > 5);
        closes += usize::from(matches!(outcome.close, Some(OwnedEvent::Close { was_clean: true, .. })));
    }
    assert!(failures > 100 && failures < 450, "{failures} failures");
    assert!(messages > 300 && long > 20 && closes > 10, "{messages} messages, {long} long, {closes} closes");
}

// Contract 2.
#[test]
fn the_state_never_runs_ahead_of_the_events() {
    for role in BOTH {
        let mut connection = open(role);
        let mut bytes = wire(role, &[Frame::text("1"), Frame::ping("2"), Frame::binary("3"), Frame::close(1000, "")]);
        let mut input = Input::new(&mut bytes);
        for (event, pongs) in [(text("1"), 0), (ping("2"), 1), (binary("3"), 1)] {
            let got = connection.receive(&mut input, Instant::EPOCH).unwrap().map(OwnedEvent::from);
            assert_eq!(got, Some(event));
            assert_eq!(connection.ready_state(), ReadyState::Open, "the Close frame has not been taken");
            assert_eq!(connection.output().has_remaining(), pongs > 0);
            assert!(!input.is_empty(), "the following frames remain in the input");
        }
        assert_eq!(connection.send("still open"), Ok(()));
        let got = connection.receive(&mut input, Instant::EPOCH).unwrap().map(OwnedEvent::from);
        assert_eq!((got, input.is_empty()), (Some(close_received(1000, "")), true));
        assert_eq!(connection.receive(&mut input, Instant::EPOCH), Ok(None));
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        let expected = [Frame::pong("2"), Frame::text("still open"), Frame::close(1000, "")];
        assert_eq!(take_output(&mut connection), expected);
    }
}

// Contract 2 and 4: the events before an offence are returned before the error.
#[test]
fn events_before_a_failure_are_delivered_first() {
    for role in BOTH {
        let mut connection = open(role);
        let mut bytes = wire(role, &[Frame::text("fine"), Frame::continuation("not so")]);
        let mut input = Input::new(&mut bytes);
        let event = connection.receive(&mut input, Instant::EPOCH).unwrap().map(OwnedEvent::from);
        assert_eq!((event, connection.ready_state()), (Some(text("fine")), ReadyState::Open));
        assert_eq!(connection.send("in time"), Ok(()));
        assert!(connection.receive(&mut input, Instant::EPOCH).is_err());
        assert_eq!(connection.ready_state(), ReadyState::Closing);
    }
}

// Contract 3: this compiles, and nothing was copied.
#[test]
fn events_borrow_the_input_and_never_the_connection() {
    for role in BOTH {
        let mut bytes = wire(role, &[Frame::text("borrowed"), Frame::ping("borrowed too"), Frame::binary([0xff; 300])]);
        let range = bytes.as_ptr_range();
        let mut connection = open(role);
        let mut events = vec![];
        {
            let mut input = Input::new(&mut bytes);
            while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                connection.send("while the events live").unwrap();
                events.push(event);
            }
        }
        drop(connection);
        assert_eq!(events.len(), 3);
        for event in &events {
            let payload = match event {
                Event::Message(message) => message.as_bytes(),
                Event::Ping(payload) => payload,
                other => panic!("{other:?}"),
            };
            assert!(range.contains(&payload.as_ptr()), "{event:?} was copied");
        }
    }
}

proptest! {
    // Contract 4.
    #[test]
    fn failure_is_sticky(
        (role, before) in roles_and_streams(),
        after in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut connection = open(role);
        let (_, mut result) = feed(&mut connection, &before);
        if result.is_ok() {
            // after the peer's Close, nothing fails
            (_, result) = feed(&mut connection, &[0xff; 14]);
        }
        let Err(error @ (Error::Protocol(_) | Error::Limit(_))) = result else {
            prop_assume!(connection.ready_state() == ReadyState::Open);
            return Ok(());
        };
        let failed = || Err(error.clone());
        let failure = Failure::from(error.clone());
        prop_assert_eq!(connection.transport(), TransportAction::Open, "until the Close frame was written");
        let frames = take_output(&mut connection);
        prop_assert_eq!(frames.last(), Some(&Frame::close(failure.code(), &failure.reason())));
        prop_assert_eq!(connection.transport(), TransportAction::ShutdownWrite);
        for bytes in [&after[..], &before, &[], &wire(role, &[Frame::close(1000, "")])] {
            prop_assert_eq!(feed(&mut connection, bytes), (vec![], failed()));
        }
        prop_assert_eq!(take_output(&mut connection), []);
        let close = connection.receive_eof(Instant::EPOCH);
        prop_assert!(matches!(close, Ok(Some(Event::Close(close))) if close.code == CloseCode::ABNORMAL));
        prop_assert_eq!(connection.transport(), TransportAction::Close);
        prop_assert_eq!(feed(&mut connection, &after), (vec![], failed()));
    }
}

/// Every call of a connection's methods.
#[derive(Clone, Debug)]
enum Step {
    Receive(Vec<u8>),
    Eof,
    Timeout,
    WaitForTimeout,
    Send(usize, bool),
    Shared(MessageKind, Vec<u8>),
    Fragment(MessageKind, Vec<u8>, bool),
    Ping(usize),
    Pong(usize),
    Close(u16, usize),
    Advance(usize),
    TakeBytes(usize),
    Delivered(usize),
    WriteLost,
    Progress,
    Abort,
    Look,
}

fn steps(role: Role) -> impl Strategy<Value = Vec<(u64, Step)>> {
    let kind = || prop_oneof![Just(MessageKind::Text), Just(MessageKind::Binary)];
    let amount = || prop_oneof![0_usize..40, 0_usize..10_000, Just(usize::MAX)];
    let close_code = prop_oneof![Just(1000), Just(1005), Just(1006), Just(4999)];
    let step = prop_oneof![
        8 => streams(role).prop_map(Step::Receive),
        1 => Just(Step::Eof),
        2 => Just(Step::Timeout),
        2 => Just(Step::WaitForTimeout),
        4 => (0_usize..9_000, any::<bool>()).prop_map(|(length, owned)| Step::Send(length, owned)),
        2 => (kind(), payloads()).prop_map(|(kind, payload)| Step::Shared(kind, payload)),
        4 => (kind(), payloads(), any::<bool>()).prop_map(|(kind, payload, last)| Step::Fragment(kind, payload, last)),
        2 => (0_usize..130).prop_map(Step::Ping),
        2 => (0_usize..130).prop_map(Step::Pong),
        1 => (close_code, 0_usize..130).prop_map(|(code, reason)| Step::Close(code, reason)),
        6 => amount().prop_map(Step::Advance),
        3 => amount().prop_map(Step::TakeBytes),
        3 => amount().prop_map(Step::Delivered),
        1 => prop_oneof![Just(Step::WriteLost), Just(Step::Progress), Just(Step::Abort)],
        1 => Just(Step::Look),
    ];
    let time = prop_oneof![6 => 0_u64..200, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)];
    proptest::collection::vec((time, step), 0..40)
}

/// Returns any code that `CloseCode` can hold.
fn any_code(code: u16) -> CloseCode {
    match code {
        1005 => CloseCode::NO_STATUS,
        1006 => CloseCode::ABNORMAL,
        code => CloseCode::new(code).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    // Contract 10; and at every step contract 4, 5 and 7, and states that never go back.
    #[test]
    fn no_order_of_calls_breaks_the_contract(
        (role, steps) in proptest::sample::select(&BOTH[..]).prop_flat_map(|role| (Just(role), steps(role))),
        config in configs(),
    ) {
        let mut connection = endpoint(role, &config);
        let (mut closed, mut received, mut is_write_lost) = (false, false, false);
        let mut failure: Option<Error> = None;
        let mut state = connection.ready_state();
        let mut transport = 0;
        for (time, step) in steps {
            let now = Instant::from_nanos(time);
            let mut events: Vec<OwnedEvent> = vec![];
            let mut result = Ok(());
            match step {
                Step::Receive(mut bytes) => {
                    let mut input = Input::new(&mut bytes);
                    result = loop {
                        let (before, is_pending) = (input.remaining().len(), connection.has_pending_event());
                        match connection.receive(&mut input, now) {
                            Ok(Some(event)) => events.push(event.into()),
                            Ok(None) => break Ok(()),
                            Err(error) => break Err(error),
                        }
                        prop_assert!(is_pending || input.remaining().len() < before, "CVE-2020-13935: no progress");
                        prop_assert!(!connection.has_pending_event() || !is_pending, "the Close was pending");
                    };
                    prop_assert!(input.is_empty());
                    if let Some(failure) = &failure {
                        prop_assert_eq!(&result, &Err(failure.clone()));
                        let is_end = matches!(events[..], [] | [OwnedEvent::Close { was_clean: false, .. }]);
                        prop_assert!(is_end, "data after a failure");
                    }
                }
                Step::Eof => match connection.receive_eof(now) {
                    Ok(event) => events.extend(event.map(OwnedEvent::from)),
                    Err(error) => result = Err(error),
                },
                Step::Timeout | Step::WaitForTimeout => {
                    let now = match (&step, connection.poll_timeout()) {
                        (Step::WaitForTimeout, Some(next)) => next,
                        _ => now,
                    };
                    match connection.handle_timeout(now) {
                        Ok(event) => events.extend(event.map(OwnedEvent::from)),
                        Err(error) => {
                            prop_assert_eq!(&failure, &None, "reported once");
                            result = Err(error);
                        }
                    }
                    prop_assert!(connection.poll_timeout().is_none_or(|next| next > now), "contract 7");
                }
                Step::Send(length, true) => drop(connection.send(vec![b'o'; length])),
                Step::Send(length, false) => drop(connection.send("b".repeat(length).as_str())),
                Step::Shared(kind, payload) => drop(connection.send_shared(kind, payload.into())),
                Step::Fragment(kind, payload, last) => drop(connection.send_fragment(kind, &payload, last)),
                Step::Ping(length) => drop(connection.ping(&vec![0; length])),
                Step::Pong(length) => drop(connection.pong(&vec![0; length])),
                Step::Close(code, reason) => drop(connection.close(any_code(code), &"r".repeat(reason), now)),
                Step::Advance(count) => connection.output().advance(count),
                Step::TakeBytes(max) => {
                    let remaining = connection.output().remaining();
                    let taken = connection.output().take_bytes(max).len();
                    prop_assert_eq!(taken == 0, max.min(remaining) == 0);
                    prop_assert_eq!(connection.output().remaining(), remaining - taken);
                }
                Step::Delivered(count) => connection.output().delivered(count),
                Step::WriteLost => {
                    connection.write_lost(now);
                    is_write_lost = true;
                }
                Step::Progress => connection.progress(now),
                Step::Abort => connection.abort(now),
                Step::Look => drop(format!("{connection:?}")),
            }
            if let Err(error) = result {
                failure.get_or_insert(error);
            }
            for event in events {
                prop_assert!(!closed, "an event after Close");
                closed = matches!(event, OwnedEvent::Close { .. });
                if matches!(event, OwnedEvent::CloseReceived { .. }) {
                    prop_assert!(!received, "the peer's Close is reported once");
                    received = true;
                }
            }

            let output = connection.output();
            prop_assert_eq!(output.chunk().is_empty(), output.remaining() == 0);
            prop_assert!(connection.ready_state() >= state);
            state = connection.ready_state();
            prop_assert_eq!(state == ReadyState::Closed, closed);
            prop_assert!(failure.is_none() || state >= ReadyState::Closing);
            let position = match connection.transport() {
                TransportAction::Open => 0,
                TransportAction::ShutdownWrite => 1,
                TransportAction::Close => 2,
                TransportAction::Abort => 3,
            };
            // after `write_lost`, TCP needs no shutdown
            prop_assert!(position >= transport || is_write_lost, "TCP cannot be opened again");
            prop_assert!(!closed || position >= 2, "the driver must end TCP");
            prop_assert_eq!(connection.has_pending_event(), position >= 2 && !closed);
            transport = position;
            if transport > 0 {
                prop_assert_eq!(connection.output().remaining(), 0, "output with nowhere to go");
            }
            if state != ReadyState::Open {
                prop_assert_eq!(connection.send("late"), Err(SendError::NotOpen(state)));
            }
        }
        // contract 5: `Close` is returned once the output is delivered
        let mut last = connection.receive_eof(Instant::EPOCH).unwrap().map(OwnedEvent::from);
        if last.is_none() {
            connection.output().advance(usize::MAX);
            connection.output().delivered(usize::MAX);
            last = pending_event(&mut connection, Instant::EPOCH);
        }
        prop_assert_eq!(matches!(last, Some(OwnedEvent::Close { .. })), !closed);
        prop_assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None));
    }
}

// Contract 5.
#[test]
fn close_is_the_last_event_for_every_kind_of_end() {
    for role in BOTH {
        let late = Instant::EPOCH + Duration::from_secs(5);
        let ends: [(bool, bool, OwnedEvent); 4] = [
            (true, true, closed(1000, "")),
            (true, false, closed(1000, "")),
            (false, true, abnormal(sansocket::Initiator::Peer)),
            (false, false, abnormal(sansocket::Initiator::Local)),
        ];
        for (peer_closes, tcp_ends, expected) in ends {
            let mut connection = open(role);
            if peer_closes {
                let events = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
                assert_eq!(events, (vec![close_received(1000, "")], Ok(())));
            } else if !tcp_ends {
                connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
            }
            take_output(&mut connection);
            let event = if tcp_ends {
                connection.receive_eof(late).unwrap().map(OwnedEvent::from)
            } else {
                Some(wait_for_end(&mut connection).1)
            };
            assert_eq!(event, Some(expected));
            assert_eq!(pending_event(&mut connection, late), None);
            assert_eq!(connection.receive_eof(late), Ok(None));
            assert_eq!(connection.handle_timeout(late), Ok(None));
        }
    }
}

// Contract 6: replies are queued although the backlog has reached its limit.
#[test]
fn replies_are_not_dropped_by_back_pressure() {
    for role in BOTH {
        let mut config = Config::default();
        config.max_buffered_amount = 1_000;
        config.high_water_mark = 0;
        let mut connection = endpoint(role, &config);
        connection.send(&[0; 1_000]).unwrap();
        for index in 0..64 {
            connection.ping(&[index]).unwrap();
        }
        assert!(connection.send("x").is_err() && connection.ping(b"x").is_err());
        let frames = [Frame::ping("answer me"), Frame::close(1000, "")];
        let events = vec![ping("answer me"), close_received(1000, "")];
        assert_eq!(feed(&mut connection, &wire(role, &frames)), (events, Ok(())));
        let sent = take_output(&mut connection);
        assert_eq!(sent.len(), 64 + 3);
        assert_eq!(sent[64..], [Frame::pong("answer me"), Frame::binary([0; 1_000]), Frame::close(1000, "")]);
    }
}
