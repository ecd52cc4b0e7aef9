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
mod lending;
mod limits;
#[cfg(feature = "std")] // vectored output
mod output;
mod phases;
mod sending;
mod silence;
mod support;
mod taking;
mod text;
mod timers;
mod timers_model;
mod write_lost;
