//! Waiting for replies: a WebSocket has no notion of them, so they are counted.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Messages sent and messages that came.
#[derive(Debug, Default)]
pub(super) struct Replies {
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Count {
    sent: u64,
    came: u64,
}

impl Count {
    /// If nothing was sent, what comes answers nothing: only silence tells that it is over.
    fn is_complete(&self) -> bool {
        self.sent > 0 && self.came >= self.sent
    }
}

impl Replies {
    /// A message is about to be sent.
    pub(super) fn expect(&self) {
        self.count().sent += 1;
    }

    /// A message came.
    pub(super) fn came(&self) {
        self.count().came += 1;
        self.changed.notify_all();
    }

    /// Waits until as many have come as were sent, or none has come for as long as `silence`.
    pub(super) fn wait(&self, silence: Duration) {
        let mut count = self.count();
        while !count.is_complete() {
            let came = count.came;
            let since = Instant::now();
            let more = |count: &mut Count| count.came == came;
            count = self.changed.wait_timeout_while(count, silence, more).unwrap_or_else(PoisonError::into_inner).0;
            if count.came == came && since.elapsed() >= silence {
                return;
            }
        }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
