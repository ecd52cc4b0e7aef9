//! The endpoints under test: everything that depends on an adapter is here.
//!
//! Endpoints report no results of cases: the testsuite judges them by what it sees on the wire.

mod config;
mod mio;
mod net;
mod upgraded;

use std::net::{SocketAddr, TcpListener};

use anyhow::Result;
use clap::ValueEnum;
use sansocket_mio::{Connector, ListenOptions};
use serde::Deserialize;

use crate::certificate;

/// The role of the endpoint under test. `wstest` has the other one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// We accept connections.
    Server,
    /// We connect.
    Client,
}

impl Role {
    /// Returns the name of the role.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// The adapter of the endpoint under test.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    /// sansocket-net: blocking, with a thread per connection.
    Net,
    /// sansocket-mio: an event loop.
    Mio,
    /// sansocket-mio, over TLS.
    MioTls,
    /// sansocket-net, after an opening handshake by another HTTP library.
    NetUpgraded,
    /// sansocket-mio, after an opening handshake by another HTTP library.
    MioUpgraded,
}

impl Adapter {
    /// Returns the name of the adapter.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Mio => "mio",
            Self::MioTls => "mio-tls",
            Self::NetUpgraded => "net-upgraded",
            Self::MioUpgraded => "mio-upgraded",
        }
    }

    /// Returns the name of the adapter in the reports.
    pub(crate) fn agent(self) -> &'static str {
        match self {
            Self::Net => "sansocket-net",
            Self::Mio => "sansocket-mio",
            Self::MioTls => "sansocket-mio-tls",
            Self::NetUpgraded => "sansocket-net-upgraded",
            Self::MioUpgraded => "sansocket-mio-upgraded",
        }
    }

    /// Returns the scheme of the URLs.
    pub(crate) fn scheme(self) -> &'static str {
        if self.is_over_tls() { "wss" } else { "ws" }
    }

    /// Returns whether both ends speak TLS.
    pub(crate) fn is_over_tls(self) -> bool {
        matches!(self, Self::MioTls)
    }

    /// Starts a server that echoes every message of every connection until the process exits.
    pub(crate) fn start_echo_server(self, listener: TcpListener) -> Result<()> {
        match self {
            Self::Net => net::start_echo_server(listener)?,
            Self::Mio => mio::start_echo_server(listener, &ListenOptions::new())?,
            Self::MioTls => mio::start_echo_server(listener, &ListenOptions::new().tls(certificate::server()?))?,
            Self::NetUpgraded => upgraded::start_net_echo_server(listener),
            Self::MioUpgraded => upgraded::start_mio_echo_server(listener)?,
        }
        Ok(())
    }

    /// Connects to `target` with a request for `url`, and echoes every message until the connection closes.
    pub(crate) fn echo_client(self, url: &str, target: SocketAddr) -> Result<()> {
        match self {
            Self::Net => net::echo_client(url, target),
            Self::Mio => mio::echo_client(url, target, Connector::new()),
            Self::MioTls => mio::echo_client(url, target, Connector::new().tls(certificate::client()?)),
            Self::NetUpgraded => upgraded::net_echo_client(url, target),
            Self::MioUpgraded => upgraded::mio_echo_client(url, target),
        }
    }

    /// Connects to `url`, waits until the connection closes, and returns the last text that it received.
    pub(crate) fn ask(self, url: &str) -> Result<Option<String>> {
        match self {
            Self::Net | Self::NetUpgraded => net::ask(url),
            Self::Mio | Self::MioUpgraded => mio::ask(url, &Connector::new()),
            Self::MioTls => mio::ask(url, &Connector::new().tls(certificate::client()?)),
        }
    }
}
