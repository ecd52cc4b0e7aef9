//! Versions of HTTP, RFC 9110 section 2.5.

use core::fmt;

/// A version of HTTP.
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

impl HttpVersion {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }

    /// Returns the version at the beginning of the text, as [`as_str`](Self::as_str) writes it.
    pub(crate) fn at_start(text: &[u8]) -> Self {
        // the usual case
        if text.starts_with(Self::Http11.as_str().as_bytes()) {
            return Self::Http11;
        }
        let others = [Self::Http10, Self::Http2, Self::Http3];
        others.into_iter().find(|version| text.starts_with(version.as_str().as_bytes())).unwrap_or(Self::Http11)
    }

    /// Returns whether this version has upgrades and connection-specific header fields. HTTP/2 and HTTP/3 have neither
    /// (RFC 9113 section 8.2.2).
    pub(crate) fn has_connection_fields(self) -> bool {
        self <= Self::Http11
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
