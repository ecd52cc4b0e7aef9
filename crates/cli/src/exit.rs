//! The exit status, the line on stderr that explains a failure, and other lines on stderr.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::escape::Escaped;

/// The list of exit statuses, which the help of `connect` shows below the options.
pub(crate) const STATUSES: &str = "\
Exit status:
  0    the connection was closed cleanly, by either end, with code 1000, 1001 or none
  1    the command failed: bad usage, a bad URL, no such host, no connection, bad input
  2    the server refused the opening handshake, answered it wrongly, or did not answer
  3    the connection ended without a closing handshake, or an endpoint broke the protocol
  4    the connection was closed cleanly, with another code
  130  a second Ctrl-C ended the command at once";

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

/// The reason why the command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One line: what happened, who is at fault, what to do.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

/// Writes an error message to stderr, as one line.
pub(crate) fn print_error(message: &str) {
    note(&format!("error: {message}"));
}

/// Writes a line to stderr, escaped. Ignores errors: there is no place left to report them.
pub(crate) fn note(line: &str) {
    let _ = writeln!(anstream::stderr(), "{}", Escaped::new(line));
}

/// Returns the user's argument, or a pair of quotes if it is empty and would not be visible.
pub(crate) fn quoted_if_empty(text: &str) -> &str {
    if text.is_empty() { "''" } else { text }
}
