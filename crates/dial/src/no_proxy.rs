//! The hosts that are reached without a proxy, as curl's manual describes `no_proxy`.

use std::net::IpAddr;

/// A list of hosts that are reached without a proxy.
///
/// Commas or blanks separate the entries. An entry is one of
///
/// * a name, with or without a dot in front, which matches itself and all names below it: `example.com` matches
///   `www.example.com`, but not `notexample.com`;
/// * an IP address, without brackets, or a network such as `192.168.0.0/16` (CIDR). It matches hosts that are IP
///   addresses, not names that have such an address.
///
/// The list `*` matches every host. Ports cannot be specified.
///
/// ```
/// use sansocket_dial::NoProxy;
///
/// let no_proxy = NoProxy::new("localhost, .example.com, 10.0.0.0/8");
/// assert!(no_proxy.matches("www.example.com") && no_proxy.matches("10.1.2.3"));
/// assert!(!no_proxy.matches("example.org"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    list: String,
}

impl NoProxy {
    /// Creates a list from text, such as the value of the variable `no_proxy`. Entries that are not valid match no
    /// host.
    pub fn new(list: impl Into<String>) -> Self {
        Self { list: list.into() }
    }

    /// Returns whether this host, which is a name or an IP address without brackets, is reached without a proxy.
    pub fn matches(&self, host: &str) -> bool {
        if self.list.trim() == "*" {
            return true;
        }
        let mut entries = self.list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        match host.parse::<IpAddr>() {
            Ok(address) => entries.any(|entry| is_in_network(address, entry)),
            Err(_) => entries.any(|entry| is_in_domain(host, entry)),
        }
    }
}

/// Returns whether the address equals the entry, or is in the network that the entry names.
fn is_in_network(address: IpAddr, entry: &str) -> bool {
    let (network, prefix) = match entry.split_once('/') {
        Some((network, prefix)) => (network, prefix.parse::<u32>().ok()),
        None => (entry, Some(u128::BITS)),
    };
    let (Ok(network), Some(prefix)) = (network.parse(), prefix) else { return false };
    // the bits of IPv4 addresses are shifted to the front
    let (address, network, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()) << 96, u128::from(network.to_bits()) << 96, u32::BITS)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), u128::BITS),
        _ => return false,
    };
    if entry.contains('/') && prefix > bits {
        return false;
    }
    (address ^ network).leading_zeros() >= prefix
}

/// Returns whether the name equals the entry, or is below it.
fn is_in_domain(name: &str, entry: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let domain = entry.strip_suffix('.').unwrap_or(entry);
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let Some(split) = name.len().checked_sub(domain.len()).filter(|_| !domain.is_empty()) else { return false };
    let (before, end) = name.as_bytes().split_at(split);
    end.eq_ignore_ascii_case(domain.as_bytes()) && matches!(before.last(), None | Some(b'.'))
}
