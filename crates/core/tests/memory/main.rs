//! How much memory a connection needs. An allocator counts the allocations on the thread of each test.

mod connection;
mod pool;
mod receive;
mod scratch;
mod send;
mod support;
