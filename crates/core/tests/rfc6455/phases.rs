//! The tables of `closing/mod.rs`, cell by cell: what a connection in each state does with received data, FIN, a lost
//! write side and an abort. Both roles, and every sequence of steps that leads to a cell.

use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::{
    CloseCode, Config, Connection, Error, Initiator, Instant, ProtocolError, ReadyState, Role, SendError,
    TransportAction,
};

use crate::support::*;

use Initiator::{Local, Peer};
use Phase::{AwaitingClose, AwaitingEnd, Draining, Ended, Open, WriteLost};
use Step::{Close, Deliver, Fail, Fin, LoseWrite, Receive, Send};

/// A step towards the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// The application sends a message.
    Send,
    /// The application closes with 4000 "mine".
    Close,
    /// The transport delivers all output.
    Deliver,
    /// The peer's Close, 3000 "theirs", arrives.
    Receive,
    /// A frame that breaks a rule arrives.
    Fail,
    Fin,
    LoseWrite,
}

pub(crate) fn step(connection: &mut Connection, step: Step) {
    let role = connection.role();
    match step {
        Send => connection.send(&[5; 100]).unwrap(),
        Close => close(connection, 4000, "mine"),
        Deliver => drop(take_output(connection)),
        Receive => {
            let events = feed(connection, &wire(role, &[Frame::close(3000, "theirs")]));
            assert_eq!(events, (vec![close_received(3000, "theirs")], Ok(())), "reported immediately");
        }
        Fail => {
            let (events, result) = feed(connection, &wire(role, &[Frame::continuation("?")]));
            assert_eq!((events, result), (vec![], Err(ProtocolError::ContinuationUnexpected.into())));
        }
        Fin => assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None), "output is pending"),
        LoseWrite => connection.write_lost(Instant::EPOCH),
    }
}

/// The phases of `closing/mod.rs`, and the states before and after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Draining,
    AwaitingClose,
    AwaitingEnd,
    WriteLost,
    Ended,
}

/// How a connection handles received messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Data {
    Delivered,
    Discarded,
    /// Discarded; every `receive` returns the error.
    Failed,
}

/// The state of a connection, and the steps that lead to it.
pub(crate) struct Cell {
    pub(crate) steps: &'static [Step],
    pub(crate) phase: Phase,
    pub(crate) data: Data,
    pub(crate) initiator: Initiator,
    /// Whether the peer's Close was received.
    pub(crate) is_received: bool,
    /// `was_clean` if all output is delivered before TCP ends, and if the output is dropped.
    pub(crate) is_clean: [bool; 2],
}

const fn cell(steps: &'static [Step], phase: Phase, data: Data, initiator: Initiator) -> Cell {
    Cell { steps, phase, data, initiator, is_received: false, is_clean: [false; 2] }
}

const fn received(steps: &'static [Step], phase: Phase, initiator: Initiator, is_clean: [bool; 2]) -> Cell {
    Cell { steps, phase, data: Data::Discarded, initiator, is_received: true, is_clean }
}

pub(crate) const CELLS: &[Cell] = {
    use Data::{Delivered, Discarded, Failed};
    &[
        cell(&[], Open, Delivered, Peer),
        cell(&[Send], Open, Delivered, Peer),
        cell(&[Close], Draining, Delivered, Local),
        cell(&[Send, Close], Draining, Delivered, Local),
        received(&[Receive], Draining, Peer, [true, false]),
        received(&[Send, Receive, Close], Draining, Peer, [true, false]),
        received(&[Close, Receive], Draining, Local, [true, false]),
        cell(&[Fail], Draining, Failed, Local),
        cell(&[Send, Close, Fail], Draining, Failed, Local),
        cell(&[Send, Fin], Draining, Discarded, Peer),
        cell(&[Send, Fin, Close], Draining, Discarded, Peer),
        cell(&[Close, Fin], Draining, Discarded, Local),
        received(&[Receive, Fin], Draining, Peer, [true, false]),
        received(&[Send, Close, Receive, Fin], Draining, Local, [true, false]),
        cell(&[Fail, Fin], Draining, Failed, Local),
        cell(&[Close, Deliver], AwaitingClose, Delivered, Local),
        cell(&[Send, Close, Deliver, Close], AwaitingClose, Delivered, Local),
        received(&[Receive, Deliver], AwaitingEnd, Peer, [true, true]),
        received(&[Close, Receive, Deliver], AwaitingEnd, Local, [true, true]),
        received(&[Close, Deliver, Receive], AwaitingEnd, Local, [true, true]),
        cell(&[Fail, Deliver], AwaitingEnd, Failed, Local),
        cell(&[Close, Fail, Deliver], AwaitingEnd, Failed, Local),
        cell(&[Close, Deliver, Fail], AwaitingEnd, Failed, Local),
        cell(&[LoseWrite], WriteLost, Delivered, Peer),
        cell(&[Send, LoseWrite, Close], WriteLost, Delivered, Peer),
        cell(&[Send, Close, LoseWrite], WriteLost, Delivered, Local),
        cell(&[Close, Deliver, LoseWrite, LoseWrite], WriteLost, Delivered, Local),
        cell(&[Fail, LoseWrite], WriteLost, Failed, Local),
        cell(&[Fail, Deliver, LoseWrite], WriteLost, Failed, Local),
        cell(&[Close, Deliver, LoseWrite, Fail], WriteLost, Failed, Local),
        received(&[LoseWrite, Receive], Ended, Peer, [false, false]),
        received(&[Receive, LoseWrite], Ended, Peer, [false, false]),
        received(&[Close, LoseWrite, Receive], Ended, Local, [false, false]),
        received(&[Close, Receive, LoseWrite], Ended, Local, [false, false]),
        received(&[Close, Deliver, LoseWrite, Receive], Ended, Local, [true, true]),
        received(&[Close, Deliver, Receive, LoseWrite], Ended, Local, [true, true]),
        received(&[Receive, Deliver, LoseWrite], Ended, Peer, [true, true]),
        cell(&[Send, Fin, LoseWrite], Ended, Discarded, Peer),
        received(&[Receive, Fin, LoseWrite], Ended, Peer, [false, false]),
    ]
};

impl Cell {
    pub(crate) fn reach(&self, role: Role, config: &Config) -> Connection {
        let mut connection = endpoint(role, config);
        self.steps.iter().for_each(|&next| step(&mut connection, next));
        connection
    }

    pub(crate) fn has_fin(&self) -> bool {
        self.steps.contains(&Fin)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.data == Data::Failed
    }

    /// Returns the `Close` event if all output was delivered before the end.
    pub(crate) fn close_if_delivered(&self) -> OwnedEvent {
        self.close(self.is_clean[0])
    }

    /// Returns the `Close` event if pending output is dropped at the end.
    pub(crate) fn close_if_dropped(&self) -> OwnedEvent {
        self.close(self.is_clean[1])
    }

    fn close(&self, was_clean: bool) -> OwnedEvent {
        let (code, reason) = if self.is_received { (3000, "theirs") } else { (1006, "") };
        close_event(code, reason, was_clean, self.initiator)
    }

    /// Returns what the driver must do until the next step.
    fn transport(&self, role: Role) -> TransportAction {
        match self.phase {
            AwaitingEnd if role == Role::Server || self.has_failed() => TransportAction::ShutdownWrite,
            Ended => TransportAction::Abort,
            _ => TransportAction::Open,
        }
    }

    /// Returns what the driver must do when the connection has ended at its deadline.
    pub(crate) fn transport_at_deadline(&self) -> TransportAction {
        if self.phase == AwaitingEnd { TransportAction::Close } else { TransportAction::Abort }
    }
}

/// Runs a test in every cell, for both roles.
pub(crate) fn in_every_cell(test: impl Fn(&Cell, Role)) {
    for cell in CELLS {
        for role in BOTH {
            println!("{role:?} after {:?}", cell.steps);
            test(cell, role);
        }
    }
}

fn reach(cell: &Cell, role: Role) -> Connection {
    cell.reach(role, &Config::default())
}

/// Contract 5: checks that no call has an effect after `Close`.
pub(crate) fn assert_ended(connection: &mut Connection, has_failed: bool) {
    let role = connection.role();
    let late = seconds(1_000);
    let failure = if has_failed { Err(Error::from(ProtocolError::ContinuationUnexpected)) } else { Ok(()) };
    let (transport, buffered) = (connection.transport(), connection.buffered_amount());
    assert!(matches!(transport, TransportAction::Close | TransportAction::Abort));
    assert_eq!(connection.ready_state(), ReadyState::Closed);
    assert!(!connection.wants_read() && !connection.has_pending_event());
    connection.write_lost(late);
    connection.progress(late);
    assert_eq!(connection.receive_eof(late), Ok(None));
    assert_eq!(connection.handle_timeout(late), Ok(None));
    assert_eq!(feed(connection, &wire(role, &[Frame::text("late"), Frame::ping("late")])), (vec![], failure.clone()));
    assert_eq!(feed(connection, &wire(role, &[Frame::close(1000, "")])), (vec![], failure));
    assert_eq!(connection.send("late"), Err(SendError::NotOpen(ReadyState::Closed)));
    assert_eq!(connection.ping(b"late"), Err(SendError::NotOpen(ReadyState::Closed)));
    assert_eq!(connection.close(CloseCode::NORMAL, "late", late), Ok(()));
    connection.abort(late);
    assert_eq!(connection.receive_eof(late), Ok(None));
    assert_eq!((connection.poll_timeout(), connection.has_pending_event()), (None, false));
    assert_eq!(take_output(connection), []);
    assert_eq!((connection.ready_state(), connection.transport()), (ReadyState::Closed, transport));
    assert_eq!(connection.buffered_amount(), buffered);
}

// The column "transport"; section 7.1.1: the server ends TCP first.
#[test]
fn every_cell_says_what_to_do_with_the_transport() {
    in_every_cell(|cell, role| {
        let mut connection = reach(cell, role);
        let state = if cell.phase == Open { ReadyState::Open } else { ReadyState::Closing };
        assert_eq!(connection.ready_state(), state);
        assert_eq!(connection.transport(), cell.transport(role));
        assert_eq!(connection.wants_read(), !cell.has_fin() && cell.phase != Ended, "never after FIN");
        assert_eq!(connection.has_pending_event(), cell.phase == Ended);
        let has_output = cell.phase == Draining || cell.steps == [Send];
        assert_eq!(connection.output().has_remaining(), has_output);
        match cell.phase {
            Open => assert_eq!(connection.poll_timeout(), None),
            Ended => {}
            _ => {
                let next = connection.poll_timeout().expect("the driver must not wait for ever");
                assert!(next <= Instant::EPOCH + Duration::from_millis(1_250), "{next:?}: progress is sampled");
            }
        }
        if state == ReadyState::Closing {
            assert_eq!(connection.send("late"), Err(SendError::NotOpen(ReadyState::Closing)));
        }
    });
}

// A closing connection is always read, so that the peer's Close arrives.
#[test]
fn every_closing_cell_is_read_regardless_of_the_high_water_mark() {
    let mut config = Config::default();
    config.high_water_mark = 0;
    in_every_cell(|cell, role| {
        let connection = cell.reach(role, &config);
        let expected = match cell.phase {
            Open => cell.steps.is_empty() || role == Role::Client,
            _ => !cell.has_fin() && cell.phase != Ended,
        };
        assert_eq!(connection.wants_read(), expected);
    });
}

// Messages are delivered until the peer's Close. Data after it, or after a failure, is discarded: sections 5.5.1,
// 7.1.2, 7.1.7.
#[test]
fn every_cell_delivers_messages_or_discards_them() {
    in_every_cell(|cell, role| {
        let mut connection = reach(cell, role);
        let mut expected = match cell.data {
            Data::Delivered => (vec![text("still here"), text("and here")], Ok(())),
            Data::Discarded => (vec![], Ok(())),
            Data::Failed => (vec![], Err(ProtocolError::ContinuationUnexpected.into())),
        };
        if cell.phase == Ended {
            expected.0.push(cell.close_if_dropped());
        }
        let before = connection.output().remaining();
        let received = feed(&mut connection, &wire(role, &[Frame::text("still here"), Frame::text("and here")]));
        assert_eq!(received, expected);
        assert_eq!(connection.output().remaining(), before, "nothing is sent in answer");
    });
}

// Contract 5: FIN is remembered until the last byte of the output is delivered, and then the connection ends.
#[test]
fn every_cell_ends_once_after_fin_and_the_last_byte() {
    in_every_cell(|cell, role| {
        let mut connection = reach(cell, role);
        let remaining = connection.output().remaining();
        let mut close = owned(connection.receive_eof(Instant::EPOCH)).unwrap();
        assert_eq!(connection.output().remaining(), remaining, "FIN adds no Close frame and drops nothing");
        for rest in (0..remaining).rev() {
            assert_eq!((close, connection.transport()), (None, TransportAction::Open));
            assert_eq!(connection.ready_state(), ReadyState::Closing);
            assert!(!connection.wants_read() && !connection.has_pending_event());
            assert_eq!(connection.send("late"), Err(SendError::NotOpen(ReadyState::Closing)));
            take(&mut connection, 1);
            close = pending_event(&mut connection, Instant::EPOCH);
            assert_eq!(close.is_some(), rest == 0, "{rest} bytes remain");
        }
        assert_eq!(close, Some(cell.close_if_delivered()));
        let is_lost = matches!(cell.phase, WriteLost | Ended);
        let action = if is_lost { TransportAction::Abort } else { TransportAction::Close };
        assert_eq!(connection.transport(), action);
        assert_ended(&mut connection, cell.has_failed());
    });
}

// If the transport delivers nothing more after FIN, the connection ends at the deadline of `Draining`.
#[test]
fn every_cell_ends_once_after_fin_and_silence() {
    in_every_cell(|cell, role| {
        let mut connection = reach(cell, role);
        if let Some(close) = owned(connection.receive_eof(Instant::EPOCH)).unwrap() {
            assert_eq!(close, cell.close_if_dropped());
            return;
        }
        let (at, close) = wait_for_end(&mut connection);
        assert_eq!((close, connection.transport()), (cell.close_if_dropped(), TransportAction::Abort));
        assert!((seconds(5)..=seconds(7)).contains(&at), "{at:?}");
        assert!(!connection.output().has_remaining());
        assert_ended(&mut connection, cell.has_failed());
    });
}

// `write_lost` frees the output. The driver reads until FIN or the peer's Close, and then aborts.
#[test]
fn every_cell_ends_after_write_lost() {
    in_every_cell(|cell, role| {
        for then_receive in [false, true] {
            let mut connection = reach(cell, role);
            let buffered = connection.buffered_amount();
            connection.write_lost(Instant::EPOCH);
            assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, buffered));
            let has_ended = cell.has_fin() || cell.is_received;
            assert_eq!((connection.wants_read(), connection.has_pending_event()), (!has_ended, has_ended));
            let mut close = pending_event(&mut connection, Instant::EPOCH);
            let mut expected = cell.close_if_dropped();
            if !has_ended && then_receive && !cell.has_failed() {
                step(&mut connection, Receive);
                // clean only if our Close was delivered before
                let was_clean = cell.phase == AwaitingClose || cell.steps.starts_with(&[Close, Deliver]);
                expected = close_event(3000, "theirs", was_clean, cell.initiator);
                close = pending_event(&mut connection, Instant::EPOCH);
            } else if !has_ended {
                assert_eq!(connection.transport(), TransportAction::Open);
                close = owned(connection.receive_eof(Instant::EPOCH)).unwrap();
            }
            assert_eq!((close, connection.transport()), (Some(expected), TransportAction::Abort));
            assert_ended(&mut connection, cell.has_failed());
        }
    });
}

// `abort` ends the connection immediately. After both Close frames, the close stays clean.
#[test]
fn every_cell_ends_at_once_after_abort() {
    in_every_cell(|cell, role| {
        let mut connection = reach(cell, role);
        let buffered = connection.buffered_amount();
        connection.abort(Instant::EPOCH);
        assert_eq!((connection.transport(), connection.wants_read()), (TransportAction::Abort, false));
        assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, buffered));
        let mut expected = cell.close_if_dropped();
        if let (Open, OwnedEvent::Close { initiator, .. }) = (cell.phase, &mut expected) {
            *initiator = Local;
        }
        assert_eq!(pending_event(&mut connection, Instant::EPOCH), Some(expected));
        assert_ended(&mut connection, cell.has_failed());
    });
}

// Contract 5: the next call of any kind returns the `Close` of a connection whose last byte was delivered after FIN.
#[test]
fn any_call_reports_the_end_that_is_pending() {
    type Call = fn(&mut Connection) -> Option<OwnedEvent>;
    let calls: [Call; 4] = [
        |connection| pending_event(connection, seconds(1)),
        |connection| owned(connection.handle_timeout(seconds(1))).unwrap(),
        |connection| owned(connection.receive_eof(seconds(1))).unwrap(),
        |connection| feed(connection, b"?").0.pop(),
    ];
    for role in BOTH {
        for call in calls {
            let mut connection = endpoint(role, &Config::default());
            [Send, Fin, Deliver].into_iter().for_each(|next| step(&mut connection, next));
            assert_eq!(connection.ready_state(), ReadyState::Closing, "the state never runs ahead of the events");
            assert_eq!(call(&mut connection), Some(close_event(1006, "", false, Peer)));
            assert_ended(&mut connection, false);
        }
    }
}
