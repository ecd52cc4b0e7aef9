//! Asking a proxy for a connection: bytes of the proxy to bytes for the proxy, and to the end or the fault.

mod http_connect;
mod socks5;

use bytes::Bytes;

use crate::destination::Destination;
use crate::proxy::{Proxy, ProxyScheme};
use crate::proxy_fault::ProxyFault;
use http_connect::HttpConnect;
use socks5::Socks5;

/// The conversation with a proxy.
#[derive(Debug)]
pub(crate) enum Tunnel {
    HttpConnect(HttpConnect),
    Socks5(Socks5),
}

impl Tunnel {
    /// Begins the conversation: adds the first bytes for the proxy to `output`.
    pub(crate) fn new(
        proxy: &Proxy,
        destination: &Destination,
        user_agent: Option<&str>,
        output: &mut Vec<u8>,
    ) -> Result<Self, ProxyFault> {
        // RFC 4007 11.2: a zone has a meaning only within this machine
        if destination.has_zone() {
            return Err(ProxyFault::ZoneUnsupported);
        }
        Ok(match proxy.scheme() {
            ProxyScheme::Http | ProxyScheme::Https => {
                Self::HttpConnect(HttpConnect::new(destination, proxy.credentials(), user_agent, output))
            }
            ProxyScheme::Socks5 | ProxyScheme::Socks5h => {
                Self::Socks5(Socks5::new(destination, proxy.credentials(), output)?)
            }
        })
    }

    /// Processes bytes of the proxy, and adds bytes for the proxy to `output`. Returns the bytes behind the proxy's
    /// last answer once the tunnel is open.
    pub(crate) fn receive(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<Option<Bytes>, ProxyFault> {
        match self {
            Self::HttpConnect(tunnel) => tunnel.receive(bytes),
            Self::Socks5(tunnel) => tunnel.receive(bytes, output),
        }
    }
}
