//! From a URL to the opening handshake of a [`sansocket`] WebSocket, without IO: lookups, racing addresses, proxies,
//! redirects, reconnection.
//!
//! [`Dial`] is one attempt to reach a server. It asks for [`Action`]s (look up this name; connect to this address, now;
//! drop that attempt; write these bytes; start TLS with this name; perform the opening handshake), and its driver
//! reports what happened, and the time. It has no sockets, no clock, no TLS and no access to the environment, so the
//! same machine serves blocking clients, event loops and simulations.
//!
//! # A driver
//!
//! `examples/blocking_client.rs`, a client over `std::net` and threads. The loop is in `dial`.
//!
//! ```no_run
#![doc = include_str!("../examples/blocking_client.rs")]
//! ```
//!
//! An event loop does the same with readiness instead of threads: it registers every attempt, reports a stream that
//! has become writable with [`Dial::connected`] or [`Dial::connect_failed`], and sets a timer for the deadline of the
//! action that waits.
//!
//! # What the driver must do
//!
//! 1. **Call [`Dial::next_action`]** and do what it says, until it returns an action that waits.
//! 2. **Report** what comes of each action; the documentation of [`Action`] names the method.
//! 3. **Call `next_action` again** when the deadline of the action has come. It then returns the next action, or the
//!    error.
//! 4. **Drop** every transport and every attempt after an error, those of all other attempts at [`Action::Use`], and
//!    that of a failed opening handshake before [`Dial::opening_failed`].
//!
//! # What the machine does
//!
//! * **Addresses** race as in RFC 8305: IPv6 and IPv4 alternate, beginning with the family that the resolver prefers.
//!   The next attempt starts after 250 ms, or at once after a failure. The first one that connects wins.
//! * **[Proxies](Proxy)** are asked with HTTP CONNECT, over TCP or TLS, or with SOCKS5. [`ProxyRules`] select one for
//!   each URI, as the variables of the environment say that curl reads.
//! * **Redirects** are followed if [`DialOptions::max_redirects`](DialOptions#structfield.max_redirects) permits it. On
//!   another origin, `Authorization`, `Cookie`, `Proxy-*` and similar fields are dropped. Other fields are kept: an
//!   application whose own fields are secret must not follow redirects to servers that it does not trust.
//! * **One deadline**, the opening timeout, covers everything from the first lookup to the opening handshake of the
//!   last redirect.
//! * **[`DialError`]** names the [layer](FailedLayer) that failed, lists every address with its failure, and says what
//!   to do. Neither `Display` nor `Debug` prints credentials.
//! * **[`Backoff`]** says when to connect again, and when not to.
//! * Any split of a proxy's bytes has the same result. No report, in any order, causes a panic.
//!
//! # Features
//!
//! * `idna`: hosts outside ASCII in URLs, as in `sansocket-drive`.

#![forbid(unsafe_code)]

mod action;
mod credentials;
mod destination;
mod dial;
mod error;
mod failed_attempt;
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
pub use error::{DialError, FailedLayer};
pub use failed_attempt::FailedAttempt;
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
