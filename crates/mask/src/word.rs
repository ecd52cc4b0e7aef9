//! The masking key, rotated to the position where it is applied.

/// The four octets of a frame's masking key, in the order in which they travel.
pub type MaskingKey = [u8; 4];

/// The key, repeated and rotated so that it begins with the octet for the next byte.
///
/// The first octet is the lowest byte of the word on every machine, and the word is only converted to little-endian
/// bytes: nothing depends on the machine's byte order.
#[derive(Clone, Copy)]
pub(crate) struct Word(u64);

impl Word {
    /// Creates the word for the position `offset` within the frame's payload, in bytes.
    #[inline(always)]
    pub(crate) fn new(key: MaskingKey, offset: usize) -> Self {
        let key = u64::from(u32::from_le_bytes(key));
        Self(key << 32 | key).rotated(offset)
    }

    /// Returns the word for the position `by` bytes further on.
    #[inline(always)]
    pub(crate) fn rotated(self, by: usize) -> Self {
        Self(self.0.rotate_right(8 * (by % 4) as u32))
    }

    /// Returns `N` bytes of the repeated key. `N` is a multiple of 4.
    #[inline(always)]
    pub(crate) fn octets<const N: usize>(self) -> [u8; N] {
        let mut octets = [0; N];
        let (eights, rest) = octets.as_chunks_mut();
        for eight in eights {
            *eight = self.0.to_le_bytes();
        }
        for (octet, byte) in rest.iter_mut().zip(self.0.to_le_bytes()) {
            *octet = byte;
        }
        octets
    }

    /// Returns `bytes` masked or unmasked.
    #[inline(always)]
    pub(crate) fn xor<const N: usize>(self, bytes: &[u8; N]) -> [u8; N] {
        let mut masked = *bytes;
        if N <= 16 {
            // keep these few bytes in ordinary registers: filling a vector would cost more than it saves
            let (eights, rest) = masked.as_chunks_mut();
            for eight in eights {
                *eight = (u64::from_le_bytes(*eight) ^ self.0).to_le_bytes();
            }
            if let Some(four) = rest.first_chunk_mut() {
                *four = (u32::from_le_bytes(*four) ^ self.0 as u32).to_le_bytes();
            }
            return masked;
        }
        for (byte, octet) in masked.iter_mut().zip(self.octets::<N>()) {
            *byte ^= octet;
        }
        masked
    }
}
