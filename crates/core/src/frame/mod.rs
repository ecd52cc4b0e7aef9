//! Frames, RFC 6455 section 5.2: the head of a frame as a pure function of bytes, usable alone.
//!
//! What a single frame can get wrong is decided here; what depends on its role, its predecessors or a limit is not.

mod header;
mod opcode;

pub use header::{EncodedHeader, FrameHeader};
pub use opcode::OpCode;
pub use sansocket_mask::MaskingKey;

/// The longest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;
