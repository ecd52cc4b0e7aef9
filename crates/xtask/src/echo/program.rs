//! The programs of servers: those of this workspace by name, and others by path.

use std::ffi::OsString;
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::compression::Compression;
use crate::workspace;

/// What a server does with the messages that it receives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Workload {
    /// It sends each message back.
    Echo,
    /// It sends each message to all connections.
    FanOut,
    /// It sends each message back, compressed as these settings say.
    Compressed(Compression),
    /// It sends each message back, over TLS.
    Tls,
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

/// A server of this workspace.
#[derive(Clone, Copy)]
struct KnownServer {
    name: &'static str,
    /// How cargo builds it: the package, the kind of target, the name of the target, and perhaps features.
    target: [&'static str; 3],
    features: Option<&'static str>,
}

/// The name of our servers.
const OURS: &str = "sansocket";

/// The package of the other libraries' servers.
const BENCHES: &str = "sansocket-benches";

/// The echo servers of this workspace, ours first.
const ECHO: [KnownServer; 6] = [
    KnownServer::new(OURS, ["sansocket-mio", "--example", "echo_server"]),
    KnownServer::new("tungstenite", [BENCHES, "--bin", "echo-tungstenite"]),
    KnownServer::new("fastwebsockets", [BENCHES, "--bin", "echo-fastwebsockets"]),
    KnownServer::new("tokio-websockets", [BENCHES, "--bin", "echo-tokio-websockets"]),
    KnownServer::new("tokio-tungstenite", [BENCHES, "--bin", "echo-tokio-tungstenite"]),
    KnownServer::new("tokio-tungstenite-tuned", [BENCHES, "--bin", "echo-tokio-tungstenite-tuned"]),
];

/// The fan-out servers of this workspace, ours first.
const FAN_OUT: [KnownServer; 1] = [KnownServer::new(OURS, ["sansocket-mio", "--example", "fan_out_server"])];

/// The echo servers of this workspace that compress, ours first.
const COMPRESSED: [KnownServer; 4] = [
    KnownServer::new(OURS, [BENCHES, "--bin", "compress-echo-sansocket"]),
    KnownServer::with_features("yawc", [BENCHES, "--bin", "compress-echo-yawc"], "peers"),
    KnownServer::with_features("sockudo-ws", [BENCHES, "--bin", "compress-echo-sockudo-ws"], "peers"),
    KnownServer::with_features("ratchet", [BENCHES, "--bin", "compress-echo-ratchet"], "peers-zlib"),
];

/// The echo servers of this workspace over TLS, ours first.
const TLS: [KnownServer; 2] = [
    KnownServer::with_features(OURS, [BENCHES, "--bin", "tls-echo-sansocket"], "tls"),
    KnownServer::with_features("tokio-tungstenite", [BENCHES, "--bin", "tls-echo-tokio-tungstenite"], "tls"),
];

impl KnownServer {
    const fn new(name: &'static str, target: [&'static str; 3]) -> Self {
        Self { name, target, features: None }
    }

    const fn with_features(name: &'static str, target: [&'static str; 3], features: &'static str) -> Self {
        Self { name, target, features: Some(features) }
    }
}

impl Workload {
    /// Returns the workload of a task without compression: `--fan-out` chooses it.
    pub(crate) fn new(is_fan_out: bool) -> Self {
        if is_fan_out { Self::FanOut } else { Self::Echo }
    }

    /// Returns the names of its servers in this workspace, ours first.
    pub(crate) fn servers(self) -> impl Iterator<Item = &'static str> {
        self.known().iter().map(|known| known.name)
    }

    fn known(self) -> &'static [KnownServer] {
        match self {
            Self::Echo => &ECHO,
            Self::FanOut => &FAN_OUT,
            Self::Compressed(_) => &COMPRESSED,
            Self::Tls => &TLS,
        }
    }

    /// Returns the arguments of its servers before the address.
    fn arguments(self) -> Vec<String> {
        match self {
            Self::Echo | Self::FanOut | Self::Tls => Vec::new(),
            Self::Compressed(compression) => compression.arguments(),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo"),
            Self::FanOut => f.write_str("fan-out"),
            Self::Compressed(compression) => write!(f, "compressed echo ({compression})"),
            Self::Tls => f.write_str("echo over TLS"),
        }
    }
}

impl Program {
    /// Builds the server with this name, or finds the program at this path.
    pub(crate) fn find(workload: Workload, name: &str) -> Result<Self> {
        if let Some(&known) = workload.known().iter().find(|known| known.name == name) {
            return Self::build(workload, known);
        }
        let names: Vec<_> = workload.servers().collect();
        ensure!(Path::new(name).is_file(), "no {workload} server {name:?}; use a path, or one of {}", names.join(", "));
        Ok(Self {
            workload,
            name: name.to_owned(),
            path: Path::new(name).canonicalize()?,
            arguments: workload.arguments(),
        })
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

    fn build(workload: Workload, server: KnownServer) -> Result<Self> {
        let [package, kind, target] = server.target;
        let mut arguments = vec!["build", "--release", "--package", package, kind, target];
        arguments.extend(server.features.into_iter().flat_map(|features| ["--features", features]));
        let path = workspace::build(&arguments, target)?;
        Ok(Self { workload, name: server.name.to_owned(), path, arguments: workload.arguments() })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
