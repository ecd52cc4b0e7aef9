//! What every step of a run receives, and the trace that a replay prints: one line per step, with its time and its end.

use std::fmt;

use crate::choices::Choices;

/// The arguments of every step.
#[derive(Debug)]
pub(crate) struct Context<'r, 'c> {
    pub(crate) choices: &'r mut Choices<'c>,
    pub(crate) trace: Trace,
    pub(crate) now: u64,
    pub(crate) meter: Meter,
}

/// Calls the function, and returns by how many bytes the use of the heap grew at most during the call.
pub type Meter = fn(&mut dyn FnMut()) -> u64;

/// Prints the steps of a run, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    is_printed: bool,
    /// Nanoseconds since the run began.
    now: u64,
}

impl Trace {
    /// Creates a trace that prints nothing.
    pub const fn silent() -> Self {
        Self { is_printed: false, now: 0 }
    }

    /// Creates a trace that prints each step on standard output.
    pub const fn printed() -> Self {
        Self { is_printed: true, now: 0 }
    }

    /// Sets the time of the lines that follow.
    pub(crate) fn advance(&mut self, now: u64) {
        self.now = now;
    }

    /// Prints a line.
    pub(crate) fn line(&self, end: &str, text: fmt::Arguments<'_>) {
        if self.is_printed {
            println!("{:>12.6} ms  {end:<9}  {text}", self.now as f64 / 1e6);
        }
    }
}

/// Displays bytes in a trace: up to 32 in hexadecimal, more by their number.
pub(crate) struct Short<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => f.write_str("nothing"),
            1..=32 => self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            length => write!(f, "{length} bytes"),
        }
    }
}
