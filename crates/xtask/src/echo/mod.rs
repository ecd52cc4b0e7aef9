//! Servers and the clients of echo servers, for the tasks that measure: `cost`, `idle` and `load`.
//!
//! A server is a separate process, which can be measured from outside. The clients are in this process; those of
//! fan-out servers are in `fan_out`, and those of servers that compress in `compressed`.

mod cell;
mod compression;
mod files;
mod generator;
mod program;
mod server;
mod tally;

pub(crate) use cell::{Cell, Payload, count};
pub(crate) use compression::{Compression, Takeover};
pub(crate) use files::allow_connections;
pub(crate) use generator::Generator;
pub(crate) use program::{Program, Workload};
pub(crate) use server::{Server, running_time};
pub(crate) use tally::{SILENCE_MAX, StopAfter, Tally};
