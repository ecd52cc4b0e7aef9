//! RFC 6455 sections 5 to 8, through the public interface alone: one module per topic, every case for client and
//! server.

mod bounds;
mod chunks;
mod close_frame;
mod closing;
mod contract;
mod control;
mod deadlines;
mod delivery;
#[cfg(feature = "std")] // vectored output
mod encoded;
mod fragmentation;
mod framing;
mod keepalive;
mod limits;
#[cfg(feature = "std")] // vectored output
mod output;
mod phases;
mod pong_timeout;
mod scratch;
mod send_fragment;
mod send_model;
mod send_refused;
mod sending;
mod support;
mod take_bytes;
mod text;
mod timers_model;
mod write_lost;
