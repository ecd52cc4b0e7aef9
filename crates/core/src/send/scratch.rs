//! Scratch memory, which a driver owns and attaches to each connection for its turn.

use alloc::boxed::Box;
use core::{fmt, mem};

use super::queues::Queues;

/// Scratch memory of a driver: see [`Connection::attach_scratch`](crate::Connection::attach_scratch).
///
/// One scratch serves any number of connections, one at a time: a second connection that attaches it before the first
/// detaches gets an empty scratch.
///
/// It grows with use: up to 128 KiB to encode frames, and up to 4 MiB to assemble messages that arrive in pieces. The
/// latter is the memory of owned messages that were sent in one frame, and of messages that were
/// [recycled](crate::Connection::recycle).
pub struct Scratch(Option<Box<Queues>>);

impl Scratch {
    /// Creates an empty scratch.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Queues::of_scratch()))
    }

    /// Takes the queues for a connection without output. They are new if another connection has them, or was dropped
    /// with them.
    #[inline]
    pub(crate) fn take(&mut self) -> Box<Queues> {
        self.0.take().unwrap_or_else(Queues::of_scratch)
    }

    /// Returns the queues of a connection whose output is drained.
    #[inline(always)]
    pub(crate) fn put_back(&mut self, queues: Box<Queues>) {
        match &mut self.0 {
            None => self.0 = Some(queues),
            Some(present) => present.merge(*queues),
        }
    }

    /// Attaches the pool alone to a connection that has output pending in its own queues.
    #[cold]
    pub(crate) fn attach_to_pending(&mut self, queues: &mut Queues) {
        if queues.data.pool.is_none() {
            let pool = self.0.as_mut().and_then(|present| present.data.pool.as_mut());
            queues.data.pool = Some(pool.map(mem::take).unwrap_or_default());
            #[cfg(feature = "deflate")]
            queues.keep_codecs(self.0.as_mut().and_then(|present| present.take_codecs()));
        }
    }

    /// Detaches from a connection that has output pending. The connection keeps separate queues with that output.
    #[cold]
    pub(crate) fn detach_from_pending(&mut self, queues: &mut Box<Queues>) {
        let Some(pool) = queues.data.pool.take() else { return };
        #[cfg(feature = "deflate")]
        let codecs = queues.take_codecs();
        if self.0.is_none() {
            let pending = Box::new(queues.take_pending());
            self.0 = Some(mem::replace(queues, pending));
        } else {
            queues.data.free_taken();
        }
        if let Some(present) = &mut self.0 {
            present.data.merge_pool(pool);
            #[cfg(feature = "deflate")]
            present.keep_codecs(codecs);
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}
