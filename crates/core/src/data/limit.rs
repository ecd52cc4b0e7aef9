//! The error for received bytes that exceed a limit of this endpoint.

use core::fmt;

use thiserror::Error;

/// Received bytes exceeded a limit ([`Config`](crate::Config)). The peer is not at fault: it cannot know the limit.
///
/// ```
/// use sansocket::{Config, Connection, Error, Input, Instant};
///
/// let config = Config::default().max_message_size(16 * 1024);
/// let mut server = Connection::server(config, Instant::EPOCH);
/// let mut head = [0x82, 0xfe, 0x50, 0, 1, 2, 3, 4]; // of a message of 20,480 bytes
/// let Err(Error::Limit(exceeded)) = server.receive(&mut Input::new(&mut head), Instant::EPOCH) else { panic!() };
/// assert_eq!((exceeded.name(), exceeded.limit(), exceeded.size()), ("max_message_size", 16_384, 20_480));
/// assert_eq!(
///     exceeded.to_string(),
///     "a message of 20,480 bytes exceeds the limit of 16,384 bytes (`max_message_size`)"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{}", Explanation(self))]
pub struct LimitExceeded {
    subject: Subject,
    limit: u64,
    size: u64,
}

/// The data that a limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    EarlyFrames,
    EmptyFragments,
    Frame,
    #[cfg(feature = "deflate")]
    InflatedMessage,
    Message,
    RequestHead,
    RequestLines,
    ResponseHead,
    ResponseLines,
}

impl LimitExceeded {
    #[cold]
    pub(crate) const fn new(subject: Subject, limit: u64, size: u64) -> Self {
        Self { subject, limit, size }
    }

    /// Creates the error for data that was read only up to the limit: its size is reported as one more.
    #[cold]
    pub(crate) const fn beyond(subject: Subject, limit: usize) -> Self {
        Self::new(subject, limit as u64, (limit as u64).saturating_add(1))
    }

    /// Returns the name of the limit, which is a field of [`Config`](crate::Config), such as `max_message_size`.
    pub const fn name(&self) -> &'static str {
        match self.subject {
            Subject::EarlyFrames | Subject::RequestHead | Subject::ResponseHead => "max_head_size",
            Subject::EmptyFragments => "max_empty_fragments",
            Subject::Frame => "max_frame_payload",
            #[cfg(feature = "deflate")]
            Subject::InflatedMessage => "max_message_size",
            Subject::Message => "max_message_size",
            Subject::RequestLines | Subject::ResponseLines => "max_header_lines",
        }
    }

    /// Returns the limit in bytes, header lines or empty fragments.
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the size that exceeded the limit, in the same unit. For a message, it is the length that its frames have
    /// announced so far; for a compressed message and for data of the opening handshake, which are not read further, the
    /// limit plus one.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns whether a frame or a message was too long.
    pub(crate) const fn is_too_long(&self) -> bool {
        #[cfg(feature = "deflate")]
        if matches!(self.subject, Subject::InflatedMessage) {
            return true;
        }
        matches!(self.subject, Subject::Frame | Subject::Message)
    }

    /// Returns the status with which a server answers the request; `None` if the limit is not one of a request.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self.subject {
            Subject::RequestHead | Subject::RequestLines => Some(431),
            Subject::EarlyFrames => Some(400),
            _ => None,
        }
    }
}

struct Explanation<'a>(&'a LimitExceeded);

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LimitExceeded { subject, limit, size } = *self.0;
        let (name, limit, size) = (self.0.name(), Grouped(limit), Grouped(size));
        match subject {
            Subject::EarlyFrames => {
                write!(f, "at least {size} bytes before the request was answered exceed the limit of {limit} bytes")
            }
            Subject::EmptyFragments => write!(f, "{size} empty fragments in a row exceed the limit of {limit}"),
            Subject::Frame => write!(f, "a frame of {size} bytes exceeds the limit of {limit} bytes"),
            #[cfg(feature = "deflate")]
            Subject::InflatedMessage => {
                write!(f, "a compressed message of at least {size} bytes exceeds the limit of {limit} bytes")
            }
            Subject::Message => write!(f, "a message of {size} bytes exceeds the limit of {limit} bytes"),
            Subject::RequestHead => {
                write!(f, "a request head of at least {size} bytes exceeds the limit of {limit} bytes")
            }
            Subject::RequestLines => {
                write!(f, "a request of at least {size} header lines exceeds the limit of {limit}")
            }
            Subject::ResponseHead => {
                write!(f, "a response head of at least {size} bytes exceeds the limit of {limit} bytes")
            }
            Subject::ResponseLines => {
                write!(f, "a response of at least {size} header lines exceeds the limit of {limit}")
            }
        }?;
        write!(f, " (`{name}`)")
    }
}

/// Displays a number with its digits grouped by thousands.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (0, last) => write!(f, "{last}"),
            (first, last) => write!(f, "{},{last:03}", Self(first)),
        }
    }
}
