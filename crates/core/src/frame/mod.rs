//! Frames, RFC 6455 section 5.2: the head of a frame as a pure function of bytes, usable alone.
//!
//! What a single frame can get wrong is decided here; what depends on its role, its predecessors or a limit is not.

mod header;
mod opcode;

pub use header::{EncodedHeader, FrameHeader};
pub use opcode::{MAX_CONTROL_PAYLOAD, OpCode};
pub use sansocket_mask::MaskingKey;
