//! Echo servers and their clients, for the tasks that measure: `cost`, `idle` and `load`.
//!
//! A server is a separate process, which can be measured from outside. The clients are in this process.

mod cell;
mod files;
mod generator;
mod program;
mod server;

pub(crate) use cell::{Cell, Payload, count};
pub(crate) use files::allow_connections;
pub(crate) use generator::{Generator, StopAfter, Tally, echo_messages};
pub(crate) use program::Program;
pub(crate) use server::{Server, running_time};
