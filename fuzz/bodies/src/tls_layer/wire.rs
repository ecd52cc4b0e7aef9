//! One direction of a transport, which may change, insert or lose bytes at any place.

use arbitrary::{Result, Unstructured};

/// The range of places at which damage begins: a handshake and some data.
const PLACES: usize = 4_096;

#[derive(Debug)]
enum Damage {
    /// Changes the bits of one byte.
    Flip(u8),
    Insert(Vec<u8>),
    /// Ends the stream.
    End,
}

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Wire {
    bytes: Vec<u8>,
    /// The number of bytes that were written.
    written: usize,
    /// Damage that has not happened yet, and its place.
    damage: Option<(usize, Damage)>,
    /// Whether the reader receives other bytes than were written, or an early end.
    pub(super) is_damaged: bool,
    has_ended: bool,
}

impl Wire {
    /// Creates a direction. Zeros give one without damage.
    pub(super) fn choose(u: &mut Unstructured<'_>) -> Result<Self> {
        let kind: u8 = u.arbitrary()?;
        let damage = match kind % 8 {
            4 | 5 => Some(Damage::Flip(u.arbitrary::<u8>()?.max(1))),
            6 => {
                let length = u.arbitrary::<u8>()? % 64;
                Some(Damage::Insert(u.bytes(usize::from(length).min(u.len()))?.to_vec()))
            }
            7 => Some(Damage::End),
            _ => None,
        };
        let damage = match damage {
            Some(damage) => Some((usize::from(u.arbitrary::<u16>()?) % PLACES, damage)),
            None => None,
        };
        Ok(Self { bytes: Vec::new(), written: 0, damage, is_damaged: false, has_ended: false })
    }

    /// Accepts bytes, and damages them.
    pub(super) fn write(&mut self, mut bytes: Vec<u8>) {
        if self.has_ended {
            self.is_damaged |= !bytes.is_empty();
            return;
        }
        let place = self.damage.as_ref().map_or(usize::MAX, |(place, _)| *place);
        let range = self.written..self.written + bytes.len();
        self.written = range.end;
        if range.contains(&place)
            && let Some((_, damage)) = self.damage.take()
        {
            self.is_damaged = true;
            let at = place - range.start;
            match damage {
                Damage::Flip(bits) => bytes[at] ^= bits,
                Damage::Insert(inserted) => _ = bytes.splice(at..at, inserted),
                Damage::End => {
                    bytes.truncate(at);
                    self.has_ended = true;
                }
            }
        }
        self.bytes.extend(bytes);
    }

    /// Ends the stream. The bytes that were written can still be read.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Returns whether the reader, which has sent its close_notify or not, must not receive the bytes.
    ///
    /// A defect of rustls (<https://github.com/rustls/rustls/issues/959>): in builds with debug assertions, it panics if
    /// an invalid record arrives after it has sent close_notify, because it then sends a second alert.
    pub(super) fn would_panic(&self, has_sent_close: bool) -> bool {
        cfg!(debug_assertions) && has_sent_close && self.is_damaged
    }

    /// Takes up to `max` bytes.
    pub(super) fn read(&mut self, max: usize) -> Vec<u8> {
        self.bytes.drain(..max.min(self.bytes.len())).collect()
    }

    /// Returns whether all bytes were read and no more can follow.
    pub(super) fn is_at_end(&self) -> bool {
        self.has_ended && self.bytes.is_empty()
    }
}
