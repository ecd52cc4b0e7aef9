//! Endpoints, frames and measurements that allocate nothing themselves.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use rand_chacha::ChaCha8Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::SeedableRng;
use sansocket::{Config, Connection, Error, Input, Instant, Role};

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];
/// Bytes that every test permits beside the payload, such as for a box or the text of an error.
pub(crate) const SMALL: u64 = 1024;
pub(crate) const MILLION: usize = 1_000_000;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn endpoint(role: Role, config: &Arc<Config>) -> Connection {
    match role {
        Role::Client => Connection::client(Arc::clone(config), ChaCha8Rng::seed_from_u64(6455), Instant::EPOCH),
        Role::Server => Connection::server(Arc::clone(config), Instant::EPOCH),
    }
}

pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Arc<Config> {
    let mut config = Config::default();
    change(&mut config);
    Arc::new(config)
}

/// Encodes the head of a frame to an endpoint with this role. `first` is FIN, RSV and opcode.
pub(crate) fn head(role: Role, first: u8, length: u64) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let mut bytes = match length {
        0..=125 => vec![first, mask | length as u8],
        126..=65_535 => [&[first, mask | 126], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, mask | 127], &length.to_be_bytes()[..]].concat(),
    };
    if role == Role::Server {
        bytes.extend(KEY);
    }
    bytes
}

/// A key that masks ASCII to ASCII.
pub(crate) const KEY: [u8; 4] = [1, 2, 4, 8];
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const TEXT_BEGINS: u8 = 0x01;
pub(crate) const BINARY_BEGINS: u8 = 0x02;
pub(crate) const CONTINUES: u8 = 0x00;
pub(crate) const ENDS: u8 = 0x80;

pub(crate) fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(role, first, payload.len() as u64);
    let key = if role == Role::Server { KEY } else { [0; 4] };
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Passes the bytes to the connection in `buffer`. Returns the number of events.
pub(crate) fn receive(connection: &mut Connection, buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<usize, Error> {
    buffer.clear();
    buffer.extend_from_slice(bytes);
    let mut input = Input::new(buffer);
    let mut events = 0;
    while connection.receive(&mut input, Instant::EPOCH)?.is_some() {
        events += 1;
    }
    Ok(events)
}

pub(crate) fn drain(connection: &mut Connection, step: usize) {
    while connection.output().has_remaining() {
        let count = connection.output().remaining().min(step);
        connection.output().advance(count);
    }
}

pub(crate) fn drain_all_but(connection: &mut Connection, rest: usize) {
    let count = connection.output().remaining() - rest;
    connection.output().advance(count);
}

/// Measures what `work` allocates. Its buffer is not counted.
pub(crate) fn measured(work: impl FnOnce(&mut Vec<u8>)) -> AllocationInfo {
    let mut buffer = Vec::with_capacity(128 * 1024);
    measure(|| work(&mut buffer))
}
