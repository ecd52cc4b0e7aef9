//! `Tls` as a layer of a driver, and `MaybeTls`: a layer that is TLS or none.

use std::io;

use sansocket::{
    Output,
    bytes::{Buf, Bytes},
};
use sansocket_drive::{Layer, LayerScratch, Plain};

use crate::engine::RECORD_OVERHEAD_MAX;
use crate::tls::Tls;

/// The number of bytes of output after which a turn seals no more, until the transport has taken all of them. Each write
/// then fills several records, and the memory of a connection whose peer does not read is bounded.
const SEAL_LIMIT: usize = 64 * 1024;

impl Layer for Tls {
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]> {
        if let Some(failure) = self.take_failure() {
            return Err(failure.into());
        }
        let plaintext = scratch.plaintext();
        plaintext.clear();
        match self.receive(received, plaintext) {
            Ok(()) => Ok(plaintext),
            Err(error) if plaintext.is_empty() => Err(error.into()),
            // the data before the failure comes first
            Err(error) => {
                self.set_failure(error);
                Ok(plaintext)
            }
        }
    }

    /// Returns whether a failure is pending. Plaintext never is: `open` returns all of it.
    fn holds_plaintext(&self) -> bool {
        self.has_failure()
    }

    fn has_received_close(&self) -> bool {
        self.has_received_close()
    }

    fn check_eof(&self) -> io::Result<()> {
        Ok(self.check_eof()?)
    }

    fn seal(&mut self, output: &mut Output) {
        if !self.is_open() || !output.has_remaining() {
            return;
        }
        let mut capacity = output.remaining().min(SEAL_LIMIT);
        self.reserve(capacity + capacity.div_ceil(Self::MAX_RECORD_PLAINTEXT) * RECORD_OVERHEAD_MAX);
        while capacity > 0 {
            let plaintext = take_record(output, capacity.min(Self::MAX_RECORD_PLAINTEXT));
            capacity -= plaintext.len();
            if let Err(error) = self.send(&plaintext) {
                self.set_failure(error);
                return;
            }
        }
    }

    fn close(&mut self) {
        self.close();
    }

    fn pending(&self) -> &[u8] {
        self.pending()
    }

    fn advance(&mut self, count: usize) -> usize {
        self.advance(count)
    }
}

/// Takes the plaintext of a record: `size` bytes, which the output has.
fn take_record(output: &mut Output, size: usize) -> Bytes {
    let first = output.take_bytes(size);
    if first.len() == size {
        return first;
    }
    let mut record = Vec::with_capacity(size);
    record.extend_from_slice(&first);
    while record.len() < size {
        record.extend_from_slice(&output.take_bytes(size - record.len()));
    }
    record.into()
}

/// A layer that is TLS or none, for event loops whose connections are of both kinds. It has the size of a pointer.
#[derive(Debug, Default)]
pub struct MaybeTls(Option<Tls>);

impl MaybeTls {
    /// No TLS.
    pub const PLAIN: Self = Self(None);

    /// Returns the TLS connection, if there is one.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.0.as_ref()
    }
}

impl From<Tls> for MaybeTls {
    fn from(tls: Tls) -> Self {
        Self(Some(tls))
    }
}

impl From<Option<Tls>> for MaybeTls {
    fn from(tls: Option<Tls>) -> Self {
        Self(tls)
    }
}

impl Layer for MaybeTls {
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]> {
        match &mut self.0 {
            Some(tls) => tls.open(received, scratch),
            None => Plain.open(received, scratch),
        }
    }

    fn holds_plaintext(&self) -> bool {
        self.0.as_ref().is_some_and(Layer::holds_plaintext)
    }

    fn has_received_close(&self) -> bool {
        self.0.as_ref().is_some_and(Tls::has_received_close)
    }

    fn check_eof(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), Layer::check_eof)
    }

    fn seal(&mut self, output: &mut Output) {
        if let Some(tls) = &mut self.0 {
            tls.seal(output);
        }
    }

    fn close(&mut self) {
        if let Some(tls) = &mut self.0 {
            tls.close();
        }
    }

    fn pending(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Tls::pending)
    }

    fn advance(&mut self, count: usize) -> usize {
        self.0.as_mut().map_or(0, |tls| tls.advance(count))
    }
}
