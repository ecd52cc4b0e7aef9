//! The state of a driver that most connections do not need, so that it is boxed: a failure to be reported, and the
//! latest look at the transport's send queue.

use std::io;

#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) failure: Option<Failure>,
    pub(crate) sample: Option<Sample>,
}

/// A failure of the transport or the layer, to be reported.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: io::Error,
    /// Whether the connection has to learn, after the report, that nothing more can be written.
    pub(crate) is_write_lost: bool,
}

/// The send queue of the transport at the latest look.
#[derive(Debug)]
pub(crate) struct Sample {
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
