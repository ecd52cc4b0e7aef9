//! The ciphertext that is not processed yet: an incomplete record, and records before it with the beginning of a
//! handshake message.

/// The size of the head of a record: type, version, length (RFC 8446 5.1).
const RECORD_HEAD: usize = 5;

/// Received bytes that rustls needs again. The buffer is freed when it is empty.
#[derive(Default)]
pub(crate) struct Incoming {
    pub(crate) bytes: Vec<u8>,
    /// Where the incomplete record begins.
    pub(crate) record_start: usize,
}

impl Incoming {
    /// Moves bytes from the front of `received` to the buffer, up to the end of the record or of its head.
    pub(crate) fn complete_record<'r>(&mut self, received: &'r mut [u8]) -> &'r mut [u8] {
        let record = &self.bytes[self.record_start..];
        let size = record_size(record).unwrap_or(RECORD_HEAD);
        let missing = size.saturating_sub(record.len()).clamp(1, received.len());
        let (part, rest) = received.split_at_mut(missing);
        self.bytes.extend_from_slice(part);
        rest
    }

    /// Removes bytes from the front.
    pub(crate) fn discard(&mut self, count: usize) {
        if count == self.bytes.len() {
            *self = Self::default();
        } else {
            self.bytes.drain(..count);
        }
    }
}

/// Returns the size of the record at the front of `bytes`, with its head; `None` if the head is incomplete.
pub(crate) fn record_size(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [_, _, _, high, low, ..] => Some(RECORD_HEAD + usize::from(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}
