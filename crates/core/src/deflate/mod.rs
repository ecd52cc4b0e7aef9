//! permessage-deflate after the opening handshake (RFC 7692 sections 6 and 7.2): codecs that connections share, and the
//! histories that belong to a connection.
//!
//! At the end of a message, the whole state of a DEFLATE stream is the last bytes of its data. A codec that is primed
//! with them continues where the connection stopped, so one codec serves all connections of a scratch.
//!
//! `receive` inflates, `send` compresses, `connection` has the [`Deflate`] of a connection. Depends on `data`.

mod codecs;
mod context;
mod deflater;
mod history;
mod inflater;
mod received;
mod sent;
mod token;

pub(crate) use codecs::Codecs;
pub(crate) use context::{Context, Deflate, Direction, StreamEnd};
pub(crate) use history::History;
pub(crate) use inflater::{InflateError, Inflater, Step};
pub(crate) use sent::history_size;
pub(crate) use token::{Token, Tokens};
