//! From a URL to an open transport, without IO.

#![forbid(unsafe_code)]

mod action;
mod credentials;
mod destination;
mod dial;
mod error;
mod no_proxy;
mod options;
mod percent;
mod proxy;
mod proxy_fault;
mod proxy_rules;
mod race;
mod reconnect;
mod redirect;
mod target;
mod tunnel;

pub use action::{Action, AttemptId, Endpoint, LookupId, Opening, StartTls, TlsPeer, ToWrite};
pub use credentials::{Credentials, CredentialsError};
pub use destination::{Destination, DestinationError};
pub use dial::Dial;
pub use error::{DialError, FailedAttempt, FailedLayer};
pub use no_proxy::NoProxy;
pub use options::DialOptions;
pub use proxy::{Proxy, ProxyScheme, ProxyUrlError};
pub use proxy_fault::{ProxyFault, SocksReply};
pub use proxy_rules::{ProxyRules, ProxyVariableError};
pub use reconnect::{Backoff, ReconnectPolicy};
pub use redirect::RedirectError;
pub use target::{Target, TargetError};

/// The protocol, whose types appear in this crate's interface.
pub use sansocket;
