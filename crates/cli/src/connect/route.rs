//! The options of `connect` that concern the way to the server: proxies, redirects, another address.

use std::env;

use sansocket_net::Connector;
use sansocket_net::dial::{Destination, DialOptions, Proxy, ProxyRules};

use crate::exit::{Exit, Failure};

/// The most redirects that `--follow` follows.
const MAX_REDIRECTS: u32 = 5;
/// The value of `--proxy` that means: no proxy.
const NO_PROXY: &str = "none";

/// The arguments about the way to the server.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "The way to the server")]
pub(super) struct RouteArgs {
    /// Connect through this proxy: an http, https, socks5 or socks5h URL, which may have a user name and a password;
    /// "none" for no proxy. Without this option, the variables http_proxy (for ws), https_proxy (for wss), all_proxy and
    /// no_proxy apply, as in curl
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,

    /// Follow up to 5 redirects of the server
    #[arg(long)]
    follow: bool,

    /// Connect to this host and port instead of those in the URL, such as 127.0.0.1:8080 or '[fe80::1%eth0]:80'
    #[arg(long, value_name = "HOST:PORT")]
    connect_to: Option<String>,

    /// Send this as the header field Host, instead of the host and port in the URL
    #[arg(long)]
    host: Option<String>,
}

impl RouteArgs {
    pub(super) fn apply(&self, connector: Connector) -> Result<Connector, Failure> {
        let failure =
            |option, error: &dyn std::fmt::Display| Failure::new(Exit::Failed, format_args!("{option}: {error}"));
        let proxies = match self.proxy.as_deref() {
            None => ProxyRules::from_environment(|name| env::var(name).ok()),
            Some(NO_PROXY) => ProxyRules::default(),
            Some(url) => {
                let proxy: Proxy = url.parse().map_err(|error| failure("--proxy", &error))?;
                ProxyRules::always(proxy)
            }
        };
        let connect_to = self.connect_to.as_deref().map(str::parse::<Destination>).transpose();
        let options = DialOptions::default()
            .proxies(proxies)
            .max_redirects(if self.follow { MAX_REDIRECTS } else { 0 })
            .connect_to(connect_to.map_err(|error| failure("--connect-to", &error))?)
            .host(self.host.clone());
        Ok(connector.dial(options))
    }
}
