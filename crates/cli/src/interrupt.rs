//! Ctrl-C, and the signals that other programs end us with: the first is a wish, the second an order.

use std::{process, thread};

use crate::exit::{Exit, Failure};

/// What a shell reports of a program that a SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Calls `first` in a thread of its own at the first Ctrl-C, once; the second ends the process.
pub(crate) fn on_first(first: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let mut first = Some(first);
    ctrlc::set_handler(move || match first.take() {
        // Not in the handler's thread, which must be free for the second.
        Some(first) => drop(thread::spawn(first)),
        None => process::exit(INTERRUPTED),
    })
    .map_err(|error| Failure::new(Exit::Failed, format_args!("cannot wait for Ctrl-C: {error}")))
}
