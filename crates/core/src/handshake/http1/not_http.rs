//! Recognizes servers that speak another protocol by the first bytes that they send.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::data::redact::{self, Escaped, Quoted};

/// The beginning of every response (RFC 9112 section 4).
const START: &[u8] = b"HTTP/";

/// The largest number of bytes of another protocol that are kept.
const MAX_KEPT: usize = 256;

/// The first bytes from a server that does not speak HTTP: one line, or less if it is not text or is long.
///
/// `Display` and `Debug` escape the bytes and redact credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct NotHttp(Box<[u8]>);

impl NotHttp {
    /// Returns the bytes that were received: at least 1, at most 256.
    pub const fn received(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether the first byte is that of a TLS record: an alert or a handshake message (RFC 8446 section 5.1).
    pub fn is_tls(&self) -> bool {
        matches!(self.0.first(), Some(0x15 | 0x16))
    }
}

impl fmt::Display for NotHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_tls() {
            return f.write_str("the server speaks TLS: connect with wss instead of ws");
        }
        let text = redact::head(&self.0);
        write!(f, "the server sent {}, which is not HTTP", Quoted(text.trim_ascii_end()))
    }
}

impl fmt::Debug for NotHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotHttp(\"{}\")", Escaped(&redact::head(&self.0)))
    }
}

/// Decides whether the first bytes of a server are HTTP.
#[derive(Debug)]
pub(crate) enum ResponseStart {
    Undecided {
        /// Whether an empty line has begun (RFC 9112 section 2.2).
        is_after_cr: bool,
        /// The number of bytes that equal those of [`START`].
        matched: usize,
    },
    Http,
    Other(Vec<u8>),
}

impl Default for ResponseStart {
    fn default() -> Self {
        Self::Undecided { is_after_cr: false, matched: 0 }
    }
}

impl ResponseStart {
    /// Examines received bytes, of which the first `room` may belong to a head. Returns whether they may be HTTP. If
    /// not, collects the first line of the other protocol, and returns it as an error when it is complete.
    pub(crate) fn examine(&mut self, received: &[u8], room: usize) -> Result<bool, NotHttp> {
        for (index, &byte) in received.iter().enumerate() {
            match self {
                Self::Http => break,
                // the head exceeds its limit before the start line ends, which the reader reports
                Self::Undecided { .. } if index >= room => break,
                &mut Self::Undecided { is_after_cr, matched } => *self = Self::next(is_after_cr, matched, byte),
                Self::Other(line) => line.push(byte),
            }
            if let Self::Other(line) = self
                && (byte == b'\n' || line.len() >= MAX_KEPT || !matches!(line.first(), Some(b' '..=b'~')))
            {
                return Err(NotHttp(core::mem::take(line).into()));
            }
        }
        Ok(!matches!(self, Self::Other(_)))
    }

    /// Returns the first line received so far if it is not HTTP.
    pub(crate) fn not_http(&self) -> Option<NotHttp> {
        match self {
            Self::Other(line) => Some(NotHttp(line.as_slice().into())),
            Self::Undecided { .. } | Self::Http => None,
        }
    }

    /// Returns the state after another byte.
    fn next(is_after_cr: bool, matched: usize, byte: u8) -> Self {
        match byte {
            b'\n' if is_after_cr => Self::default(),
            byte if is_after_cr => Self::Other([b'\r', byte].into()),
            b'\r' if matched == 0 => Self::Undecided { is_after_cr: true, matched },
            // an empty line that ends in LF alone is malformed HTTP
            b'\n' if matched == 0 => Self::Http,
            byte if START.get(matched) == Some(&byte) => {
                let matched = matched + 1;
                if matched == START.len() { Self::Http } else { Self::Undecided { is_after_cr, matched } }
            }
            byte => Self::Other(START.iter().copied().take(matched).chain([byte]).collect()),
        }
    }
}
