//! The scratch memory of connections that send outside of their turn.

use sansocket_drive::sansocket::{Scratch, WebSocket};

/// Scratch memory with a compressor of 137 to 380 KB, which each connection that compresses would otherwise create for
/// itself. The scratch of the event loop is in use while a handler sends to other connections.
#[derive(Default)]
pub(crate) struct SendScratch {
    #[cfg(feature = "deflate")]
    scratch: Option<Scratch>,
}

impl SendScratch {
    /// Calls `send`. A connection that compresses, and has no scratch, gets one for the call.
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, ws: &mut WebSocket, send: impl FnOnce(&mut WebSocket) -> R) -> R {
        #[cfg(feature = "deflate")]
        if ws.compression().is_some() && !ws.has_scratch() {
            let scratch = self.scratch.get_or_insert_default();
            ws.attach_scratch(scratch);
            let result = send(ws);
            ws.detach_scratch(scratch);
            return result;
        }
        send(ws)
    }
}

/// Detaches the scratch from a connection that compresses and whose output is not written yet: the next connection needs
/// the compressor. Otherwise the scratch stays, which saves a copy of the output.
#[inline(always)]
pub(crate) fn release(ws: &mut WebSocket, scratch: &mut Scratch) {
    #[cfg(feature = "deflate")]
    if ws.compression().is_some() {
        ws.detach_scratch(scratch);
    }
    #[cfg(not(feature = "deflate"))]
    let _ = (ws, scratch);
}
