//! A host and a port to connect to.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use sansocket::UriError;
use sansocket_drive::parse_uri;
use thiserror::Error;

/// A host, which is a name or an IP address, and a port.
///
/// An IPv6 address may have a zone, which is the name or the number of an interface (RFC 4007 section 11). URLs have no
/// zones (RFC 9844).
///
/// ```
/// use sansocket_dial::Destination;
///
/// let destination: Destination = "[fe80::1%eth0]:80".parse()?;
/// assert_eq!((destination.host(), destination.port()), ("fe80::1%eth0", 80));
/// assert_eq!(destination.to_string(), "[fe80::1%eth0]:80");
/// # Ok::<(), sansocket_dial::DestinationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    host: String,
    port: u16,
}

impl Destination {
    /// Creates a destination from a host that was parsed.
    pub(crate) const fn new(host: String, port: u16) -> Self {
        Self { host, port }
    }

    /// Parses `host [":" port]`. Without a port, `default_port` applies.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Result<Self, DestinationError> {
        let host_end = match text.strip_prefix('[') {
            Some(_) => text.find(']').ok_or(DestinationError::Host(UriError::AddressInvalid))? + 1,
            None => text.rfind(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(host_end);
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|&port| port != 0).ok_or(DestinationError::PortInvalid)?
            }
            None if port.is_empty() => default_port.ok_or(DestinationError::PortMissing)?,
            _ => return Err(DestinationError::PortInvalid),
        };
        Ok(Self { host: parse_host(host)?, port })
    }

    /// Returns the host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the socket address if the host is an IP address without a zone, which needs no lookup.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// Returns whether the host is an address with a zone, which only this machine can interpret.
    pub(crate) fn has_zone(&self) -> bool {
        self.host.contains('%')
    }
}

/// Parses a host as in a URL, with brackets around an IPv6 address, which may have a zone.
fn parse_host(host: &str) -> Result<String, DestinationError> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some((address, zone)) = literal.and_then(|literal| literal.split_once('%')) {
        let is_zone = !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_graphic());
        return match address.parse::<Ipv6Addr>() {
            Ok(address) if is_zone => Ok(format!("{address}%{zone}")),
            _ => Err(DestinationError::Host(UriError::AddressInvalid)),
        };
    }
    if host.contains(['/', '?', '#', '@']) {
        return Err(DestinationError::Host(UriError::HostInvalid));
    }
    Ok(parse_uri(&format!("ws://{host}/")).map_err(DestinationError::Host)?.host().to_owned())
}

/// Parses a host and a port, such as `example.com:80` and `[fe80::1%eth0]:80`.
impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        Self::parse(text, None)
    }
}

/// For an address that needs no lookup.
impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(address) if address.scope_id() != 0 => format!("{}%{}", address.ip(), address.scope_id()),
            address => address.ip().to_string(),
        };
        Self { host, port: address.port() }
    }
}

/// As RFC 3986 writes an authority: with brackets around an IPv6 address.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Why text is not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// The host is not valid.
    #[error("{0}")]
    Host(UriError),
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    PortInvalid,
    /// There is no port.
    #[error("the port is missing: write it behind the host, such as example.com:80 or [::1]:80")]
    PortMissing,
}
