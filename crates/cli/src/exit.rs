//! How the command ends: its exit status, and the one line that says why. And what else is said on stderr.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `connect` prints below its options, and the only list of the statuses.
pub(crate) const STATUSES: &str = "\
Exit status:
  0    the connection was closed cleanly, by either end, with code 1000, 1001 or none
  1    it never came to that: bad usage, a bad URL, no such host, no connection, bad input
  2    the server refused the opening handshake, or answered it wrongly, or not at all
  3    the connection ended without a closing handshake, or an endpoint broke the protocol
  4    the server closed it cleanly, but with another code
  130  a second Ctrl-C ended it at once";

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Clean = 0,
    Failed = 1,
    Refused = 2,
    Abnormal = 3,
    OtherCode = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One line: what was wrong, where it came from, what to do.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

/// Says one line on stderr, however many the message has.
pub(crate) fn complain(message: &str) {
    note(&format!("error: {}", OneLine(message)));
}

/// Writes a line to stderr. If nobody reads it, nobody is to be told.
pub(crate) fn note(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// What the user wrote, to be seen though it is empty.
pub(crate) fn quoted_if_empty(text: &str) -> &str {
    if text.is_empty() { "''" } else { text }
}

/// Something that is said at most once until it is settled.
#[derive(Debug, Default)]
pub(crate) struct Once(AtomicBool);

impl Once {
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if !self.0.swap(true, Ordering::Relaxed) {
            note(&line());
        }
    }

    /// Whether it had been said.
    pub(crate) fn settle(&self) -> bool {
        // Mostly it has not, and to look costs less than to write.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// Text from elsewhere on one line, its control characters escaped: a peer must not write on our terminal.
#[derive(Debug)]
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_debug())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}
