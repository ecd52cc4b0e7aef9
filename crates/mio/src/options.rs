//! Options: the settings of an event loop.

use std::sync::Arc;
use std::time::Duration;

use sansocket_drive::sansocket::Config;
use sansocket_drive::with_keepalive;

/// The default size of the read buffer, in bytes: a message of 64 KiB and the longest head of a frame.
const DEFAULT_BUFFER_SIZE: usize = 64 * 1024 + 14;
/// The least size of the read buffer, in bytes.
const MIN_BUFFER_SIZE: usize = 256;

/// The default limit of pending commands in a loop's mailbox.
const DEFAULT_PENDING_COMMANDS: usize = 16_384;
/// The default limit of their payloads, in bytes.
const DEFAULT_PENDING_BYTES: usize = 16 << 20;

/// The default of [`Options::stop_timeout`].
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of an [`EventLoop`](crate::EventLoop).
///
/// [`EventLoop`](crate::EventLoop#slow-readers) describes which resources a slow reader can hold, and for how long. A
/// public server should lower [`Config::max_buffered_amount`] to the most it sends at a time, and keep keepalive on.
///
/// ```
/// let config = sansocket_mio::Config::default().max_message_size(64 * 1024);
/// let options = sansocket_mio::Options::new().config(config).low_water_mark(10_240);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) config: Arc<Config>,
    pub(crate) buffer_size: usize,
    low_water_mark: Option<usize>,
    pub(crate) mailbox: MailboxLimits,
    pub(crate) stop_timeout: Duration,
}

/// The limits of a mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MailboxLimits {
    pub(crate) commands: usize,
    pub(crate) bytes: usize,
}

impl Options {
    /// Returns the defaults: [`Config::default`] with keepalive, a read buffer for messages of 64 KiB, a low-water mark
    /// at half of the high one, a mailbox of 16,384 commands and 16 MiB, and 5 s to stop.
    pub fn new() -> Self {
        Self {
            config: with_keepalive(Config::default()),
            buffer_size: DEFAULT_BUFFER_SIZE,
            low_water_mark: None,
            mailbox: MailboxLimits { commands: DEFAULT_PENDING_COMMANDS, bytes: DEFAULT_PENDING_BYTES },
            stop_timeout: DEFAULT_STOP_TIMEOUT,
        }
    }

    /// Sets the limits and timeouts of all connections. [`Keepalive::Default`](crate::Keepalive::Default) means 30 s.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = with_keepalive(config);
        self
    }

    /// Sets the size of the read buffer that all connections share, in bytes, at least 256 (default: 65,550, which
    /// holds a message of 64 KiB with the longest head of a frame). A message that lies whole in it is passed to the
    /// handler without a copy; a longer message is assembled.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes.max(MIN_BUFFER_SIZE);
        self
    }

    /// Sets the low-water mark in bytes (default: half of the high-water mark). When
    /// [`buffered_amount`](crate::Connection::buffered_amount) was above the high-water mark and has fallen to the low
    /// one, the loop calls [`Handler::on_writable`](crate::Handler::on_writable), and a server reads from the client
    /// again.
    ///
    /// The high-water mark is [`Config::high_water_mark`], but at most half of [`Config::max_buffered_amount`]. The
    /// low-water mark is at most as high.
    pub fn low_water_mark(mut self, bytes: usize) -> Self {
        self.low_water_mark = Some(bytes);
        self
    }

    /// Sets how many commands of [`Handle`](crate::Handle)s may be pending in the mailbox of each loop, at least 1
    /// (default: 16,384). Further commands are refused with [`PostError::Full`](crate::PostError::Full). A broadcast is
    /// one command.
    pub fn max_pending_commands(mut self, commands: usize) -> Self {
        self.mailbox.commands = commands.max(1);
        self
    }

    /// Sets how many payload bytes the pending commands of each loop may have together (default: 16 MiB). A longer
    /// message is accepted while no other payload is pending. A broadcast counts once in each loop, although its bytes
    /// are shared. Commands other than messages and closes (events, answers, connections) count as commands without
    /// payload.
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.mailbox.bytes = bytes;
        self
    }

    /// Sets how long connections may take to close after [`Connections::stop`](crate::Connections::stop) or
    /// [`Handle::stop`](crate::Handle::stop) (default: 5 s). The loop then aborts the remaining ones, whatever their
    /// [`Config::closing_timeout`] and [`Config::closing_limit`] are: what their peers have not read is lost, and
    /// [`Handler::on_close`](crate::Handler::on_close) reports each.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Returns the high-water mark, above which `buffered_amount` makes a connection congested, and the low-water mark,
    /// at which the congestion ends.
    pub(crate) fn water_marks(&self) -> (usize, usize) {
        // A full buffer must be above the high-water mark: otherwise `on_writable` would never follow.
        let high = self.config.high_water_mark.min(self.config.max_buffered_amount / 2);
        (high, self.low_water_mark.unwrap_or(high / 2).min(high))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
