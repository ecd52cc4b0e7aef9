//! Frames, RFC 6455 section 5.2.

/// The flag of a final frame, and the opcode of a binary message.
pub(crate) const FINAL_BINARY: u8 = 0x82;
/// The flag of a compressed message (RFC 7692 section 6): RSV1.
pub(crate) const COMPRESSED: u8 = 0x40;
/// The masking key of a client's frames. Any key is as good: servers are slow with none in particular.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The flag of a masked frame, in the byte that begins the length.
const MASKED: u8 = 0x80;

/// Encodes a frame that begins with the byte `first`.
pub(crate) fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { MASKED } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(masked | length as u8),
        length @ 126..=0xffff => {
            frame.push(masked | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    match key {
        Some(key) => {
            frame.extend(key);
            frame.extend(mask(payload, key));
        }
        None => frame.extend(payload),
    }
    frame
}

/// Masks or unmasks bytes.
pub(crate) fn mask(bytes: &[u8], key: [u8; 4]) -> impl Iterator<Item = u8> {
    bytes.iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key)
}

/// The head of a server's frame, which is not masked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FrameHead {
    /// The first byte: flags and opcode.
    pub(crate) first: u8,
    /// The length of the head, in bytes.
    pub(crate) length: usize,
    /// The length of the payload, in bytes.
    pub(crate) payload: usize,
}

impl FrameHead {
    /// Decodes the head at the beginning of bytes; `None` if they do not contain all of it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (length, payload) = match short {
            126 => (4, u16::from_be_bytes(*rest.first_chunk()?).into()),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            _ => (2, short.into()),
        };
        Some(Self { first, length, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_decoded_as_frames_are_encoded() {
        for (payload, length) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = frame(FINAL_BINARY, &vec![7; payload], None);
            assert_eq!(FrameHead::decode(&frame), Some(FrameHead { first: FINAL_BINARY, length, payload }));
            assert_eq!(frame.len(), length + payload);
            assert_eq!(FrameHead::decode(&frame[..length - 1]), None);
        }
    }
}
