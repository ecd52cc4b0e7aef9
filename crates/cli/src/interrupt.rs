//! Ctrl-C (SIGINT), SIGTERM and SIGHUP. The first signal asks the command to end, the second ends the process at once.

use std::process;
use std::sync::mpsc::{self, Receiver};

use crate::exit::{Exit, Failure};

/// The status that a shell reports for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Waits for the first signal.
#[derive(Debug)]
pub(crate) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// Installs the signal handler and starts its thread. When a signal arrives, no thread has to be started.
    ///
    /// # Errors
    ///
    /// The handler cannot be installed, or its thread cannot be started.
    pub(crate) fn install() -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::channel();
        let mut first = Some(sender);
        ctrlc::set_handler(move || match first.take() {
            // The receiver is gone if the command is ending already.
            Some(first) => drop(first.send(())),
            None => process::exit(INTERRUPTED),
        })
        .map_err(|error| Failure::new(Exit::Failed, format_args!("cannot handle signals such as Ctrl-C: {error}")))?;
        Ok(Self(receiver))
    }

    /// Blocks until the first signal has arrived.
    pub(crate) fn wait(self) {
        // The signal thread lives as long as the process, and drops its sender only after it has sent.
        let _ = self.0.recv();
    }
}
