//! Data types, limits and errors of the whole crate. Every other file may use this folder; it uses no other.

mod close;
#[cfg(feature = "deflate")]
mod compression;
mod config;
mod input;
mod limit;
mod message;
mod protocol_error;
pub(crate) mod redact;
mod send_error;
mod setters;
mod state;
mod time;
pub(crate) mod token;
mod uri;
mod utf8;

pub use close::{Close, CloseCode, CloseFrame, Initiator};
#[cfg(feature = "deflate")]
pub use compression::{
    Compress, Compression, CompressionLevel, DeflateOffer, MemoryLevel, PermessageDeflate, WindowBits,
};
pub use config::{Config, Delivery, Keepalive};
pub use input::Input;
pub use limit::LimitExceeded;
pub use message::{Chunk, FragmentPayload, Message, MessageKind};
pub use protocol_error::ProtocolError;
pub use redact::redact_user_info;
pub use send_error::SendError;
pub use state::{ReadyState, Role, TransportAction};
pub use time::Instant;
pub use uri::{UriError, WsUri};

pub(crate) use limit::Subject;
pub(crate) use send_error::NotOpen;
pub(crate) use uri::Authority;
pub(crate) use utf8::{InvalidUtf8, Utf8Validator};
