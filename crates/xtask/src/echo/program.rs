//! Program: an echo server that can be started, by its name in this workspace or by its path.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

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
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--quiet", "--message-format", "json-render-diagnostics"])
            .args(["--package", package, &format!("--{kind}"), target])
            .current_dir(workspace::root())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo")?;
        ensure!(output.status.success(), "cannot build the echo server {name}");
        let messages = output.stdout.split(|&byte| byte == b'\n');
        let executable = messages
            .filter_map(|message| serde_json::from_slice::<Artifact>(message).ok())
            .find_map(|artifact| artifact.executable.filter(|_| artifact.target.name == target));
        match executable {
            Some(path) => Ok(Self { name: name.to_owned(), path }),
            None => bail!("cargo does not say where it has put the echo server {name}"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// What cargo says of a thing that it has built.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
