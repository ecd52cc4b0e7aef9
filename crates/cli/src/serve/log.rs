//! The output of the server: its log on stdout, and notes about the server itself on stderr.
//!
//! Each output has its own queue and thread, so that an output that nothing reads delays neither connections nor the
//! other output.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use super::line_queue::LineQueue;
use crate::escape::Escaped;
use crate::exit::Failure;

/// The largest number of bytes of a line's text.
const MAX_LENGTH: usize = 1024;
/// The longest time that the end of the server waits for the outputs.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The log. No method but `flush` waits for an output.
#[derive(Debug)]
pub(super) struct Log {
    is_quiet: bool,
    stdout: LineQueue,
    stderr: LineQueue,
}

impl Log {
    /// Starts the threads that write the lines.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub(super) fn start(is_quiet: bool) -> Result<Self, Failure> {
        // An error on stderr cannot be reported anywhere.
        let stderr = LineQueue::start("stderr", io::stderr(), drop)?;
        let mut notes = Some(stderr.clone());
        let on_error = move |error| {
            // Reports the first error only.
            if let Some(notes) = notes.take() {
                notes.push(line(&format_args!("cannot write to stdout: {error}; serving on without it")));
            }
        };
        let stdout = LineQueue::start("stdout", io::stdout(), on_error)?;
        Ok(Self { is_quiet, stdout, stderr })
    }

    /// Returns whether the log has no lines about connections.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Writes a line to stdout, escaped and truncated.
    pub(super) fn write(&self, text: &impl Display) {
        self.stdout.push(line(text));
    }

    /// Writes a line to stderr, escaped and truncated.
    pub(super) fn note(&self, text: &impl Display) {
        self.stderr.push(line(text));
    }

    /// Waits until all lines have been written, for [`FLUSH_TIMEOUT`] at most. Returns whether those to stderr have
    /// been.
    pub(super) fn flush(&self) -> bool {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        self.stdout.flush(deadline);
        self.stderr.flush(deadline)
    }
}

fn line(text: &impl Display) -> String {
    Escaped::truncated(&text.to_string(), MAX_LENGTH).to_string()
}
