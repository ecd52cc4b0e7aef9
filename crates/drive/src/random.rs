//! What adapters need random numbers of the system for: masking keys (RFC 6455 section 5.3), and connections whose
//! opening handshake was done elsewhere.

use std::io;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use sansocket::rand_core::CryptoRng;
use sansocket::{Agreement, Config, Connection, Instant, Role, WebSocket};

/// Returns the source of a client's masking keys (RFC 6455 section 5.3), seeded by the system.
///
/// # Errors
///
/// The system has no random numbers.
pub fn masking_keys() -> io::Result<impl CryptoRng + Send + Sync + use<>> {
    StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)
}

/// Returns an open connection whose opening handshake was done elsewhere. `config` should be a result of
/// [`with_keepalive`](crate::with_keepalive). Pass bytes that followed the handshake to
/// [`Driver::open`](crate::Driver::open), so that the state never runs ahead of the events delivered.
///
/// # Errors
///
/// A client needs random numbers, and the system has none.
pub fn upgraded(role: Role, agreement: Agreement, config: Arc<Config>, now: Instant) -> io::Result<WebSocket> {
    let connection = match role {
        Role::Client => Connection::client(config, masking_keys()?, now),
        Role::Server => Connection::server(config, now),
    };
    Ok(WebSocket::opened(connection.with_agreement(agreement), []))
}
