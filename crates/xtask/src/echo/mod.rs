//! Echo servers and what drives them: what the chores that measure (`cost`, `idle`, `load`) have in common.
//!
//! A server is a process of its own, so that it can be measured from outside; the load is this process.

mod cell;
mod files;
mod generator;
mod program;
mod server;

pub(crate) use cell::{Cell, Payload, count};
pub(crate) use files::allow_connections;
pub(crate) use generator::{Generator, Until};
pub(crate) use program::Program;
pub(crate) use server::Server;
