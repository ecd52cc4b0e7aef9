//! Where things are in this workspace.

use std::env;
use std::io;
use std::path::{self, Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The folder of everything that is built: `CARGO_TARGET_DIR`, or `target/` in the workspace.
pub(crate) fn target() -> io::Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => path::absolute(dir),
        None => Ok(root().canonicalize()?.join("target")),
    }
}
