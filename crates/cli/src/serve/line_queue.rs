//! A bounded queue of lines, and the thread that writes them.
//!
//! A write to a pipe blocks while nothing reads the pipe. The threads that serve connections must not block, so they
//! only add lines to the queue. If the queue is full, the line is dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::exit::Failure;
use crate::threads;

/// The largest number of lines in the queue.
const CAPACITY: usize = 1024;
/// Once lines have been dropped, the queue accepts lines again when it is shorter than this. This keeps the reports
/// about dropped lines rare.
const RESUME_LENGTH: usize = CAPACITY / 2;

/// Lines that a thread writes in the order in which they were pushed.
#[derive(Clone, Debug)]
pub(super) struct LineQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The name of the output, for the report about dropped lines and for the thread.
    name: &'static str,
    state: Mutex<State>,
    /// Signals that there is something to write.
    pending: Condvar,
    /// Signals that everything has been written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// The number of lines dropped since the last report.
    dropped: u64,
    /// Whether the thread is writing a line, which is not in `lines` any more.
    is_writing: bool,
}

impl LineQueue {
    /// Starts the thread, which calls `on_error` for each line that it cannot write.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(super) fn start(
        name: &'static str,
        output: impl Write + Send + 'static,
        on_error: impl FnMut(io::Error) + Send + 'static,
    ) -> Result<Self, Failure> {
        let (state, pending, drained) = Default::default();
        let shared = Arc::new(Shared { name, state, pending, drained });
        let queue = Self(Arc::clone(&shared));
        threads::start(name, move || shared.write_lines(output, on_error))?;
        Ok(queue)
    }

    /// Queues a line. Drops and counts it if the queue is full. Never waits for the output.
    pub(super) fn push(&self, line: String) {
        let mut state = self.0.state();
        let limit = if state.dropped == 0 { CAPACITY } else { RESUME_LENGTH };
        if state.lines.len() >= limit {
            state.dropped += 1;
            return;
        }
        // The report takes the place of the lines that are missing.
        if let Some(report) = self.0.take_report(&mut state) {
            state.lines.push_back(report);
        }
        state.lines.push_back(line);
        // The thread waits only while the queue is empty.
        drop(state);
        self.0.pending.notify_one();
    }

    /// Waits until all lines have been written, but not beyond `deadline`. Returns whether they have been.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let state = self.0.state();
        let waited = self.0.drained.wait_timeout_while(state, timeout, |state| !state.is_drained());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_drained()
    }
}

impl State {
    fn is_drained(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines for as long as the process lives.
    fn write_lines(&self, mut output: impl Write, mut on_error: impl FnMut(io::Error)) {
        loop {
            let mut line = self.next_line();
            line.push('\n');
            if let Err(error) = output.write_all(line.as_bytes()).and_then(|()| output.flush()) {
                on_error(error);
            }
        }
    }

    /// Marks the previous line as written and waits for the next one.
    fn next_line(&self) -> String {
        let mut state = self.state();
        state.is_writing = false;
        loop {
            let line = state.lines.pop_front().or_else(|| self.take_report(&mut state));
            if let Some(line) = line {
                state.is_writing = true;
                return line;
            }
            self.drained.notify_all();
            state = self.pending.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the report about the lines dropped since the last report, if there are any.
    fn take_report(&self, state: &mut State) -> Option<String> {
        let name = self.name;
        match std::mem::take(&mut state.dropped) {
            0 => None,
            1 => Some(format!("1 line was dropped: {name} is not read fast enough")),
            dropped => Some(format!("{dropped} lines were dropped: {name} is not read fast enough")),
        }
    }
}
