//! The scratch memory of connections that send outside of their turn.

use sansocket_drive::sansocket::{Scratch, WebSocket};

/// Scratch memory with a compressor of 137 to 380 KB, which each connection that compresses would otherwise create for
/// itself. The scratch of the event loop is in use while a handler sends to other connections.
#[derive(Default)]
pub(crate) struct SendScratch {
    #[cfg(feature = "deflate")]
    scratch: Option<Scratch>,
    /// Whether it is attached.
    #[cfg(feature = "deflate")]
    is_attached: bool,
}

impl SendScratch {
    /// Calls `send`. A connection that compresses, and has no scratch, gets one for the call. (`send` occurs once, so
    /// that it is inlined: this saves 40 instructions per message.)
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, ws: &mut WebSocket, send: impl FnOnce(&mut WebSocket) -> R) -> R {
        #[cfg(feature = "deflate")]
        if ws.compression().is_some() {
            self.attach(ws);
        }
        let result = send(ws);
        #[cfg(feature = "deflate")]
        if self.is_attached {
            self.detach(ws);
        }
        result
    }

    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn attach(&mut self, ws: &mut WebSocket) {
        self.is_attached = !ws.has_scratch();
        if self.is_attached {
            ws.attach_scratch(self.scratch.get_or_insert_default());
        }
    }

    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn detach(&mut self, ws: &mut WebSocket) {
        self.is_attached = false;
        if let Some(scratch) = &mut self.scratch {
            ws.detach_scratch(scratch);
        }
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
