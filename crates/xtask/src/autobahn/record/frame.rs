//! Parses the frames that the suite sent, without the code under test.

use anyhow::Result;

use super::notation::{hex, token, write_run};

/// A frame, which may be invalid.
#[derive(Debug)]
pub(super) struct Frame {
    /// Its first byte: FIN, RSV and opcode.
    first: u8,
    key: Option<[u8; 4]>,
    /// Unmasked.
    payload: Vec<u8>,
}

impl Frame {
    /// Parses all complete frames, and returns them with the remaining bytes.
    pub(super) fn read_all(mut bytes: &[u8]) -> (Vec<Self>, &[u8]) {
        let mut frames = Vec::new();
        while let Some((frame, rest)) = Self::read(bytes) {
            frames.push(frame);
            bytes = rest;
        }
        (frames, bytes)
    }

    /// Parses a frame. Returns `None` if it is incomplete, or if its length is not minimal, which the notation cannot
    /// express.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let minimal = match length {
            0..=125 => length as u8,
            126..=65_535 => 126,
            _ => 127,
        };
        let (key, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let (key, rest) = rest.split_first_chunk()?;
            (Some(*key), rest)
        };
        let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let mask = key.unwrap_or_default().into_iter().cycle();
        let payload = payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        (second & 0x7f == minimal).then_some((Self { first, key, payload }, rest))
    }

    pub(super) fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    pub(super) fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Returns whether it is a Close frame whose first byte is valid.
    pub(super) fn is_close(&self) -> bool {
        self.first == 0x88
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns whether the frames are equal except for their masking keys.
    fn is_similar(&self, other: &Self) -> bool {
        (self.first, self.key.is_some(), &self.payload) == (other.first, other.key.is_some(), &other.payload)
    }

    /// Writes the frames as lines. A run of similar frames is written with the key of the first.
    pub(super) fn write_all(frames: &[Self], text: &mut String) -> Result<()> {
        for run in frames.chunk_by(Self::is_similar) {
            write_run(text, "sent", run, |Self { first, key, payload }| {
                let key = key.map_or_else(|| "-".to_owned(), |key| hex(&key));
                Ok(format!("{first:02x} {key} {}", token(payload)?))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the lines for these bytes, and the number of remaining bytes.
    #[track_caller]
    fn check(bytes: &[u8], lines: &str, remaining: usize) {
        let (frames, rest) = Frame::read_all(bytes);
        let mut text = String::new();
        Frame::write_all(&frames, &mut text).unwrap();
        assert_eq!(text, lines);
        assert_eq!(rest.len(), remaining);
    }

    #[test]
    fn frames_are_written_unmasked() {
        check(b"", "", 0);
        check(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "sent: 81 37fa213d 48656c6c6f\n", 0);
        check(b"\xf8\x00\x89\x03\x01\x02\x03", "sent: f8 - -\nsent: 89 - 010203\n", 0);
        let long = [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &[0xfe; 65_536]].concat();
        check(&long, "sent: 82 - 65536*fe\n", 0);
    }

    #[test]
    fn incomplete_frames_remain() {
        check(b"\x88\x02\x03\xe8\x81", "sent: 88 - 03e8\n", 1);
        check(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51", "", 10);
        // Its length is not minimal.
        check(b"\x81\x7e\x00\x01a", "", 5);
    }

    #[test]
    fn many_similar_frames_are_one_line() {
        let frames = |count: u8| -> Vec<u8> { (0..count).flat_map(|key| [0x82, 0x80, key, 0, 0, 0]).collect() };
        check(&frames(2), "sent: 82 00000000 -\nsent: 82 01000000 -\n", 0);
        check(&frames(100), "sent: 82 00000000 - x100\n", 0);
    }
}
