//! The clients of a fan-out server, for the tasks that measure: `cost --fan-out` and `load --fan-out`.
//!
//! A fan-out server sends every message to all its connections, here called members. The first member publishes a burst
//! of messages in one write; then the generator waits until every member has received every message of it. In a
//! [`Cell`], `in_flight` is the number of messages in a burst, and the server receives a burst in one turn of its loop.

mod burst;
mod generator;
mod member;
#[cfg(test)]
mod tests;

pub(crate) use generator::Generator;

use crate::echo::{Cell, Payload};

const PAYLOADS: [usize; 2] = [128, 2 << 10];
const MEMBERS: [usize; 3] = [100, 1_000, 5_000];
const MESSAGES: [usize; 2] = [1, 16];

/// Returns the cells that are measured by default.
pub(crate) fn cells() -> impl Iterator<Item = Cell> {
    PAYLOADS.into_iter().flat_map(|bytes| {
        MESSAGES.into_iter().flat_map(move |in_flight| {
            MEMBERS.map(|connections| Cell { payload: Payload(bytes), connections, in_flight })
        })
    })
}
