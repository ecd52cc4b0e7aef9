//! The ciphertext to write.

/// Bytes to write, and the plaintext that they carry. The buffer is freed when all of it is written.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) bytes: Vec<u8>,
    written: usize,
    /// The number of bytes that were passed to the outer session.
    pub(crate) passed_on: usize,
    /// The number of bytes of plaintext in `bytes`.
    pub(crate) plaintext: usize,
}

impl Pending {
    pub(crate) fn remaining(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Replaces all bytes by others that carry no plaintext.
    pub(crate) fn replace(&mut self, bytes: Vec<u8>) {
        *self = Self { bytes, ..Self::default() };
    }

    /// Removes `count` bytes. Returns how many bytes of plaintext were delivered: all at once, with the last byte. The
    /// driver takes each written byte for progress, and there are few records at a time.
    pub(crate) fn advance(&mut self, count: usize) -> usize {
        self.written = self.bytes.len().min(self.written + count);
        if self.written < self.bytes.len() {
            return 0;
        }
        std::mem::take(self).plaintext
    }
}
