//! The settings of permessage-deflate (RFC 7692) in a measurement: the same for both directions and for all servers.

use std::fmt;

use anyhow::{Context, Result, ensure};

/// How messages are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Compression {
    /// The level of the server's compressor and of the clients', from 0 to 9.
    pub(crate) level: u8,
    /// The window in both directions, in bits, from 9 to 15.
    pub(crate) window_bits: u8,
    /// Whether messages refer back to earlier ones, in both directions.
    pub(crate) takeover: Takeover,
}

/// Whether messages refer back to earlier ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Takeover {
    On,
    Off,
    /// The clients do not offer the extension: no message is compressed.
    Plain,
}

impl Compression {
    /// Returns the arguments of a server before the address.
    pub(super) fn arguments(self) -> Vec<String> {
        let takeover = if self.takeover == Takeover::On { "takeover" } else { "no-takeover" };
        vec![self.level.to_string(), self.window_bits.to_string(), takeover.to_owned()]
    }

    /// Returns the clients' offer, if they make one.
    pub(crate) fn offer(self) -> Option<String> {
        let bits = self.window_bits;
        let windows = format!("permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}");
        match self.takeover {
            Takeover::On => Some(windows),
            Takeover::Off => Some(format!("{windows}; server_no_context_takeover; client_no_context_takeover")),
            Takeover::Plain => None,
        }
    }

    /// Checks the extensions in the response.
    ///
    /// # Errors
    ///
    /// If the server has not agreed to compress, or has agreed to takeover where there must be none, or to none where
    /// there must be.
    pub(crate) fn check_response(self, extensions: Option<&str>) -> Result<()> {
        if self.takeover == Takeover::Plain {
            ensure!(extensions.is_none(), "the server agreed to {extensions:?}, which was not offered");
            return Ok(());
        }
        let extensions = extensions.context("the server does not compress")?;
        for parameter in ["server_no_context_takeover", "client_no_context_takeover"] {
            let is_off = extensions.split(';').any(|element| element.trim() == parameter);
            let expected = if self.takeover == Takeover::Off { "with" } else { "without" };
            ensure!(
                is_off == (self.takeover == Takeover::Off),
                "the server agreed to {extensions:?}; the measurement is {expected} {parameter}"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, window_bits, takeover } = self;
        match takeover {
            Takeover::On => write!(f, "level {level}, {window_bits} bits, takeover"),
            Takeover::Off => write!(f, "level {level}, {window_bits} bits, no takeover"),
            Takeover::Plain => f.write_str("not compressed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(takeover: Takeover, response: Option<&str>) -> bool {
        Compression { level: 1, window_bits: 12, takeover }.check_response(response).is_ok()
    }

    #[test]
    fn the_response_must_agree_to_the_takeover_of_the_measurement() {
        let off =
            "permessage-deflate; server_no_context_takeover;client_no_context_takeover; server_max_window_bits=12";
        assert!(is_accepted(Takeover::Off, Some(off)));
        assert!(!is_accepted(Takeover::On, Some(off)));
        assert!(is_accepted(Takeover::On, Some("permessage-deflate")));
        assert!(!is_accepted(Takeover::Off, Some("permessage-deflate; server_no_context_takeover")));
        assert!(!is_accepted(Takeover::On, None));
        assert!(is_accepted(Takeover::Plain, None));
        assert!(!is_accepted(Takeover::Plain, Some("permessage-deflate")));
    }
}
