//! RFC 6455 sections 5 to 8, through the public interface alone: one module per topic, every case for client and server.

mod chunks;
mod closing;
mod contract;
mod control;
#[cfg(feature = "std")] // vectored output
mod encoded;
mod fragmentation;
mod framing;
mod lending;
mod limits;
#[cfg(feature = "std")] // vectored output
mod output;
mod refilling;
mod sending;
mod silence;
mod support;
mod text;
mod timers;
