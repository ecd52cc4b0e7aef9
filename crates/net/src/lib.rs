//! [`sansocket`] over `std::net`: a blocking WebSocket client and server.

#![forbid(unsafe_code)]

mod buffers;
mod clock;
mod connect;
mod direct;
mod engine;
mod error;
mod listener;
mod split;
mod stream;
mod websocket;

pub use connect::{Connector, connect};
pub use error::{ConnectError, Error};
pub use listener::{Acceptor, Incoming, Listener};
pub use split::{Reader, Writer};
pub use stream::{Stream, TryClone};
pub use websocket::{Events, WebSocket};

pub use sansocket;
pub use sansocket::{
    Accept, Close, CloseCode, Config, Event, Message, MessageKind, OriginPolicy, ReadyState, Reject, Request,
};

use std::time::Duration;

/// How much is read at a time unless the caller says otherwise, in bytes.
const DEFAULT_BUFFER_SIZE: usize = 16 * 1024;

/// The core's defaults with keepalive: a Ping after 30 seconds of silence.
///
/// What connections are given unless the caller has a [`Config`] of his own.
pub fn default_config() -> Config {
    let mut config = Config::default();
    config.ping_interval = Some(Duration::from_secs(30));
    config
}
