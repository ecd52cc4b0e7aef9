//! The driver of a connection, and the reports that the application has not read yet.
//!
//! Any thread that reports a write or a deadline may receive a failure or the Close event from the driver. The engine
//! keeps both until the application reads: once TCP has ended, the failure comes first, then the Close event.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use sansocket::{Close, Config, Event, Input, ReadyState, SendError, WebSocket};
use sansocket_drive::{Action, Clock, Driver, Error, Layer, LayerScratch};

use crate::stream::{Ending, SHORTEST_TIMEOUT};
use sansocket_connect::Security;

/// How long [`Goal::StreamFull`] waits for a stream that takes nothing: the shortest time that sockets can wait.
const AT_ONCE: Duration = Duration::from_millis(1);

/// The least `max_block`: shorter closing timeouts would keep idle threads busy.
pub(crate) const MIN_BLOCK: Duration = Duration::from_millis(10);

/// How many successful reads may follow a deadline before it takes effect: bytes that arrived in time count, even if
/// read late. Enough for a request; on an open connection, any byte postpones the deadline. A read that times out lets
/// the deadline take effect at once. A peer that sends without end cannot postpone the closing limit.
const LATE_READS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) driver: Driver<Security>,
    pub(crate) clock: Clock,
    /// An event that no received byte has caused, such as that of a frame that came with the handshake. The next event
    /// is fetched when the application has read this one: the state must not run ahead of the events delivered.
    event: Option<Event<'static>>,
    failure: Option<Error>,
    is_failure_reported: bool,
    close: Option<Close>,
    is_close_reported: bool,
    /// Bytes taken from the driver that the stream has not taken.
    in_flight: usize,
    /// The connection dropped output before the stream took it.
    has_lost_output: bool,
    /// Why the stream takes no more bytes.
    write_error: Option<io::Error>,
    /// When the stream last took bytes.
    last_write: Instant,
    pong_timeout: Duration,
    /// The longest time that a thread of a split connection blocks: another thread may begin to close meanwhile.
    pub(crate) max_block: Duration,
    /// The number of reads since the deadline came.
    late_reads: u32,
    /// The transport was closed or aborted.
    is_over: bool,
}

/// The goal of a thread that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Write as much as the stream takes at once.
    StreamFull,
    /// Write until the connection wants to read.
    WantsRead,
    /// Write all output.
    AllWritten,
}

/// The next step of a thread that writes.
#[derive(Debug)]
pub(crate) enum WriteStep {
    /// The caller writes, and waits for the stream for up to this time.
    Write(Duration),
    ShutdownWrite,
    End(Ending),
    /// Return this: the goal is reached, or nothing more can be written.
    Stop(Result<(), Error>),
}

/// The next step of a thread that reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadPlan {
    pub(crate) wants_read: bool,
    pub(crate) has_output: bool,
    /// How long until the next deadline; zero if it has come.
    pub(crate) deadline: Option<Duration>,
    /// Whether the deadline takes effect before another read.
    pub(crate) is_too_late: bool,
}

impl Engine {
    pub(crate) fn new(ws: WebSocket, security: Security, config: &Config) -> Self {
        Self {
            driver: Driver::with_layer(ws, security),
            clock: Clock::of_process(),
            event: None,
            failure: None,
            is_failure_reported: false,
            close: None,
            is_close_reported: false,
            in_flight: 0,
            has_lost_output: false,
            write_error: None,
            last_write: Instant::now(),
            pong_timeout: config.pong_timeout,
            max_block: (config.closing_timeout.min(config.closing_limit) / 4).max(MIN_BLOCK),
            late_reads: 0,
            is_over: false,
        }
    }

    /// Opens the bytes that the stream returned: the first `count` of `received`. Returns the number of bytes of plaintext
    /// at the front of `received`. TLS returns plaintext in the scratch, whose buffer takes the place of `received`.
    pub(crate) fn open(&mut self, received: &mut Vec<u8>, count: usize, scratch: &mut LayerScratch) -> usize {
        if self.driver.layer().is_plain() {
            return count;
        }
        let mut plaintext = self.driver.open(&mut received[..count], scratch);
        let len = plaintext.remaining().len();
        plaintext.discard();
        mem::swap(received, scratch.plaintext());
        len
    }

    /// Consumes received bytes up to the next event. Keeps a failure and the Close event for [`report`](Self::report).
    pub(crate) fn receive<'b>(&mut self, input: &mut Input<'b>) -> Option<Event<'b>> {
        loop {
            match self.report_to_driver(|driver, now| driver.next_event(input, now)) {
                Ok(Some(Event::Close(close))) => self.close = Some(close),
                Ok(event) => return event,
                Err(error) => _ = self.failure.get_or_insert(error),
            }
        }
    }

    /// Returns the application's next report if it needs no further bytes. Once the transport has ended, that is the
    /// failure, then the Close event, then `None`.
    pub(crate) fn report(&mut self) -> Option<Result<Option<Event<'static>>, Error>> {
        self.poll();
        if let Some(event) = self.event.take() {
            return Some(Ok(Some(event)));
        }
        if !self.is_over {
            return None;
        }
        if let Some(failure) = &self.failure
            && !mem::replace(&mut self.is_failure_reported, true)
        {
            return Some(Err(duplicate(failure)));
        }
        let is_reported = mem::replace(&mut self.is_close_reported, true);
        Some(Ok(self.close.clone().filter(|_| !is_reported).map(Event::Close)))
    }

    /// Returns the Close event of a connection that was open, once the transport has ended.
    pub(crate) fn close_event(&self) -> Option<&Close> {
        self.close.as_ref().filter(|_| self.is_over)
    }

    /// Fetches the next event that no received byte has caused.
    fn poll(&mut self) {
        if self.event.is_none() {
            self.event = self.receive(&mut Input::new(&mut []));
        }
    }

    /// Reports something that may make the connection drop its output, and notes whether it has.
    fn report_to_driver<R>(&mut self, report: impl FnOnce(&mut Driver<Security>, sansocket::Instant) -> R) -> R {
        let had_output = self.driver.to_write().has_remaining();
        let result = report(&mut self.driver, self.clock.now());
        self.has_lost_output |= had_output && !self.driver.to_write().has_remaining();
        result
    }

    /// Calls a sending method of the connection.
    pub(crate) fn queue<M>(
        &mut self,
        send: impl FnOnce(&mut WebSocket, sansocket::Instant) -> Result<(), SendError<M>>,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        Ok(send(self.driver.websocket_mut(), now)?)
    }

    /// Returns whether output is queued or in flight.
    pub(crate) fn has_output(&mut self) -> bool {
        self.in_flight > 0 || self.driver.to_write().has_remaining()
    }

    /// Takes up to `max` bytes of output, to be written.
    pub(crate) fn take_bytes(&mut self, max: usize) -> Bytes {
        let bytes = self.driver.take_bytes(max);
        self.in_flight += bytes.len();
        bytes
    }

    /// Reports that the stream has taken `count` bytes in flight.
    pub(crate) fn written(&mut self, count: usize) {
        self.in_flight -= count.min(self.in_flight);
        self.last_write = Instant::now();
        self.driver.delivered(count);
    }

    /// Reports how many bytes the peer has not acknowledged, if known.
    pub(crate) fn acknowledged(&mut self, outstanding: Option<usize>) {
        if let Some(outstanding) = outstanding {
            self.driver.acknowledged(outstanding, self.clock.now());
        }
    }

    /// Reports that the stream takes no more bytes.
    pub(crate) fn write_lost(&mut self, error: io::Error) {
        self.write_error.get_or_insert_with(|| duplicate_io(&error));
        self.report_to_driver(|driver, now| driver.write_lost(error, now));
    }

    /// Reports that reading failed.
    pub(crate) fn read_lost(&mut self, error: io::Error) {
        self.write_error.get_or_insert_with(|| duplicate_io(&error));
        self.report_to_driver(|driver, now| driver.read_lost(error, now));
    }

    /// Reports that the sending direction was closed. If the stream cannot close one direction, reports the end of the
    /// stream too: both ends would wait for each other. If the connection is lost, reading reports it.
    pub(crate) fn write_shut_down(&mut self, result: &io::Result<()>) {
        self.driver.write_shut_down();
        if matches!(result, Err(error) if error.kind() == io::ErrorKind::Unsupported) {
            self.driver.eof();
        }
    }

    /// Reports that the transport was closed or aborted.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    /// Ends the connection without a closing handshake, and drops its output. The transport must be aborted.
    pub(crate) fn abort(&mut self) {
        self.report_to_driver(|driver, now| driver.websocket_mut().abort(now));
        self.poll();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns whether a deadline has come.
    pub(crate) fn is_overdue(&self) -> bool {
        self.driver.websocket().poll_timeout().is_some_and(|deadline| deadline <= self.clock.now())
    }

    /// Returns whether a thread that has tried to write since `start` may let a deadline take effect that came `grace`
    /// ago. While the connection is open, the stream must have taken nothing for `pong_timeout`: the Pong may have
    /// arrived and not been read.
    pub(crate) fn is_stalled(&self, start: Instant, grace: Duration) -> bool {
        let ws = self.driver.websocket();
        ws.poll_timeout().is_some_and(|deadline| deadline + grace <= self.clock.now())
            && (ws.ready_state() != ReadyState::Open || self.stalled(start) >= self.pong_timeout + grace)
    }

    /// Returns how long the stream has taken nothing, counted from `start` at the earliest.
    fn stalled(&self, start: Instant) -> Duration {
        start.max(self.last_write).elapsed()
    }

    /// Returns the next step of a thread that has tried to write since `start`.
    pub(crate) fn next_write(&mut self, goal: Goal, start: Instant) -> WriteStep {
        self.poll();
        if self.is_over {
            return WriteStep::Stop(self.check_written());
        }
        let (read, until) = match self.driver.next_action() {
            Action::Close => return WriteStep::End(Ending::Close),
            Action::Abort => return WriteStep::End(Ending::Abort),
            Action::ShutdownWrite => return WriteStep::ShutdownWrite,
            Action::Wait { read, until, .. } => (read, until),
            // the close message or the alert of TLS: the driver asks for one attempt
            Action::Again if !self.driver.layer().is_plain() && self.has_output() => return WriteStep::Write(AT_ONCE),
            Action::Again => (false, None),
        };
        if goal == Goal::WantsRead && read {
            return WriteStep::Stop(Ok(()));
        }
        if self.driver.has_write_ended() || !self.has_output() {
            return WriteStep::Stop(self.check_written());
        }
        if goal == Goal::StreamFull {
            return WriteStep::Write(AT_ONCE);
        }
        let deadline = until.map_or(Duration::MAX, |until| self.clock.until(until));
        WriteStep::Write(match self.driver.websocket().ready_state() {
            ReadyState::Open => {
                deadline.max(self.pong_timeout.saturating_sub(self.stalled(start))).max(SHORTEST_TIMEOUT)
            }
            _ => deadline.max(SHORTEST_TIMEOUT),
        })
    }

    /// Returns an error if output was dropped or can no longer be written.
    pub(crate) fn check_written(&mut self) -> Result<(), Error> {
        let has_output = self.has_output() && !self.driver.has_closed_layer();
        if !has_output && !self.has_lost_output && self.driver.websocket().buffered_amount() == 0 {
            return Ok(());
        }
        Err(match (&self.failure, &self.write_error) {
            (Some(failure), _) => duplicate(failure),
            (None, Some(error)) => duplicate_io(error).into(),
            (None, None) => SendError::<()>::NotOpen(self.driver.websocket().ready_state()).into(),
        })
    }

    /// Returns the next step of a thread that reads.
    pub(crate) fn plan_read(&mut self) -> ReadPlan {
        self.poll();
        let has_output = self.has_output() && !self.driver.has_write_ended();
        let (wants_read, deadline) = match self.driver.next_action() {
            Action::Wait { read, until, .. } => (read, until.map(|until| self.clock.until(until))),
            _ => (false, Some(Duration::ZERO)),
        };
        self.late_reads = if deadline == Some(Duration::ZERO) { self.late_reads + 1 } else { 0 };
        ReadPlan { wants_read, has_output, deadline, is_too_late: self.late_reads > LATE_READS }
    }
}

/// Aborts a connection that is dropped before its end, so that the log reports the end.
impl Drop for Engine {
    fn drop(&mut self) {
        if !self.is_over {
            self.abort();
        }
    }
}

/// Copies a failure, which several threads may return: an [`io::Error`] is not `Clone`.
pub(crate) fn duplicate(failure: &Error) -> Error {
    match failure {
        Error::Peer(error) => error.clone().into(),
        Error::Limit(exceeded) => Error::Limit(*exceeded),
        Error::Io(error) => duplicate_io(error).into(),
        other => io::Error::other(other.to_string()).into(),
    }
}

pub(crate) fn duplicate_io(error: &io::Error) -> io::Error {
    #[cfg(feature = "tls")]
    if let Some(error) = sansocket_tls::TlsError::of(error) {
        return error.clone().into();
    }
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
