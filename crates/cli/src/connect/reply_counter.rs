//! Counting of replies. WebSockets have no notion of a reply, so each message received counts as one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts the messages sent and received.
#[derive(Debug, Default)]
pub(super) struct ReplyCounter {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    received: u64,
}

impl Counts {
    /// Returns whether each message sent has a reply; `false` if none was sent: only silence then ends the wait.
    fn is_complete(&self) -> bool {
        self.sent > 0 && self.received >= self.sent
    }
}

impl ReplyCounter {
    /// Counts a message that is about to be sent.
    pub(super) fn count_sent(&self) {
        self.counts().sent += 1;
    }

    /// Counts a message received.
    pub(super) fn count_received(&self) {
        self.counts().received += 1;
        self.changed.notify_all();
    }

    /// Waits until each message sent has a reply, or no message has been received for `silence`.
    pub(super) fn wait(&self, silence: Duration) {
        let mut counts = self.counts();
        while !counts.is_complete() {
            let received = counts.received;
            let start = Instant::now();
            let is_silent = |counts: &mut Counts| counts.received == received;
            counts =
                self.changed.wait_timeout_while(counts, silence, is_silent).unwrap_or_else(PoisonError::into_inner).0;
            if counts.received == received && start.elapsed() >= silence {
                return;
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
