//! What happened, for whoever reads a replay: one line per step, with its time and who did it.

use std::fmt;

/// Tells what happens, or keeps silent at no cost.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    is_told: bool,
    /// Nanoseconds since the run began.
    now: u64,
}

impl Trace {
    /// Tells nothing.
    pub const fn silent() -> Self {
        Self { is_told: false, now: 0 }
    }

    /// Prints each step on the standard output.
    pub const fn printed() -> Self {
        Self { is_told: true, now: 0 }
    }

    /// Time has passed.
    pub(crate) fn advance(&mut self, now: u64) {
        self.now = now;
    }

    /// One line.
    pub(crate) fn line(&self, who: &str, what: fmt::Arguments<'_>) {
        if self.is_told {
            println!("{:>12.6} ms  {who:<9}  {what}", self.now as f64 / 1e6);
        }
    }
}

/// Bytes as a trace shows them: few whole, many by their number.
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
