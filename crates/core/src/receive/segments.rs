//! Memory for a payload of unknown length.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// The smallest capacity of a segment, in bytes, unless the payload ends in it.
const MIN: usize = 256;
/// The largest capacity of a segment, in bytes.
const MAX: usize = 64 * 1024;

/// A payload of which the length is not known until it ends: segments, which are joined then.
///
/// A single buffer would have to be moved as it grows, and the old and the new one would take up to twice the memory of
/// the payload. The capacity of all segments is never larger than the limit of the payload.
#[derive(Default)]
pub(crate) struct Segments<B> {
    full: Vec<B>,
    last: B,
    /// The length of all segments.
    len: usize,
}

/// A buffer of bytes, or of text.
pub(crate) trait Buffer: Default + AsRef<[u8]> {
    type Slice: ?Sized + AsRef<[u8]>;

    fn with_capacity(capacity: usize) -> Self;
    fn capacity(&self) -> usize;
    fn push_slice(&mut self, slice: &Self::Slice);
    fn as_slice(&self) -> &Self::Slice;
    /// Splits a slice at the last position, up to `max` bytes, where it may be split.
    fn split(slice: &Self::Slice, max: usize) -> (&Self::Slice, &Self::Slice);
    fn shrink(&mut self);
}

impl<B: Buffer> Segments<B> {
    /// Appends a slice. With it, the payload has at most `limit` bytes. `ends` says that nothing follows.
    pub(crate) fn push(&mut self, slice: &B::Slice, limit: usize, ends: bool) {
        let (fitting, rest) = B::split(slice, self.last.capacity() - self.last.as_ref().len());
        self.last.push_slice(fitting);
        let rest_len = rest.as_ref().len();
        if rest_len > 0 {
            let wanted = if ends { 0 } else { (4 * (self.len + rest_len)).clamp(MIN, MAX) };
            let free = limit.saturating_sub(self.len + fitting.as_ref().len());
            let mut segment = B::with_capacity(wanted.min(free).max(rest_len));
            segment.push_slice(rest);
            let full = mem::replace(&mut self.last, segment);
            if self.len > 0 {
                self.full.push(full);
            }
        }
        self.len += slice.as_ref().len();
    }

    /// Returns the last `max` bytes, in parts.
    pub(crate) fn tail(&self, max: usize) -> impl Iterator<Item = &[u8]> {
        let mut skipped = self.len.saturating_sub(max);
        self.full.iter().chain([&self.last]).map(move |segment| {
            let bytes = segment.as_ref();
            let (before, tail) = bytes.split_at(skipped.min(bytes.len()));
            skipped -= before.len();
            tail
        })
    }

    /// Ends the payload, and joins its segments.
    pub(crate) fn finish(&mut self) -> B {
        let Self { full, mut last, len } = mem::take(self);
        if full.is_empty() {
            if last.capacity() > 2 * len {
                last.shrink();
            }
            return last;
        }
        let mut joined = B::with_capacity(len);
        for segment in full.into_iter().chain([last]) {
            joined.push_slice(segment.as_slice());
        }
        joined
    }
}

impl Buffer for Vec<u8> {
    type Slice = [u8];

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity(capacity)
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn push_slice(&mut self, slice: &[u8]) {
        self.extend_from_slice(slice);
    }

    fn as_slice(&self) -> &[u8] {
        self
    }

    fn split(slice: &[u8], max: usize) -> (&[u8], &[u8]) {
        slice.split_at(max.min(slice.len()))
    }

    fn shrink(&mut self) {
        self.shrink_to_fit();
    }
}

impl Buffer for String {
    type Slice = str;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity(capacity)
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn push_slice(&mut self, slice: &str) {
        self.push_str(slice);
    }

    fn as_slice(&self) -> &str {
        self
    }

    fn split(slice: &str, max: usize) -> (&str, &str) {
        let mut at = max.min(slice.len());
        while !slice.is_char_boundary(at) {
            at -= 1;
        }
        slice.split_at(at)
    }

    fn shrink(&mut self) {
        self.shrink_to_fit();
    }
}
