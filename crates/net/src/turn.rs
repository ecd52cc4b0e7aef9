//! The turns of a thread: it writes output, reads bytes, lets deadlines take effect, and ends the stream as the driver
//! demands. The code is the same for a connection in one thread and for a split one.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

use sansocket::CloseCode;
use sansocket_drive::Error;

use crate::engine::{Engine, Goal, ReadPlan, WriteStep, duplicate_io};
use crate::stream::{Ending, SHORTEST_TIMEOUT, is_timeout};

/// The time after which a reader tries again to write to a stream that took nothing.
const WRITE_RETRY: Duration = Duration::from_millis(20);
/// The number of reads, without waiting, after the time of a [`ReadLimit`] is over.
const READS_AFTER_LIMIT: u32 = 16;

/// A connection's engine and the sending direction of its stream.
pub(crate) trait WriteLink {
    /// Passes the engine to a function that does not block.
    fn with_engine<R>(&mut self, work: impl FnOnce(&mut Engine) -> R) -> R;

    /// Writes output. Waits for up to `wait` for the stream to take some of it.
    fn write_some(&mut self, wait: Duration) -> io::Result<Written>;

    /// Closes the sending direction, and reports it to the engine. Returns false if another thread is writing.
    fn shutdown_write(&mut self) -> bool;

    /// Ends both directions.
    fn end(&mut self, ending: Ending);

    /// Returns the number of bytes that the peer has not acknowledged, if known.
    fn outstanding(&mut self) -> Option<usize>;

    /// Returns the longest time to block before the deadlines are checked again.
    fn max_block(&self) -> Duration;
}

/// A connection's engine and both directions of its stream.
pub(crate) trait Link: WriteLink {
    /// Waits for up to `wait` for bytes.
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Reads bytes that have arrived, without waiting.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// The time that a reader waits for an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    /// The end of the time; `None`: unlimited.
    until: Option<Instant>,
    /// The number of reads, without waiting, that remain after that. They find bytes that have arrived, but a peer that
    /// sends an endless message cannot hold the reader.
    late_reads: u32,
}

impl ReadLimit {
    pub(crate) const NONE: Self = Self { until: None, late_reads: 0 };

    pub(crate) fn after(timeout: Duration) -> Self {
        Self { until: Instant::now().checked_add(timeout), late_reads: READS_AFTER_LIMIT }
    }

    /// Returns whether the reader may read once more.
    pub(crate) fn allows_read(&mut self) -> bool {
        if self.remaining() != Some(Duration::ZERO) {
            return true;
        }
        let is_allowed = self.late_reads > 0;
        self.late_reads = self.late_reads.saturating_sub(1);
        is_allowed
    }

    /// Notes that nothing has arrived, so that another late read would find nothing.
    fn note_silence(&mut self) {
        self.late_reads = 0;
    }

    /// Shortens a wait to the remaining time, but not below the shortest timeout.
    fn bound(&self, wait: Duration) -> Duration {
        wait.min(self.remaining().unwrap_or(Duration::MAX)).max(SHORTEST_TIMEOUT)
    }

    /// Returns the remaining time; `None`: unlimited.
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

/// Why [`write_output`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// The goal is reached, or no output is pending.
    Done,
    /// The stream takes no more bytes at once.
    StreamFull,
    /// Another thread is writing.
    Busy,
}

/// Begins the closing handshake, and writes as much as the stream takes at once. The reader reports whether the peer
/// got the Close frame.
///
/// # Errors
///
/// [`Error::Send`]: the code or the reason is not valid.
pub(crate) fn close(link: &mut impl WriteLink, code: CloseCode, reason: &str) -> Result<(), Error> {
    link.with_engine(|engine| engine.queue(|ws, now| ws.close(code, reason, now)))?;
    // A sample to compare with: if the number does not fall from now on, the peer does not read.
    let outstanding = link.outstanding();
    link.with_engine(|engine| engine.acknowledged(outstanding));
    let _ = write_output(link, Goal::StreamFull);
    Ok(())
}

/// Ends the connection without a closing handshake. If another thread is writing, that thread or the reader ends the
/// stream within `max_block`.
pub(crate) fn abort(link: &mut impl WriteLink) {
    link.with_engine(Engine::abort);
    // The driver demands nothing but the end of the stream.
    let _ = write_output(link, Goal::StreamFull);
}

/// Writes output until the goal is reached, and ends the stream if the driver demands it.
///
/// # Errors
///
/// Some output was not written and can no longer be written.
pub(crate) fn write_output(link: &mut impl WriteLink, goal: Goal) -> Result<WriteOutcome, Error> {
    write_output_within(link, goal, ReadLimit::NONE)
}

/// Writes output as [`write_output`] does, for a reader with a limit.
fn write_output_within(link: &mut impl WriteLink, goal: Goal, limit: ReadLimit) -> Result<WriteOutcome, Error> {
    let start = Instant::now();
    loop {
        let step = link.with_engine(|engine| engine.next_write(goal, start));
        let wait = match step {
            WriteStep::Write(wait) => limit.bound(wait.min(link.max_block())),
            WriteStep::ShutdownWrite if link.shutdown_write() || goal != Goal::StreamFull => continue,
            WriteStep::ShutdownWrite => return Ok(WriteOutcome::Busy),
            WriteStep::End(ending) => {
                link.end(ending);
                return link.with_engine(Engine::check_written).map(|()| WriteOutcome::Done);
            }
            WriteStep::Stop(result) => return result.map(|()| WriteOutcome::Done),
        };
        match link.write_some(wait) {
            Ok(Written::Some) => {}
            Ok(Written::Busy) if goal == Goal::StreamFull => return Ok(WriteOutcome::Busy),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) && goal == Goal::StreamFull => return Ok(WriteOutcome::StreamFull),
            Err(error) if !is_timeout(&error) => {
                let copy = duplicate_io(&error);
                link.with_engine(|engine| engine.write_lost(error));
                return Err(copy.into());
            }
            waited => {
                // The thread that is writing knows more about the peer, so it may report the deadline first.
                let grace = if waited.is_ok() { link.max_block() } else { Duration::ZERO };
                if link.with_engine(|engine| engine.is_stalled(start, grace)) {
                    report_timeout(link);
                }
            }
        }
        if limit.remaining() == Some(Duration::ZERO) {
            return Ok(WriteOutcome::StreamFull);
        }
    }
}

/// Writes as much as the stream takes at once, then waits for bytes. Returns the number of bytes read. Zero means that
/// something else happened, which was reported to the engine, or nothing, which the limit has noted.
pub(crate) fn fill(link: &mut impl Link, buffer: &mut [u8], limit: &mut ReadLimit) -> usize {
    // A stream that takes no more bytes may still hold the peer's last ones: a failed write does not end reading.
    let written = write_output_within(link, Goal::StreamFull, *limit).unwrap_or(WriteOutcome::Done);
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
            end_wait(link, limit);
        }
        return 0;
    }
    let wait = if written == WriteOutcome::StreamFull { wait.min(WRITE_RETRY) } else { wait };
    let result = match limit.remaining() {
        Some(Duration::ZERO) => link.try_read(buffer),
        _ => link.read(buffer, wait),
    };
    match result {
        Ok(0) => link.with_engine(|engine| engine.driver.eof()),
        Ok(count) => return count,
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(error) if is_timeout(&error) => end_wait(link, limit),
        Err(error) => link.with_engine(|engine| engine.read_lost(error)),
    }
    0
}

/// Lets a deadline take effect if it has come. Otherwise notes that nothing has arrived.
fn end_wait(link: &mut impl WriteLink, limit: &mut ReadLimit) {
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
