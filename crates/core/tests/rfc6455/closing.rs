//! Sections 5.5.1, 7 and 7.4: the closing handshake, its table cell by cell, and the codes that travel in it.

use std::time::Duration;

use proptest::prelude::*;
use sansocket::bytes::Buf;
use sansocket::{
    CloseCode, Config, Connection, Error, Event, Initiator, Input, Instant, MessageKind, ProtocolError, ReadyState,
    Role, SendError, TransportAction,
};

use crate::support::{
    BOTH, CLOSE, Frame, Seen, abnormal, binary, check, check_both, closed, endpoint, feed, ping, pong, take,
    take_output, text, wire,
};

const CLOSE_CODES: &str = include_str!("../../../../testdata/close_codes.txt");
const NO_STATUS: u16 = 1005;
const ABNORMAL: u16 = 1006;

fn seen(event: Result<Option<Event<'_>>, Error>) -> Result<Option<Seen>, Error> {
    event.map(|event| event.map(Seen::from))
}

fn close_event(code: u16, reason: &str, was_clean: bool, initiator: Initiator) -> Seen {
    Seen::Close { code, reason: reason.to_owned(), was_clean, initiator }
}

fn seconds(seconds: u64) -> Instant {
    Instant::EPOCH + Duration::from_secs(seconds)
}

fn open(role: Role) -> Connection {
    endpoint(role, &Config::default())
}

fn close(connection: &mut Connection, code: u16, reason: &str) {
    let code = CloseCode::new(code).expect("a code that may travel");
    connection.close(code, reason, Instant::EPOCH).expect("a reason that fits");
}

/// One thing that happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// The application closes with 4000 "mine".
    Close,
    /// The transport takes all output.
    Drain,
    /// The peer's Close, 3000 "theirs", arrives.
    Receive,
    /// A frame arrives that breaks a rule.
    Fail,
}

fn step(connection: &mut Connection, step: Step) {
    let role = connection.role();
    match step {
        Step::Close => close(connection, 4000, "mine"),
        Step::Drain => drop(take_output(connection)),
        Step::Receive => assert_eq!(feed(connection, &wire(role, &[Frame::close(3000, "theirs")])), (vec![], Ok(()))),
        Step::Fail => {
            let (events, result) = feed(connection, &wire(role, &[Frame::continuation("?")]));
            assert_eq!((events, result), (vec![], Err(ProtocolError::ContinuationUnexpected.into())));
        }
    }
}

/// What a connection does with a message of the peer's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hears {
    Messages,
    Nothing,
    /// It reports once more why it failed.
    Failure,
}

/// A cell of the table, or one way into it.
struct Cell {
    steps: &'static [Step],
    state: ReadyState,
    /// What a client, and what a server should do with TCP.
    transport: [TransportAction; 2],
    hears: Hears,
    /// How the connection closes, at the end of TCP or at the timer. `None` for the timer of an open connection.
    ending: (u16, &'static str, bool, Initiator),
    /// Whether a reply to the peer's Close is still to be flushed when TCP ends.
    flushes: bool,
}

/// Design 3.7, and section 7.1 of the RFC.
const TABLE: &[Cell] = {
    use Hears::{Failure, Messages, Nothing};
    use Initiator::{Local, Peer};
    use ReadyState::{Closing, Open};
    use Step::{Close, Drain, Fail, Receive};
    use TransportAction::{Open as Keep, ShutdownWrite};
    &[
        Cell {
            steps: &[],
            state: Open,
            transport: [Keep, Keep],
            hears: Messages,
            ending: (ABNORMAL, "", false, Peer),
            flushes: false,
        },
        Cell {
            steps: &[Close],
            state: Closing,
            transport: [Keep, Keep],
            hears: Messages,
            ending: (ABNORMAL, "", false, Local),
            flushes: false,
        },
        Cell {
            steps: &[Close, Drain],
            state: Closing,
            transport: [Keep, Keep],
            hears: Messages,
            ending: (ABNORMAL, "", false, Local),
            flushes: false,
        },
        Cell {
            steps: &[Receive],
            state: Closing,
            transport: [Keep, Keep],
            hears: Nothing,
            ending: (3000, "theirs", false, Peer),
            flushes: true,
        },
        Cell {
            steps: &[Receive, Drain],
            state: Closing,
            transport: [Keep, ShutdownWrite],
            hears: Nothing,
            ending: (3000, "theirs", true, Peer),
            flushes: false,
        },
        Cell {
            steps: &[Receive, Close, Drain],
            state: Closing,
            transport: [Keep, ShutdownWrite],
            hears: Nothing,
            ending: (3000, "theirs", true, Peer),
            flushes: false,
        },
        Cell {
            steps: &[Close, Receive],
            state: Closing,
            transport: [Keep, Keep],
            hears: Nothing,
            ending: (3000, "theirs", false, Local),
            flushes: true,
        },
        Cell {
            steps: &[Close, Receive, Drain],
            state: Closing,
            transport: [Keep, ShutdownWrite],
            hears: Nothing,
            ending: (3000, "theirs", true, Local),
            flushes: false,
        },
        Cell {
            steps: &[Close, Drain, Receive],
            state: Closing,
            transport: [Keep, ShutdownWrite],
            hears: Nothing,
            ending: (3000, "theirs", true, Local),
            flushes: false,
        },
        Cell {
            steps: &[Fail],
            state: Closing,
            transport: [Keep, Keep],
            hears: Failure,
            ending: (ABNORMAL, "", false, Local),
            flushes: false,
        },
        Cell {
            steps: &[Fail, Drain],
            state: Closing,
            transport: [ShutdownWrite, ShutdownWrite],
            hears: Failure,
            ending: (ABNORMAL, "", false, Local),
            flushes: false,
        },
        Cell {
            steps: &[Close, Fail],
            state: Closing,
            transport: [Keep, Keep],
            hears: Failure,
            ending: (ABNORMAL, "", false, Local),
            flushes: false,
        },
        Cell {
            steps: &[Close, Drain, Fail],
            state: Closing,
            transport: [ShutdownWrite, ShutdownWrite],
            hears: Failure,
            ending: (ABNORMAL, "", false, Local),
            flushes: false,
        },
    ]
};

impl Cell {
    fn reach(&self, role: Role) -> Connection {
        let mut connection = open(role);
        self.steps.iter().for_each(|&next| step(&mut connection, next));
        connection
    }

    fn ending(&self) -> Seen {
        let (code, reason, was_clean, initiator) = self.ending;
        close_event(code, reason, was_clean, initiator)
    }

    fn transport(&self, role: Role) -> TransportAction {
        let [client, server] = self.transport;
        match role {
            Role::Client => client,
            Role::Server => server,
        }
    }
}

/// Runs a test in every cell, for both roles.
fn in_every_cell(test: impl Fn(&Cell, Role)) {
    for cell in TABLE {
        for role in BOTH {
            println!("{role:?} after {:?}", cell.steps);
            test(cell, role);
        }
    }
}

// Design 3.7; section 7.1; Conformance 48: the server closes TCP first, the client waits for it to.
#[test]
fn every_cell_has_its_state_and_says_what_to_do_with_tcp() {
    in_every_cell(|cell, role| {
        let connection = cell.reach(role);
        assert_eq!(connection.ready_state(), cell.state);
        assert_eq!(connection.transport(), cell.transport(role));
        assert!(connection.wants_read(), "until TCP ends there may be something to read, or its end");
    });
}

// Design 3.7; Conformance 44, 50; sections 5.5.1, 7.1.2, 7.1.7.
#[test]
fn every_cell_hears_messages_or_discards_them() {
    in_every_cell(|cell, role| {
        let mut connection = cell.reach(role);
        let (events, result) = feed(&mut connection, &wire(role, &[Frame::text("still here")]));
        let failed = Err(ProtocolError::ContinuationUnexpected.into());
        let expected = match cell.hears {
            Hears::Messages => (vec![text("still here")], Ok(())),
            Hears::Nothing => (vec![], Ok(())),
            Hears::Failure => (vec![], failed),
        };
        assert_eq!((events, result), expected);
    });
}

// Contract 5; Conformance 49; sections 7.1.4 to 7.1.6.
#[test]
fn every_cell_closes_once_at_the_end_of_tcp() {
    in_every_cell(|cell, role| {
        let mut connection = cell.reach(role);
        assert_eq!(seen(connection.receive_eof(Instant::EPOCH)), Ok(Some(cell.ending())));
        assert_eq!(connection.ready_state(), ReadyState::Closed);
        assert_eq!(connection.output().has_remaining(), cell.flushes);
        if cell.flushes {
            // the peer may have half-closed, and waits for our reply
            assert_eq!(connection.transport(), TransportAction::Open);
            assert_eq!(take_output(&mut connection).len(), 1);
        }
        is_over(&mut connection, cell.hears == Hears::Failure);
    });
}

// Contract 5; Conformance 48; CVE-2024-23672; section 7.1.1.
#[test]
fn every_cell_closes_once_at_the_timer() {
    in_every_cell(|cell, role| {
        let mut connection = cell.reach(role);
        if cell.state == ReadyState::Open {
            assert_eq!(connection.poll_timeout(), None, "an open connection has no deadline");
            return;
        }
        let deadline = connection.poll_timeout().expect("the closing handshake has a deadline");
        assert_eq!(deadline, seconds(5));
        assert_eq!(connection.handle_timeout(Instant::from_nanos(deadline.as_nanos() - 1)), Ok(None));
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        assert_eq!(seen(connection.handle_timeout(deadline)), Ok(Some(cell.ending())));
        is_over(&mut connection, cell.hears == Hears::Failure);
    });
}

/// Contract 5: after Close nothing happens any more, whatever is called.
fn is_over(connection: &mut Connection, failed: bool) {
    let role = connection.role();
    let late = seconds(1_000);
    let failure = if failed { Err(Error::from(ProtocolError::ContinuationUnexpected)) } else { Ok(()) };
    assert_eq!(connection.ready_state(), ReadyState::Closed);
    assert_eq!(connection.transport(), TransportAction::Close);
    assert!(!connection.wants_read());
    assert_eq!(connection.receive_eof(late), Ok(None));
    assert_eq!(connection.handle_timeout(late), Ok(None));
    assert_eq!(connection.poll_timeout(), None);
    assert_eq!(feed(connection, &wire(role, &[Frame::text("late"), Frame::ping("late")])), (vec![], failure.clone()));
    assert_eq!(feed(connection, &wire(role, &[Frame::close(1000, "")])), (vec![], failure));
    assert_eq!(connection.send("late"), Err(SendError::NotOpen(ReadyState::Closed)));
    assert_eq!(connection.ping(b"late"), Err(SendError::NotOpen(ReadyState::Closed)));
    assert_eq!(connection.close(CloseCode::NORMAL, "late", late), Ok(()));
    assert_eq!(connection.receive_eof(late), Ok(None));
    assert_eq!(connection.poll_timeout(), None);
    assert_eq!(take_output(connection), []);
    assert_eq!((connection.ready_state(), connection.transport()), (ReadyState::Closed, TransportAction::Close));
}

// CVE-2024-23672; section 7.1.1: a reply that the peer does not take keeps nothing after the deadline, not even when
// the peer has ended its own direction.
#[test]
fn a_reply_that_is_not_taken_after_the_end_of_tcp_is_given_up_at_the_deadline() {
    for role in BOTH {
        for steps in [&[Step::Receive][..], &[Step::Close, Step::Receive]] {
            let mut connection = open(role);
            steps.iter().for_each(|&next| step(&mut connection, next));
            assert!(matches!(connection.receive_eof(seconds(1)), Ok(Some(Event::Close(_)))));
            assert_eq!(connection.transport(), TransportAction::Open);

            let deadline = connection.poll_timeout().expect("the transport must not be kept for ever");
            assert_eq!(deadline, seconds(5));
            assert_eq!(connection.handle_timeout(deadline), Ok(None), "Close was reported before");
            is_over(&mut connection, false);
        }
    }
}

// Conformance 40; sections 5.5.1 and 7.1.5.
#[test]
fn a_close_body_of_one_byte_breaks_the_protocol_and_an_empty_one_has_no_status() {
    check_both(&[Frame::new(CLOSE, [3])], &[], Err(ProtocolError::CloseBodyTooShort));
    check_both(&[Frame::new(CLOSE, [])], &[closed(NO_STATUS, "")], Ok(()));
}

// Conformance 41; section 5.5.1.
#[test]
fn a_reason_must_be_utf8_and_fit() {
    for reason in ["", "bye", "Grüße", "𝄞", &"r".repeat(123), &"€".repeat(41)] {
        check_both(&[Frame::close(1000, reason)], &[closed(1000, reason)], Ok(()));
    }
    for reason in [&b"\xff"[..], b"cut \xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"] {
        let body = [&1000_u16.to_be_bytes(), reason].concat();
        check_both(&[Frame::new(CLOSE, body)], &[], Err(ProtocolError::Utf8Invalid));
    }
    check_both(&[Frame::close(1000, &"r".repeat(124))], &[], Err(ProtocolError::ControlFrameTooLong));
    // the code is judged first
    check_both(&[Frame::new(CLOSE, b"\x03\xed\xff")], &[], Err(ProtocolError::CloseCodeInvalid));
}

// Conformance 41; section 5.5.1: the reasons that we generate fit without being cut.
#[test]
fn the_name_of_every_broken_rule_fits_a_close_frame() {
    use ProtocolError::*;
    for error in [
        CloseCodeInvalid,
        CloseBodyTooShort,
        ContinuationUnexpected,
        ControlFrameFragmented,
        ControlFrameTooLong,
        ContinuationMissing,
        EmptyFragmentsTooMany,
        FrameNotMasked,
        FrameMasked,
        FrameTooLong,
        LengthTopBitSet,
        LengthNotMinimal,
        MessageTooLong,
        OpCodeReserved,
        ReservedBitSet,
        Utf8Invalid,
    ] {
        assert!(error.to_string().len() <= 123, "{error}");
        assert!(error.close_code().is_sendable(), "{error}");
    }
}

/// The records of the table: code, and whether it may travel.
fn close_codes() -> Vec<(u16, bool)> {
    let lines = CLOSE_CODES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let codes = lines.map(|line| {
        let mut columns = line.split_whitespace();
        let code = columns.next().unwrap().parse().unwrap();
        let travels = match columns.next().unwrap() {
            "accept" => true,
            "refuse" => false,
            other => panic!("neither accepted nor refused: {other}"),
        };
        (code, travels)
    });
    codes.collect()
}

// Conformance 42, 46; sections 7.4.1 and 7.4.2, and the IANA registry.
#[test]
fn codes_from_the_peer_are_accepted_and_echoed_or_refused() {
    let codes = close_codes();
    assert!(codes.len() > 30, "the table was read");
    for (code, travels) in codes {
        for reason in ["", "reason"] {
            match travels {
                true => check_both(&[Frame::close(code, reason)], &[closed(code, reason)], Ok(())),
                false => check_both(&[Frame::close(code, reason)], &[], Err(ProtocolError::CloseCodeInvalid)),
            }
        }
    }
}

// Conformance 42; section 7.4: of all 65,536 codes exactly those that may travel do, in either direction.
#[test]
fn every_code_is_accepted_exactly_if_it_can_be_sent() {
    for code in 0..=u16::MAX {
        let travels = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(CloseCode::new(code).map(CloseCode::as_u16), travels.then_some(code));
        let role = if code % 2 == 0 { Role::Client } else { Role::Server };
        let mut connection = open(role);
        let (_, result) = feed(&mut connection, &wire(role, &[Frame::close(code, "")]));
        assert_eq!(result.is_ok(), travels, "{code}");
    }
}

// Conformance 42; section 7.4; CVE-2026-45736: a Close frame is these bytes and no others.
#[test]
fn codes_that_may_travel_are_sent_as_they_are() {
    for (code, travels) in close_codes() {
        assert_eq!(CloseCode::new(code).is_some(), travels, "{code}");
        for role in BOTH {
            let Some(sendable) = CloseCode::new(code) else { continue };
            let mut connection = open(role);
            connection.close(sendable, "why", Instant::EPOCH).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::close(code, "why")]);
        }
    }
}

// CVE-2026-45736; section 5.5.1.
#[test]
fn a_close_frame_is_exactly_its_code_and_reason() {
    let mut server = open(Role::Server);
    close(&mut server, 1000, "bye");
    assert_eq!(take(&mut server, 100), b"\x88\x05\x03\xe8bye");

    let mut client = open(Role::Client);
    close(&mut client, 1000, "bye");
    let bytes = take(&mut client, 100);
    let (head, body) = bytes.split_at(6);
    assert_eq!(head[..2], [0x88, 0x85]);
    let unmasked: Vec<_> = body.iter().zip(head[2..].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(unmasked, b"\x03\xe8bye");
}

// Conformance 42; sections 7.1.5 and 7.4.1: what is only ever reported is not sent, and asking for it harms nothing.
#[test]
fn codes_that_never_travel_cannot_be_sent() {
    for role in BOTH {
        let mut connection = open(role);
        let refused = connection.close(CloseCode::ABNORMAL, "", Instant::EPOCH);
        assert_eq!(refused, Err(SendError::CloseCodeNotSendable(CloseCode::ABNORMAL)));
        let refused = connection.close(CloseCode::NO_STATUS, "a reason", Instant::EPOCH);
        assert_eq!(refused, Err(SendError::ReasonTooLong), "a reason follows a code");
        is_unharmed(&mut connection);
    }
}

// Sections 5.5.1 and 7.1.5: a Close frame may have no body.
#[test]
fn to_close_without_a_status_sends_an_empty_body() {
    for role in BOTH {
        let mut connection = open(role);
        connection.close(CloseCode::NO_STATUS, "", Instant::EPOCH).unwrap();
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        assert_eq!(take_output(&mut connection), [Frame::new(CLOSE, [])]);
        // a code that was reported can be given back as it is
        let mut peer = open(role);
        let _ = feed(&mut peer, &wire(role, &[Frame::new(CLOSE, [])]));
        assert_eq!(take_output(&mut peer), [Frame::new(CLOSE, [])]);
    }
}

// Conformance 41; section 5.5: 125 bytes, of which the code takes two.
#[test]
fn a_reason_of_123_bytes_is_sent_and_one_of_124_refused() {
    for role in BOTH {
        for reason in ["r".repeat(123), "€".repeat(41), format!("{}r", "ü".repeat(61))] {
            let mut connection = open(role);
            connection.close(CloseCode::NORMAL, &reason, Instant::EPOCH).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::close(1000, &reason)]);
        }
        for reason in ["r".repeat(124), "ü".repeat(62), "€".repeat(42), "r".repeat(70_000)] {
            let mut connection = open(role);
            assert_eq!(connection.close(CloseCode::NORMAL, &reason, Instant::EPOCH), Err(SendError::ReasonTooLong));
            is_unharmed(&mut connection);
        }
    }
}

/// A connection that refused to close is open, and closes when asked properly.
fn is_unharmed(connection: &mut Connection) {
    let role = connection.role();
    assert_eq!((connection.ready_state(), connection.transport()), (ReadyState::Open, TransportAction::Open));
    assert_eq!(connection.poll_timeout(), None);
    assert_eq!(connection.send("open"), Ok(()));
    assert_eq!(feed(connection, &wire(role, &[Frame::text("open")])), (vec![text("open")], Ok(())));
    close(connection, 1000, "");
    assert_eq!(take_output(connection), [Frame::text("open"), Frame::close(1000, "")]);
}

// Section 5.5.1: one Close frame per endpoint; contract 5.
#[test]
fn to_close_again_does_nothing() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "first");
        connection.close(CloseCode::GOING_AWAY, "second", seconds(3)).unwrap();
        connection.close(CloseCode::ABNORMAL, "", seconds(4)).unwrap();
        assert_eq!(connection.poll_timeout(), Some(seconds(5)), "the first deadline stays");
        assert_eq!(take_output(&mut connection), [Frame::close(1000, "first")]);
        connection.close(CloseCode::GOING_AWAY, "third", seconds(4)).unwrap();
        assert_eq!(take_output(&mut connection), []);
        assert_eq!(connection.poll_timeout(), Some(seconds(5)));
    }
}

// Conformance 44; sections 5.5.1 and 7.1.2: we send no more, but the peer may until it has seen our Close.
#[test]
fn after_our_close_nothing_is_sent_and_everything_delivered() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send_fragment(MessageKind::Text, b"unfin", false).unwrap();
        close(&mut connection, 1000, "");
        let refused = Err(SendError::NotOpen(ReadyState::Closing));
        assert_eq!(connection.send("late"), refused);
        assert_eq!(connection.send_shared(MessageKind::Binary, (&b"late"[..]).into()), refused);
        assert_eq!(connection.send_fragment(MessageKind::Text, b"ished", true), refused);
        assert_eq!(connection.ping(b""), refused);
        assert_eq!(connection.pong(b""), refused);
        assert_eq!(take_output(&mut connection), [Frame::text("unfin").fin(false), Frame::close(1000, "")]);
        assert_eq!(connection.send("later"), refused);

        let frames = [
            Frame::text("one"),
            Frame::binary("tw").fin(false),
            Frame::pong("between"),
            Frame::continuation("o"),
            Frame::close(1000, "done"),
            Frame::text("discarded"),
        ];
        let (events, result) = feed(&mut connection, &wire(role, &frames));
        assert_eq!(events, [text("one"), pong("between"), binary("two")]);
        assert_eq!(result, Ok(()));
        assert_eq!(take_output(&mut connection), [], "the peer's Close was an answer");
        let expected = close_event(1000, "done", true, Initiator::Local);
        assert_eq!(seen(connection.receive_eof(Instant::EPOCH)), Ok(Some(expected)));
    }
}

// Conformance 50; section 7.1.7: our own Close does not excuse the peer, and is not followed by another.
#[test]
fn a_peer_that_breaks_a_rule_after_our_close_fails_the_connection_without_a_second_close() {
    for role in BOTH {
        for drained in [false, true] {
            let mut connection = open(role);
            close(&mut connection, 1000, "");
            let mut sent = if drained { take_output(&mut connection) } else { vec![] };
            let (_, result) = feed(&mut connection, &wire(role, &[Frame::text(b"\xff")]));
            assert_eq!(result, Err(ProtocolError::Utf8Invalid.into()));
            sent.extend(take_output(&mut connection));
            assert_eq!(sent, [Frame::close(1000, "")]);
            assert_eq!(connection.transport(), TransportAction::ShutdownWrite);
        }
    }
}

// Conformance 45; section 5.5.1; Autobahn 7.1.5 expects a clean echo.
#[test]
fn a_close_inside_a_fragmented_message_is_answered_like_any_other() {
    check_both(&[Frame::text("begun").fin(false), Frame::close(1000, "")], &[closed(1000, "")], Ok(()));
    check_both(
        &[
            Frame::text(b"\xe2").fin(false),
            Frame::ping("!"),
            Frame::close(1001, "off"),
            Frame::continuation(b"\x82\xac"),
        ],
        &[ping("!"), closed(1001, "off")],
        Ok(()),
    );
}

// Conformance 46; section 5.5.1: "it typically echos the status code it received".
#[test]
fn the_reply_echoes_the_code_and_waits_behind_what_was_sent_before() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send("before").unwrap();
        let _ = feed(&mut connection, &wire(role, &[Frame::close(4321, "a reason")]));
        assert_eq!(connection.send("after"), Err(SendError::NotOpen(ReadyState::Closing)));
        assert_eq!(take_output(&mut connection), [Frame::text("before"), Frame::close(4321, "")]);
    }
}

// Conformance 39; sections 1.4 and 5.5.1: the first Close counts, what follows it is discarded.
#[test]
fn what_follows_a_close_frame_is_discarded() {
    let bogus = Frame::new(0xB, "reserved").rsv(7);
    for junk in [Frame::close(1001, "second"), Frame::ping("no pong"), Frame::text(b"\xff"), bogus] {
        check_both(&[Frame::close(1000, "first"), junk], &[closed(1000, "first")], Ok(()));
    }
}

// Conformance 47; sections 5.5.1 and 7.1.4: both close at once; both are clean, and neither answers.
#[test]
fn when_both_close_at_once_both_are_clean() {
    let mut client = open(Role::Client);
    let mut server = open(Role::Server);
    close(&mut client, 4001, "client");
    close(&mut server, 4002, "server");
    let from_client = take(&mut client, usize::MAX);
    let from_server = take(&mut server, usize::MAX);
    assert_eq!(feed(&mut client, &from_server), (vec![], Ok(())));
    assert_eq!(feed(&mut server, &from_client), (vec![], Ok(())));
    assert_eq!((take_output(&mut client), take_output(&mut server)), (vec![], vec![]));

    assert_eq!(client.transport(), TransportAction::Open);
    assert_eq!(server.transport(), TransportAction::ShutdownWrite);
    let at_client = close_event(4002, "server", true, Initiator::Local);
    assert_eq!(seen(client.receive_eof(Instant::EPOCH)), Ok(Some(at_client)));
    assert_eq!(client.transport(), TransportAction::Close);
    let at_server = close_event(4001, "client", true, Initiator::Local);
    assert_eq!(seen(server.receive_eof(Instant::EPOCH)), Ok(Some(at_server)));
    assert_eq!(server.transport(), TransportAction::Close);
}

// Conformance 48; section 7.1.1: the server says when, byte for byte; the client does not before the server has.
#[test]
fn the_server_ends_tcp_once_its_close_frame_has_left_and_the_client_waits() {
    for (role, after) in [(Role::Server, TransportAction::ShutdownWrite), (Role::Client, TransportAction::Open)] {
        let mut connection = open(role);
        connection.send("on its way").unwrap();
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        while connection.output().remaining() > 1 {
            take(&mut connection, 1);
            assert_eq!(connection.transport(), TransportAction::Open);
        }
        take(&mut connection, 1);
        assert_eq!(connection.transport(), after);
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        // a peer that goes on talking changes nothing
        let _ = feed(&mut connection, &wire(role, &[Frame::text("and another thing")]));
        assert_eq!(connection.transport(), after);
        assert_eq!(connection.poll_timeout(), Some(seconds(5)));
        assert!(matches!(connection.handle_timeout(seconds(5)), Ok(Some(Event::Close(close))) if close.was_clean));
        assert_eq!(connection.transport(), TransportAction::Close);
    }
}

// Conformance 49; section 7.1.5: TCP that ends in the middle of anything is 1006, and not clean.
#[test]
fn tcp_that_ends_before_the_peers_close_is_abnormal_wherever_it_ends() {
    for role in BOTH {
        let stream = wire(
            role,
            &[Frame::text("he").fin(false), Frame::ping("?"), Frame::continuation("y"), Frame::close(1000, "bye")],
        );
        for end in 0..stream.len() {
            let mut connection = open(role);
            let (_, result) = feed(&mut connection, &stream[..end]);
            assert_eq!(result, Ok(()));
            let close = seen(connection.receive_eof(Instant::EPOCH));
            assert_eq!(close, Ok(Some(abnormal(Initiator::Peer))), "after {end} bytes");
            assert_eq!(connection.transport(), TransportAction::Close);
            assert!(!connection.output().has_remaining());
        }
        check(&Config::default(), role, &stream, &[ping("?"), text("hey"), closed(1000, "bye")], Ok(()));
    }
}

// Conformance 49: after both Close frames it does not matter how TCP ends. An adapter reports a reset as the end.
#[test]
fn tcp_may_end_anyhow_after_both_close_frames() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "");
        take_output(&mut connection);
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        let _ = feed(&mut connection, b"whatever");
        let end = close_event(1000, "", true, Initiator::Local);
        assert_eq!(seen(connection.receive_eof(Instant::EPOCH)), Ok(Some(end)));
    }
}

// CVE-2024-23672; section 7.1.1: the deadline stands, however the peer keeps busy, and whether it reads or not.
#[test]
fn a_peer_that_never_answers_our_close_is_dropped_at_the_deadline() {
    for role in BOTH {
        for drained in [false, true] {
            let mut connection = open(role);
            connection.send(vec![1; 100_000]).unwrap();
            connection.close(CloseCode::NORMAL, "", seconds(1)).unwrap();
            if drained {
                take_output(&mut connection);
            }
            let deadline = seconds(6);
            // a message that is never finished
            let mut drip = wire(role, &[Frame::binary([7; 200])]);
            drip.pop();
            for (tick, byte) in drip.iter_mut().enumerate() {
                let now = seconds(1) + Duration::from_millis(20) * tick as u32;
                assert_eq!(connection.receive(&mut Input::new(std::slice::from_mut(byte)), now), Ok(None));
                assert_eq!(connection.handle_timeout(now), Ok(None));
                assert_eq!(connection.poll_timeout(), Some(deadline));
            }
            assert_eq!(seen(connection.handle_timeout(deadline)), Ok(Some(abnormal(Initiator::Local))));
            is_over(&mut connection, false);
        }
    }
}

// CVE-2024-23672; section 7.1.1: the deadline counts from the first step, and the second does not put it off.
#[test]
fn what_comes_after_the_first_close_frame_does_not_renew_the_deadline() {
    for role in BOTH {
        for frame in [Frame::close(1000, ""), Frame::continuation("an offence")] {
            let mut connection = open(role);
            connection.close(CloseCode::NORMAL, "", seconds(1)).unwrap();
            take_output(&mut connection);
            let mut bytes = wire(role, &[frame]);
            let _ = connection.receive(&mut Input::new(&mut bytes), seconds(3));
            assert!(!matches!(connection.receive(&mut Input::new(&mut []), seconds(4)), Ok(Some(_))));
            assert_eq!(connection.poll_timeout(), Some(seconds(6)));
            assert!(matches!(connection.handle_timeout(seconds(6)), Ok(Some(Event::Close(_)))));
        }
    }
}

// Section 7.1.1: a deadline of nothing, or of very long, is one too.
#[test]
fn the_closing_timeout_is_the_configured_one() {
    for role in BOTH {
        for (timeout, deadline) in [
            (Duration::ZERO, Some(1)),
            (Duration::from_nanos(1), Some(1)),
            (Duration::from_secs(60), Some(60_000_000_000)),
            (Duration::MAX, None),
        ] {
            let mut config = Config::default();
            config.closing_timeout = timeout;
            for step in [Step::Close, Step::Receive, Step::Fail] {
                let mut connection = endpoint(role, &config);
                self::step(&mut connection, step);
                assert_eq!(connection.poll_timeout(), deadline.map(Instant::from_nanos));
            }
        }
    }
}

// CVE-2026-85024; contract 4; Conformance 50; section 7.1.7: after any fatal error the connection is inert.
#[test]
fn after_any_fatal_error_nothing_more_happens() {
    type Offence = (fn(Role) -> Vec<u8>, ProtocolError);
    let offences: &[Offence] = &[
        (|role| wire(role, &[Frame::text("x").rsv(4)]), ProtocolError::ReservedBitSet),
        (|role| wire(role, &[Frame::new(3, "x")]), ProtocolError::OpCodeReserved),
        (|role| wire(role, &[Frame::ping("x").fin(false)]), ProtocolError::ControlFrameFragmented),
        (|role| wire(role, &[Frame::ping([0; 126])]), ProtocolError::ControlFrameTooLong),
        (|role| wire(role, &[Frame::text("x").length_in_16_bits()]), ProtocolError::LengthNotMinimal),
        (|role| wire(role, &[Frame::binary("").claiming(1 << 63)]), ProtocolError::LengthTopBitSet),
        (|role| wire(role, &[Frame::binary("").claiming(1 << 62)]), ProtocolError::FrameTooLong),
        (|role| wire(role, &[Frame::continuation("x")]), ProtocolError::ContinuationUnexpected),
        (|role| wire(role, &[Frame::text("x").fin(false), Frame::text("y")]), ProtocolError::ContinuationMissing),
        (|role| wire(role, &[Frame::text(b"\xff")]), ProtocolError::Utf8Invalid),
        (|role| wire(role, &[Frame::new(CLOSE, "x")]), ProtocolError::CloseBodyTooShort),
        (|role| wire(role, &[Frame::close(1005, "")]), ProtocolError::CloseCodeInvalid),
        (|_| vec![0x82, 0x00], ProtocolError::FrameNotMasked),
        (|_| vec![0x82, 0x80, 1, 2, 3, 4], ProtocolError::FrameMasked),
    ];
    for role in BOTH {
        for (offence, error) in offences {
            match (role, error) {
                (Role::Client, ProtocolError::FrameNotMasked) | (Role::Server, ProtocolError::FrameMasked) => continue,
                _ => {}
            }
            let failed = Err(Error::from(*error));
            let mut connection = open(role);
            assert_eq!(feed(&mut connection, &offence(role)), (vec![], failed.clone()));
            // another offence, a legal message, a Ping, a Close, a part of a frame: none of it is looked at
            let more = wire(role, &[Frame::text("hello"), Frame::ping("?"), Frame::close(1000, "bye")]);
            for bytes in [&offence(role)[..], &[0xff; 20], &more, &more[..1]] {
                assert_eq!(feed(&mut connection, bytes), (vec![], failed.clone()));
            }
            assert_eq!(connection.send("hello"), Err(SendError::NotOpen(ReadyState::Closing)));
            assert_eq!(connection.close(CloseCode::NORMAL, "", seconds(2)), Ok(()));
            assert_eq!(connection.handle_timeout(seconds(4)), Ok(None));
            let expected = Frame::close(error.close_code().as_u16(), &error.to_string());
            assert_eq!(take_output(&mut connection), [expected], "one Close frame");
            assert_eq!(connection.transport(), TransportAction::ShutdownWrite);
            assert_eq!(seen(connection.receive_eof(seconds(4))), Ok(Some(abnormal(Initiator::Local))));
            assert_eq!(connection.receive_eof(seconds(4)), Ok(None));
            assert_eq!(connection.handle_timeout(seconds(9)), Ok(None));
            assert_eq!(feed(&mut connection, &more), (vec![], failed));
        }
    }
}

// Section 5.5.1: Close is the last frame; contract 6: what was promised before it leaves before it.
#[test]
fn close_leaves_behind_messages_and_pongs() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send("first").unwrap();
        take(&mut connection, 3);
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("a")]));
        connection.ping(b"b").unwrap();
        connection.send(vec![9; 10_000]).unwrap();
        close(&mut connection, 1000, "end");
        // a Ping that comes while our Close waits is still answered: contract 6
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("c")]));
        let mut frames = take(&mut connection, usize::MAX);
        // the first frame is completed, then the control frames have their turn
        let first = if role == Role::Server { 4 } else { 8 };
        frames.drain(..first);
        let frames: Vec<_> = Frame::parse_all(&frames).into_iter().map(Frame::unmasked).collect();
        let expected = [
            Frame::pong("a"),
            Frame::ping("b"),
            Frame::pong("c"),
            Frame::binary([9; 10_000]),
            Frame::close(1000, "end"),
        ];
        assert_eq!(frames, expected);
    }
}

// Conformance 39; section 5.5.2: no Pong follows our Close frame, not even one that has begun to leave.
#[test]
fn a_ping_that_comes_while_our_close_leaves_is_not_answered() {
    for role in BOTH {
        let size = if role == Role::Server { 4 } else { 8 };
        for taken in 0..=size {
            let mut connection = open(role);
            close(&mut connection, 1000, "");
            let mut bytes = take(&mut connection, taken);
            assert_eq!(feed(&mut connection, &wire(role, &[Frame::ping("!")])), (vec![ping("!")], Ok(())));
            bytes.extend(take(&mut connection, usize::MAX));
            let frames: Vec<_> = Frame::parse_all(&bytes).into_iter().map(Frame::unmasked).collect();
            match taken {
                0 => assert_eq!(frames, [Frame::pong("!"), Frame::close(1000, "")]),
                _ => assert_eq!(frames, [Frame::close(1000, "")], "{taken} bytes taken"),
            }
        }
    }
}

// Contract 6; tungstenite 78: the Pong and the Close have their own places, and neither displaces the other.
#[test]
fn a_pong_is_not_dropped_for_the_reply_to_a_close() {
    for role in BOTH {
        let mut connection = open(role);
        let (events, _) =
            feed(&mut connection, &wire(role, &[Frame::ping("1"), Frame::ping("2"), Frame::close(1000, "")]));
        assert_eq!(events, [ping("1"), ping("2")]);
        assert_eq!(take_output(&mut connection), [Frame::pong("1"), Frame::pong("2"), Frame::close(1000, "")]);
    }
}

// Contract 6; CVE-2020-35896: a full buffer refuses messages, never the closing handshake.
#[test]
fn close_is_queued_when_the_buffer_is_full() {
    let mut config = Config::default();
    config.max_buffered_amount = 100;
    for role in BOTH {
        for local in [true, false] {
            let mut connection = endpoint(role, &config);
            connection.send(&[0; 100]).unwrap();
            assert!(matches!(connection.send("x"), Err(SendError::BufferFull(Some(_)))));
            if local {
                close(&mut connection, 3000, "");
            } else {
                let _ = feed(&mut connection, &wire(role, &[Frame::close(3000, "")]));
            }
            assert_eq!(take_output(&mut connection), [Frame::binary([0; 100]), Frame::close(3000, "")]);
        }
    }
}

proptest! {
    // Conformance 44, 47, 49; contract 5: two endpoints that close, talk and lose bytes in any order end once each, and
    // are clean only if both Close frames travelled.
    #[test]
    fn two_endpoints_close_in_any_order(script in proptest::collection::vec((0_usize..2, 0_u8..5, 1_usize..40), 0..40)) {
        let mut ends = BOTH.map(open);
        let mut wires = [vec![], vec![]];
        let mut delivered = [0, 0];
        let mut accepted = [0, 0];
        let mut deliver = |ends: &mut [Connection; 2], wires: &mut [Vec<u8>; 2], from: usize, count: usize| {
            let bytes = take(&mut ends[from], count);
            wires[from].extend_from_slice(&bytes);
            let (events, result) = feed(&mut ends[1 - from], &bytes);
            delivered[from] += events.iter().filter(|event| matches!(event, Seen::Binary(_))).count();
            result
        };
        for (who, what, amount) in script {
            match what {
                0 => accepted[who] += usize::from(ends[who].send(vec![0; amount]).is_ok()),
                1 => drop(ends[who].ping(b"?")),
                2 => close(&mut ends[who], 4000 + who as u16, ""),
                _ => prop_assert_eq!(deliver(&mut ends, &mut wires, who, amount), Ok(())),
            }
        }
        close(&mut ends[0], 4000, "");
        for from in [0, 1, 0, 1] {
            prop_assert_eq!(deliver(&mut ends, &mut wires, from, usize::MAX), Ok(()));
        }
        for (who, end) in ends.iter_mut().enumerate() {
            prop_assert_eq!(end.ready_state(), ReadyState::Closing);
            let close = seen(end.receive_eof(Instant::EPOCH)).unwrap();
            prop_assert!(matches!(close, Some(Seen::Close { was_clean: true, .. })), "both Close frames travelled");
            prop_assert_eq!(end.receive_eof(Instant::EPOCH), Ok(None));
            // Close is sent once, and last
            let frames = Frame::parse_all(&wires[who]);
            prop_assert_eq!(frames.iter().position(|frame| frame.opcode == CLOSE), Some(frames.len() - 1));
        }
        prop_assert_eq!(delivered, accepted, "what was accepted before Close is delivered");
    }
}
