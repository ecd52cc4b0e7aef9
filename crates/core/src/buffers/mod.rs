//! Buffers for messages and frames: a pool, and a queue of segments. `receive` assembles messages in buffers of the
//! pool; `send` queues segments, and returns their buffers to the pool. Depends on nothing in the crate.

mod buffer_pool;
mod segment_queue;

pub(crate) use self::buffer_pool::BufferPool;
pub(crate) use self::segment_queue::{Segment, SegmentQueue};
