//! Program: an echo server that can be started, by its name in this workspace or by its path.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::workspace;

/// The program of an echo server, built.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    name: String,
    path: PathBuf,
}

/// An echo server of this workspace: its name, its package, what it is there, and its name there.
type Known = (&'static str, &'static str, &'static str, &'static str);

/// Ours first: the example of the mio adapter.
const KNOWN: [Known; 6] = [
    ("sansocket", "sansocket-mio", "example", "echo_server"),
    ("tungstenite", "sansocket-benches", "bin", "echo-tungstenite"),
    ("fastwebsockets", "sansocket-benches", "bin", "echo-fastwebsockets"),
    ("tokio-websockets", "sansocket-benches", "bin", "echo-tokio-websockets"),
    ("tokio-tungstenite", "sansocket-benches", "bin", "echo-tokio-tungstenite"),
    ("tokio-tungstenite-tuned", "sansocket-benches", "bin", "echo-tokio-tungstenite-tuned"),
];

impl Program {
    /// The names of those of this workspace, ours first.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.0)
    }

    /// The one with this name, or the one at this path.
    pub(crate) fn find(name: &str) -> Result<Self> {
        if let Some(&known) = KNOWN.iter().find(|known| known.0 == name) {
            return Self::build(known);
        }
        let names: Vec<_> = Self::names().collect();
        ensure!(Path::new(name).is_file(), "no echo server {name:?}: give a path, or {}", names.join(", "));
        Ok(Self { name: name.to_owned(), path: Path::new(name).canonicalize()? })
    }

    /// Whether it is the one that the goals are for.
    pub(crate) fn is_ours(&self) -> bool {
        self.name == KNOWN[0].0
    }

    /// What to start.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn build((name, package, kind, target): Known) -> Result<Self> {
        let kind = format!("--{kind}");
        let path = workspace::build(&["build", "--release", "--package", package, &kind, target], target)?;
        Ok(Self { name: name.to_owned(), path })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
