//! The option `--compress` of `serve` and `connect`: permessage-deflate (RFC 7692), with one of the library's presets.

use std::fmt;

use clap::ValueEnum;
use sansocket_net::Config;
use sansocket_net::sansocket::{Compression, PermessageDeflate};

/// The arguments about compression.
#[derive(clap::Args, Debug)]
pub(crate) struct CompressionArgs {
    /// Compress messages, if the peer agrees to permessage-deflate (RFC 7692); without a value, as with `default`
    #[arg(
        long = "compress",
        value_enum,
        value_name = "PRESET",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default"
    )]
    preset: Option<Preset>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// Each message on its own: no memory per connection
    Small,
    /// Messages refer back to earlier ones: at most 5 KiB per connection of a server
    Default,
    /// The shortest messages: at most 64 KiB per connection
    Best,
}

impl CompressionArgs {
    /// Returns the configuration of the connections.
    pub(crate) fn config(&self) -> Config {
        Config::default().compression(self.preset.map(|preset| match preset {
            Preset::Small => Compression::small(),
            Preset::Default => Compression::default(),
            Preset::Best => Compression::best_ratio(),
        }))
    }
}

/// Displays what a connection has agreed, for the line that reports its opening: nothing without an agreement.
pub(crate) struct Agreed<'a> {
    pub(crate) protocol: Option<&'a str>,
    pub(crate) compression: Option<PermessageDeflate>,
}

impl fmt::Display for Agreed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, ", subprotocol {protocol}")?;
        }
        if let Some(compression) = self.compression {
            write!(f, ", {compression}")?;
        }
        Ok(())
    }
}
