//! What a driver has been told and has not passed on, one bit each.

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The transport failed; the failure is to be reported.
    pub(crate) const FAILURE_PENDING: Self = Self(1 << 0);
    /// A deadline has come; the connection is to be told.
    pub(crate) const TIMEOUT_PENDING: Self = Self(1 << 1);
    /// The stream has ended; the connection is to be told.
    pub(crate) const EOF_PENDING: Self = Self(1 << 2);
    /// Nothing more will be received.
    pub(crate) const READ_ENDED: Self = Self(1 << 3);
    /// Nothing more can be written.
    pub(crate) const WRITE_ENDED: Self = Self(1 << 4);
    /// A failure was reported; no other will be.
    pub(crate) const FAILED: Self = Self(1 << 5);
    /// The layer has queued its close message.
    pub(crate) const LAYER_CLOSED: Self = Self(1 << 6);
    /// The transport took bytes of the layer since the last deadline.
    pub(crate) const LAYER_WROTE: Self = Self(1 << 7);
    /// The layer has failed: it is asked for no more plaintext.
    pub(crate) const LAYER_FAILED: Self = Self(1 << 8);

    const PENDING: u16 = Self::FAILURE_PENDING.0 | Self::TIMEOUT_PENDING.0 | Self::EOF_PENDING.0;

    #[inline]
    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// Whether something is to be passed on.
    #[inline]
    pub(crate) const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// Whether no flag is set.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
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
