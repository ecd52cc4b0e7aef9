//! The state of a driver beside its connection: flags, one bit each, and a boxed part that most connections never need.

use std::io;

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The transport or the layer failed; `next_event` has not returned the failure yet.
    pub(crate) const FAILURE_PENDING: Self = Self(1 << 0);
    /// A deadline has come; the connection has not handled it yet.
    pub(crate) const TIMEOUT_PENDING: Self = Self(1 << 1);
    /// The stream has ended; the connection has not handled it yet.
    pub(crate) const EOF_PENDING: Self = Self(1 << 2);
    /// Nothing more will be received.
    pub(crate) const READ_ENDED: Self = Self(1 << 3);
    /// Nothing more can be written.
    pub(crate) const WRITE_ENDED: Self = Self(1 << 4);
    /// `next_event` has returned a failure; it returns no other.
    pub(crate) const FAILED: Self = Self(1 << 5);
    /// The layer has queued its close message.
    pub(crate) const LAYER_CLOSED: Self = Self(1 << 6);
    /// The transport has taken bytes of the layer since the last deadline.
    pub(crate) const LAYER_WROTE: Self = Self(1 << 7);
    /// The layer has failed: the driver asks it for no more plaintext.
    pub(crate) const LAYER_FAILED: Self = Self(1 << 8);

    /// The peer's Close frame has arrived. Only with a layer.
    pub(crate) const CLOSE_RECEIVED: Self = Self(1 << 9);
    /// Reading has failed, so the end of the stream says nothing about the peer.
    pub(crate) const TRANSPORT_LOST: Self = Self(1 << 10);

    const PENDING: u16 = Self::FAILURE_PENDING.0 | Self::TIMEOUT_PENDING.0 | Self::EOF_PENDING.0;

    #[inline]
    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// Returns whether a failure, a deadline or the end of the stream is pending.
    #[inline]
    pub(crate) const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// Returns whether no flag is set that demands work.
    #[inline]
    pub(crate) const fn are_quiet(self) -> bool {
        self.0 & !Self::LAYER_WROTE.0 == 0
    }

    /// Sets a flag; returns whether it was not set.
    #[inline]
    pub(crate) fn insert(&mut self, flag: Self) -> bool {
        let is_new = !self.has(flag);
        self.0 |= flag.0;
        is_new
    }

    /// Clears a flag; returns whether it was set.
    #[inline]
    pub(crate) fn remove(&mut self, flag: Self) -> bool {
        let was_set = self.has(flag);
        self.0 &= !flag.0;
        was_set
    }
}

/// The boxed part: a pending failure, the latest sample of the transport's send queue, and bytes in flight.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) failure: Option<Failure>,
    pub(crate) sample: Option<Sample>,
    /// Bytes of a layer that [`Driver::take_bytes`](crate::Driver::take_bytes) has returned and the transport has not
    /// delivered.
    pub(crate) in_flight: usize,
}

/// A failure of the transport or the layer that `next_event` has not returned yet.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: io::Error,
    /// Whether the connection has to learn, after the report, that nothing more can be written.
    pub(crate) is_write_lost: bool,
}

/// A sample of the transport's send queue.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Bytes that the peer had not acknowledged.
    pub(crate) outstanding: usize,
    /// Bytes written since.
    pub(crate) written: usize,
}

impl Rare {
    /// Counts bytes that the transport has taken into its send queue.
    pub(crate) fn note_written(&mut self, count: usize) {
        if let Some(sample) = &mut self.sample {
            sample.written = sample.written.saturating_add(count);
        }
    }
}
