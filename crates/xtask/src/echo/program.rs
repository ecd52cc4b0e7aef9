//! The programs of servers: those of this workspace by name, and others by path.

use std::ffi::OsString;
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::workspace;

/// What a server does with the messages that it receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Workload {
    /// It sends each message back.
    Echo,
    /// It sends each message to all connections.
    FanOut,
}

/// The program of a server, built.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    workload: Workload,
    name: String,
    path: PathBuf,
    /// The arguments before the address.
    arguments: Vec<String>,
}

/// A server of this workspace: its name, its package, the kind of target, and the name of the target.
type KnownServer = (&'static str, &'static str, &'static str, &'static str);

/// The name of our servers: the examples of sansocket-mio.
const OURS: &str = "sansocket";

/// The echo servers of this workspace, ours first.
const ECHO: [KnownServer; 6] = [
    (OURS, "sansocket-mio", "example", "echo_server"),
    ("tungstenite", "sansocket-benches", "bin", "echo-tungstenite"),
    ("fastwebsockets", "sansocket-benches", "bin", "echo-fastwebsockets"),
    ("tokio-websockets", "sansocket-benches", "bin", "echo-tokio-websockets"),
    ("tokio-tungstenite", "sansocket-benches", "bin", "echo-tokio-tungstenite"),
    ("tokio-tungstenite-tuned", "sansocket-benches", "bin", "echo-tokio-tungstenite-tuned"),
];

/// The fan-out servers of this workspace, ours first.
const FAN_OUT: [KnownServer; 1] = [(OURS, "sansocket-mio", "example", "fan_out_server")];

impl Workload {
    /// Returns the workload of a task: `--fan-out` chooses it.
    pub(crate) fn new(is_fan_out: bool) -> Self {
        if is_fan_out { Self::FanOut } else { Self::Echo }
    }

    /// Returns the names of its servers in this workspace, ours first.
    pub(crate) fn servers(self) -> impl Iterator<Item = &'static str> {
        self.known().iter().map(|known| known.0)
    }

    fn known(self) -> &'static [KnownServer] {
        match self {
            Self::Echo => &ECHO,
            Self::FanOut => &FAN_OUT,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "echo",
            Self::FanOut => "fan-out",
        })
    }
}

impl Program {
    /// Builds the server with this name, or finds the program at this path.
    pub(crate) fn find(workload: Workload, name: &str) -> Result<Self> {
        if let Some(&known) = workload.known().iter().find(|known| known.0 == name) {
            return Self::build(workload, known);
        }
        let names: Vec<_> = workload.servers().collect();
        ensure!(Path::new(name).is_file(), "no {workload} server {name:?}; use a path, or one of {}", names.join(", "));
        Ok(Self { workload, name: name.to_owned(), path: Path::new(name).canonicalize()?, arguments: Vec::new() })
    }

    /// Builds the command, as a server with this number of event loops.
    pub(crate) fn serve(loops: usize) -> Result<Self> {
        let path = workspace::build(&["build", "--release", "--package", "sansocket-cli"], "sansocket")?;
        let arguments = format!("serve --quiet --threads {loops}");
        let name = format!("sansocket {arguments}");
        Ok(Self { workload: Workload::Echo, name, path, arguments: arguments.split(' ').map(str::to_owned).collect() })
    }

    /// Returns what it does with messages.
    pub(crate) fn workload(&self) -> Workload {
        self.workload
    }

    /// Returns whether it is a server of sansocket.
    pub(crate) fn is_ours(&self) -> bool {
        self.name == OURS
    }

    /// Returns the command that runs it, up to the address.
    pub(crate) fn command(&self) -> impl Iterator<Item = OsString> {
        iter::once(self.path.clone().into()).chain(self.arguments.iter().map(Into::into))
    }

    fn build(workload: Workload, (name, package, kind, target): KnownServer) -> Result<Self> {
        let kind = format!("--{kind}");
        let path = workspace::build(&["build", "--release", "--package", package, &kind, target], target)?;
        Ok(Self { workload, name: name.to_owned(), path, arguments: Vec::new() })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
