//! TLS as a [`Layer`] that also tells the models which output it has taken and delivered.

use std::cell::RefCell;
use std::io::{self, IoSlice};

use sansocket::{Output, Role, bytes::Buf};
use sansocket_drive::{Layer, LayerScratch};
use sansocket_tls::Tls;

use crate::fixed_tls::{self, NAME, Version};
use crate::layer::LayerProgress;

/// One end of a TLS connection.
#[derive(Debug)]
pub(crate) struct TappedTls {
    tls: Tls,
    /// The number of bytes of output that were taken and are not delivered.
    undelivered: usize,
    progress: RefCell<LayerProgress>,
}

impl TappedTls {
    pub(crate) fn new(role: Role, version: Version) -> Self {
        let configs = fixed_tls::configs(version);
        let tls = match role {
            Role::Client => configs.client.layer(NAME).expect("a valid name"),
            Role::Server => configs.server.layer(),
        };
        Self { tls, undelivered: 0, progress: RefCell::default() }
    }

    /// Returns what the layer has taken and delivered since the last call.
    pub(crate) fn take_progress(&self) -> LayerProgress {
        self.progress.take()
    }
}

impl Layer for TappedTls {
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]> {
        self.tls.open(received, scratch)
    }

    fn holds_plaintext(&self) -> bool {
        self.tls.holds_plaintext()
    }

    fn has_received_close(&self) -> bool {
        self.tls.has_received_close()
    }

    fn check_eof(&self) -> io::Result<()> {
        Layer::check_eof(&self.tls)
    }

    fn seal(&mut self, output: &mut Output) {
        assert!(self.tls.pending().is_empty(), "seal was called while bytes are pending");
        let shown = copy(output);
        let before = output.remaining();
        if shown.len() == before || !self.tls.is_open() {
            self.tls.seal(output);
        } else {
            // Within a frame, the output shows no data behind the pending control frames: send what it shows.
            while before - output.remaining() < shown.len() {
                let bytes = output.take_bytes(shown.len() - (before - output.remaining()));
                self.tls.send(&bytes).expect("an open connection");
            }
        }
        let taken = &shown[..before - output.remaining()];
        self.undelivered += taken.len();
        self.progress.get_mut().taken.extend(taken);
    }

    fn close(&mut self) {
        self.tls.close();
    }

    fn pending(&self) -> &[u8] {
        self.tls.pending()
    }

    fn advance(&mut self, count: usize) -> usize {
        let delivered = self.tls.advance(count);
        self.undelivered -= delivered;
        let is_written = self.tls.pending().is_empty();
        assert!(is_written || delivered == 0, "bytes were delivered before their ciphertext was written");
        assert!(!is_written || self.undelivered == 0, "all ciphertext was written, but not all bytes were delivered");
        self.progress.get_mut().delivered += delivered;
        delivered
    }
}

/// Copies the output, which stays.
fn copy(output: &Output) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(&[]); 16];
    loop {
        let count = output.chunks_vectored(&mut slices);
        if count < slices.len() {
            return slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        }
        slices = vec![IoSlice::new(&[]); 2 * count];
    }
}
