//! Dialing over a simulated network and clock.

mod errors;
mod hostile_proxies;
mod http_proxies;
mod proxy_rules;
mod racing;
mod reconnection;
mod redirects;
mod socks_proxies;
mod support;
mod targets;
