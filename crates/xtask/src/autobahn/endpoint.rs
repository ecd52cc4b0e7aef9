//! The seam between the chore and the adapters under test: everything that names an adapter is here.
//!
//! None of it says how a case went. That is for the testsuite to judge, by what it saw on the wire.

mod mio;
mod net;
mod upgraded;

use std::net::{SocketAddr, TcpListener};

use anyhow::Result;

/// What carries our endpoint's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    /// sansocket-net: blocking, a thread for each connection.
    Net,
    /// sansocket-mio: an event loop.
    Mio,
    /// sansocket-net, after an opening handshake that another HTTP library did.
    NetUpgraded,
    /// sansocket-mio, in the same way.
    MioUpgraded,
}

impl Adapter {
    /// The adapter's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Mio => "mio",
            Self::NetUpgraded => "net-upgraded",
            Self::MioUpgraded => "mio-upgraded",
        }
    }

    /// The name of the adapter in the reports.
    pub(crate) fn agent(self) -> &'static str {
        match self {
            Self::Net => "sansocket-net",
            Self::Mio => "sansocket-mio",
            Self::NetUpgraded => "sansocket-net-upgraded",
            Self::MioUpgraded => "sansocket-mio-upgraded",
        }
    }

    /// Starts a server that echoes every message of every connection, for as long as the process lives.
    pub(crate) fn start_echo_server(self, listener: TcpListener) -> Result<()> {
        match self {
            Self::Net => net::start_echo_server(listener)?,
            Self::Mio => mio::start_echo_server(listener)?,
            Self::NetUpgraded => upgraded::start_net_echo_server(listener),
            Self::MioUpgraded => upgraded::start_mio_echo_server(listener)?,
        }
        Ok(())
    }

    /// A client that asks for `url` at `entrance` and echoes every message until the connection is closed.
    pub(crate) fn echo_client(self, url: &str, entrance: SocketAddr) -> Result<()> {
        match self {
            Self::Net => net::echo_client(url, entrance),
            Self::Mio => mio::echo_client(url, entrance),
            Self::NetUpgraded => upgraded::net_echo_client(url, entrance),
            Self::MioUpgraded => upgraded::mio_echo_client(url, entrance),
        }
    }

    /// A client that connects to `url` and waits until the connection is closed; returns the last
    /// text that it received.
    pub(crate) fn ask(self, url: &str) -> Result<Option<String>> {
        match self {
            Self::Net | Self::NetUpgraded => net::ask(url),
            Self::Mio | Self::MioUpgraded => mio::ask(url),
        }
    }
}
