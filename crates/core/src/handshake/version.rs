//! Versions of HTTP, RFC 9110 section 2.5.

use core::fmt;

/// A version of HTTP. Its major version decides how messages are framed, its minor version what an endpoint can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.0 (RFC 1945), which has no upgrade.
    Http10,
    /// HTTP/1.1 (RFC 9112). Later minor versions count as this one (RFC 9110 section 2.5).
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// HTTP/3 (RFC 9114).
    Http3,
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        })
    }
}
