//! The turns of a thread: it writes output, reads bytes, lets deadlines take effect, and ends the stream as the driver
//! asks. The same for a connection in one thread and for one that is split.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

use sansocket::CloseCode;

use crate::Error;
use crate::engine::{Ending, Engine, Goal, ReadPlan, WriteStep, duplicate_io};
use crate::stream::{SHORTEST_TIMEOUT, is_timeout};

/// After how long a reader tries again to write to a stream that takes nothing.
const WRITE_RETRY: Duration = Duration::from_millis(20);
/// How often a reader whose time is over reads what has arrived.
const READS_AFTER_LIMIT: u32 = 16;

/// A connection's engine, and the sending direction of its stream.
pub(crate) trait WriteLink {
    /// Passes the engine to a function that does not block.
    fn with_engine<R>(&mut self, ask: impl FnOnce(&mut Engine) -> R) -> R;

    /// Writes output. Waits for up to `wait` for the stream to take some of it.
    fn write_some(&mut self, wait: Duration) -> io::Result<Written>;

    /// Closes the sending direction, and reports it to the engine. Returns false if another thread is writing.
    fn shutdown_write(&mut self) -> bool;

    /// Ends both directions.
    fn end(&mut self, ending: Ending);

    /// The number of bytes that the peer has not acknowledged, if known.
    fn outstanding(&mut self) -> Option<usize>;

    /// The longest time to block without a look at the deadlines.
    fn max_block(&self) -> Duration;
}

/// Both directions.
pub(crate) trait Link: WriteLink {
    /// Waits for up to `wait` for bytes.
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Reads what has arrived.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// How long a reader waits for an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    /// When it gives up; `None`: never.
    until: Option<Instant>,
    /// How often it may still read after that, without waiting. Bytes that have arrived are read, but a peer that sends
    /// without end an incomplete message does not hold the reader.
    late_reads: u32,
}

impl ReadLimit {
    pub(crate) const NONE: Self = Self { until: None, late_reads: 0 };

    pub(crate) fn after(timeout: Duration) -> Self {
        Self { until: Instant::now().checked_add(timeout), late_reads: READS_AFTER_LIMIT }
    }

    /// Whether the reader may read once more.
    pub(crate) fn allows_read(&mut self) -> bool {
        if self.remaining() != Some(Duration::ZERO) {
            return true;
        }
        let is_allowed = self.late_reads > 0;
        self.late_reads = self.late_reads.saturating_sub(1);
        is_allowed
    }

    /// Notes that nothing has happened, so that another read would find nothing.
    fn note_silence(&mut self) {
        self.late_reads = 0;
    }

    /// Shortens a wait to the time that is left, but not below the shortest timeout.
    fn bound(&self, wait: Duration) -> Duration {
        wait.min(self.remaining().unwrap_or(Duration::MAX)).max(SHORTEST_TIMEOUT)
    }

    /// The time that is left; `None`: unlimited.
    fn remaining(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

/// The outcome of [`WriteLink::write_some`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The stream took bytes.
    Some,
    /// Another thread is writing.
    Busy,
}

/// What was left when [`write_output`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing, or the goal is reached.
    None,
    /// Bytes that the stream does not take at once.
    StreamFull,
    /// Bytes that another thread is writing.
    Busy,
}

/// Begins the closing handshake, and writes what the stream takes at once. Whether the Close frame was delivered, the
/// reader reports.
///
/// # Errors
///
/// [`Error::Send`]: the code or the reason is not valid.
pub(crate) fn close(link: &mut impl WriteLink, code: CloseCode, reason: &str) -> Result<(), Error> {
    link.with_engine(|engine| engine.queue(|ws, now| ws.close(code, reason, now)))?;
    // From here on, a number that does not fall is a peer that does not read.
    let outstanding = link.outstanding();
    link.with_engine(|engine| engine.acknowledged(outstanding));
    let _ = write_output(link, Goal::StreamFull);
    Ok(())
}

/// Ends the connection without a closing handshake. If another thread is writing, that thread or the reader ends the
/// stream within `max_block`.
pub(crate) fn abort(link: &mut impl WriteLink) {
    link.with_engine(Engine::abort);
    // The driver asks for nothing but the end of the stream.
    let _ = write_output(link, Goal::StreamFull);
}

/// Writes output until the goal is reached, and ends the stream if the driver asks for it.
///
/// # Errors
///
/// Output was not written and never will be.
pub(crate) fn write_output(link: &mut impl WriteLink, goal: Goal) -> Result<Rest, Error> {
    write_output_within(link, goal, ReadLimit::NONE)
}

/// The same, for a reader whose time is limited.
fn write_output_within(link: &mut impl WriteLink, goal: Goal, limit: ReadLimit) -> Result<Rest, Error> {
    let start = Instant::now();
    loop {
        let step = link.with_engine(|engine| engine.next_write(goal, start));
        let wait = match step {
            WriteStep::Write(wait) => limit.bound(wait.min(link.max_block())),
            WriteStep::ShutdownWrite if link.shutdown_write() || goal != Goal::StreamFull => continue,
            WriteStep::ShutdownWrite => return Ok(Rest::Busy),
            WriteStep::End(ending) => {
                link.end(ending);
                return link.with_engine(Engine::check_written).map(|()| Rest::None);
            }
            WriteStep::Stop(result) => return result.map(|()| Rest::None),
        };
        match link.write_some(wait) {
            Ok(Written::Some) => {}
            Ok(Written::Busy) if goal == Goal::StreamFull => return Ok(Rest::Busy),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) && goal == Goal::StreamFull => return Ok(Rest::StreamFull),
            Err(error) if !is_timeout(&error) => {
                let copy = duplicate_io(&error);
                link.with_engine(|engine| engine.write_lost(error));
                return Err(copy.into());
            }
            waited => {
                // The thread that is writing knows more about the peer: it goes first.
                let grace = if waited.is_ok() { link.max_block() } else { Duration::ZERO };
                if link.with_engine(|engine| engine.is_stalled(start, grace)) {
                    report_timeout(link);
                }
            }
        }
        if limit.remaining() == Some(Duration::ZERO) {
            return Ok(Rest::StreamFull);
        }
    }
}

/// Writes what the stream takes at once, then waits for bytes. Returns how many bytes arrived; zero if something else
/// happened, which the engine knows, or nothing, which the limit notes.
pub(crate) fn fill(link: &mut impl Link, buffer: &mut [u8], limit: &mut ReadLimit) -> usize {
    // A stream that takes no more bytes may still hold the peer's last ones: a failed write does not end reading.
    let rest = write_output_within(link, Goal::StreamFull, *limit).unwrap_or(Rest::None);
    let Some(plan) = link.with_engine(|engine| (!engine.is_over()).then(|| engine.plan_read())) else { return 0 };
    let ReadPlan { wants_read, has_output, deadline, is_too_late } = plan;
    if is_too_late {
        report_timeout(link);
        return 0;
    }
    let wait = limit.bound(deadline.unwrap_or(Duration::MAX).min(link.max_block()));
    if !wants_read {
        if has_output {
            let _ = write_output_within(link, Goal::WantsRead, *limit);
            limit.note_silence();
        } else {
            thread::sleep(wait);
            wait_is_over(link, limit);
        }
        return 0;
    }
    let wait = if rest == Rest::StreamFull { wait.min(WRITE_RETRY) } else { wait };
    let result = match limit.remaining() {
        Some(Duration::ZERO) => link.try_read(buffer),
        _ => link.read(buffer, wait),
    };
    match result {
        Ok(0) => link.with_engine(|engine| engine.driver.eof()),
        Ok(count) => return count,
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(error) if is_timeout(&error) => wait_is_over(link, limit),
        Err(error) => link.with_engine(|engine| engine.read_lost(error)),
    }
    0
}

/// Lets a deadline take effect if it has come. Otherwise nothing has happened.
fn wait_is_over(link: &mut impl WriteLink, limit: &mut ReadLimit) {
    if link.with_engine(|engine| engine.is_overdue()) {
        report_timeout(link);
    } else {
        limit.note_silence();
    }
}

fn report_timeout(link: &mut impl WriteLink) {
    let outstanding = link.outstanding();
    link.with_engine(|engine| engine.driver.timeout(outstanding, engine.clock.now()));
}
