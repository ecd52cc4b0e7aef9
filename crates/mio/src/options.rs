//! How an event loop behaves.

use std::sync::Arc;

use sansocket_drive::sansocket::Config;

use sansocket_drive::default_config;

/// How much is read at a time unless the caller says otherwise, in bytes.
const DEFAULT_BUFFER_SIZE: usize = 64 * 1024;
/// The least that is read at a time, in bytes.
const MIN_BUFFER_SIZE: usize = 256;

/// How an [`EventLoop`](crate::EventLoop) behaves.
///
/// ```
/// let mut config = sansocket_mio::default_config();
/// config.max_message_size = 64 * 1024;
/// let options = sansocket_mio::Options::new().config(config).low_water_mark(10_240);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) config: Arc<Config>,
    pub(crate) buffer_size: usize,
    low_water_mark: Option<usize>,
}

impl Options {
    /// [`default_config`], a read buffer of 64 KiB, a low-water mark at half of the high one.
    pub fn new() -> Self {
        Self { config: Arc::new(default_config()), buffer_size: DEFAULT_BUFFER_SIZE, low_water_mark: None }
    }

    /// The limits and timeouts, instead of [`default_config`]. All connections share them.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// The size of the read buffer that all connections share, in bytes, at least 256. A message that fits is lent, a
    /// longer one assembled.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes.max(MIN_BUFFER_SIZE);
        self
    }

    /// To how many bytes [`buffered_amount`](crate::Connection::buffered_amount) must fall, after it was above the
    /// high-water mark, for [`Handler::on_writable`](crate::Handler::on_writable) to be called and for reading to go on.
    ///
    /// The high-water mark is [`Config::high_water_mark`], but at most half of [`Config::max_buffered_amount`]; the low one
    /// is at most as high.
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.low_water_mark = Some(bytes);
        self
    }

    /// Above how many bytes of `buffered_amount` a connection is congested, and to how many they must fall for it to end.
    pub(crate) fn water_marks(&self) -> (usize, usize) {
        // a buffer that is full must be above the mark, or nobody would ever say that it no longer is
        let high = self.config.high_water_mark.min(self.config.max_buffered_amount / 2);
        (high, self.low_water_mark.unwrap_or(high / 2).min(high))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
