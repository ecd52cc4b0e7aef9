//! The codecs of a scratch, which its connections share.

use super::token::Tokens;

/// The codecs of a scratch, or of a connection without one. They are created when they are first needed.
pub(crate) struct Codecs {
    /// Creates the tokens of all codecs.
    tokens: Tokens,
}

impl Codecs {
    pub(crate) const fn new() -> Self {
        Self { tokens: Tokens::new() }
    }
}
