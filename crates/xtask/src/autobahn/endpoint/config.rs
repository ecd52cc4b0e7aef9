//! The settings of the endpoints under test.

use sansocket_net::Config;
use sansocket_net::sansocket::Compression;

/// Returns the configuration of the endpoints under test.
pub(super) fn config() -> Config {
    Config::default().compression(Compression::default())
}
