//! The head of a frame, RFC 6455 section 5.2, as a pure function of bytes. Applications may use it alone; `receive`,
//! `send` and `connection` use it too. Depends on `data`.
//!
//! This folder checks the rules for a single head. `receive` checks the rules that depend on roles, earlier frames or
//! limits.

mod header;
mod opcode;

pub use header::{EncodedHeader, FrameHeader};
pub use opcode::{MAX_CONTROL_PAYLOAD, OpCode};
pub use sansocket_mask::MaskingKey;
