//! The programs of echo servers: those of this workspace by name, and others by path.

use std::ffi::OsString;
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::workspace;

/// The program of an echo server, built.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    name: String,
    path: PathBuf,
    /// The arguments before the address.
    arguments: Vec<String>,
}

/// An echo server of this workspace: its name, its package, the kind of target, and the name of the target.
type KnownServer = (&'static str, &'static str, &'static str, &'static str);

/// The echo servers of this workspace. The first is ours: the example of sansocket-mio.
const KNOWN: [KnownServer; 6] = [
    ("sansocket", "sansocket-mio", "example", "echo_server"),
    ("tungstenite", "sansocket-benches", "bin", "echo-tungstenite"),
    ("fastwebsockets", "sansocket-benches", "bin", "echo-fastwebsockets"),
    ("tokio-websockets", "sansocket-benches", "bin", "echo-tokio-websockets"),
    ("tokio-tungstenite", "sansocket-benches", "bin", "echo-tokio-tungstenite"),
    ("tokio-tungstenite-tuned", "sansocket-benches", "bin", "echo-tokio-tungstenite-tuned"),
];

impl Program {
    /// Returns the names of the servers of this workspace, ours first.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.0)
    }

    /// Builds the server with this name, or finds the program at this path.
    pub(crate) fn find(name: &str) -> Result<Self> {
        if let Some(&known) = KNOWN.iter().find(|known| known.0 == name) {
            return Self::build(known);
        }
        let names: Vec<_> = Self::names().collect();
        ensure!(Path::new(name).is_file(), "no echo server {name:?}; use a path, or one of {}", names.join(", "));
        Ok(Self { name: name.to_owned(), path: Path::new(name).canonicalize()?, arguments: Vec::new() })
    }

    /// Builds the command, as a server with this number of event loops.
    pub(crate) fn serve(loops: usize) -> Result<Self> {
        let path = workspace::build(&["build", "--release", "--package", "sansocket-cli"], "sansocket")?;
        let arguments = format!("serve --quiet --threads {loops}");
        let name = format!("sansocket {arguments}");
        Ok(Self { name, path, arguments: arguments.split(' ').map(str::to_owned).collect() })
    }

    /// Returns whether it is the server of sansocket.
    pub(crate) fn is_ours(&self) -> bool {
        self.name == KNOWN[0].0
    }

    /// Returns the command that runs it, up to the address.
    pub(crate) fn command(&self) -> impl Iterator<Item = OsString> {
        iter::once(self.path.clone().into()).chain(self.arguments.iter().map(Into::into))
    }

    fn build((name, package, kind, target): KnownServer) -> Result<Self> {
        let kind = format!("--{kind}");
        let path = workspace::build(&["build", "--release", "--package", package, &kind, target], target)?;
        Ok(Self { name: name.to_owned(), path, arguments: Vec::new() })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
