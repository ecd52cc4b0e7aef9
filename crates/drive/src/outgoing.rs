//! The bytes to write to the transport: the core's, or those of the layer.

use std::fmt;
use std::io::IoSlice;

use bytes::Buf;
use sansocket::Output;

use crate::layer::Layer;
use crate::state::{Flags, Rare};

/// The bytes to write, as a [`Buf`]; see [`Driver::to_write`](crate::Driver::to_write).
pub struct Outgoing<'a, L> {
    output: &'a mut Output,
    layer: &'a mut L,
    flags: &'a mut Flags,
    rare: &'a mut Option<Box<Rare>>,
}

impl<'a, L: Layer> Outgoing<'a, L> {
    #[inline(always)]
    pub(crate) fn new(
        output: &'a mut Output,
        layer: &'a mut L,
        flags: &'a mut Flags,
        rare: &'a mut Option<Box<Rare>>,
    ) -> Self {
        let mut outgoing = Self { output, layer, flags, rare };
        if !outgoing.layer.is_plain() {
            outgoing.seal();
        }
        outgoing
    }

    /// Counts bytes written since the latest sample of the send queue. A `count` above `remaining` means all bytes.
    #[cold]
    fn note_written(&mut self, count: usize) {
        let count = count.min(self.remaining());
        if let Some(rare) = &mut self.rare {
            rare.note_written(count);
        }
    }

    /// Returns the bytes that the layer has prepared, without those in flight.
    fn prepared(&self) -> &[u8] {
        let in_flight = self.rare.as_ref().map_or(0, |rare| rare.in_flight);
        self.layer.pending().get(in_flight..).unwrap_or_default()
    }

    /// Lets the layer prepare more bytes if it has none pending.
    fn seal(&mut self) {
        if self.layer.pending().is_empty() && !self.flags.has(Flags::LAYER_CLOSED) {
            self.layer.seal(self.output);
        }
    }
}

impl<L: Layer> Buf for Outgoing<'_, L> {
    /// With a layer: the bytes that it has prepared. More may follow once they are written.
    #[inline(always)]
    fn remaining(&self) -> usize {
        if self.layer.is_plain() { self.output.remaining() } else { self.prepared().len() }
    }

    #[inline(always)]
    fn chunk(&self) -> &[u8] {
        if self.layer.is_plain() { self.output.chunk() } else { self.prepared() }
    }

    #[inline(always)]
    fn advance(&mut self, count: usize) {
        if self.rare.is_some() {
            self.note_written(count);
        }
        if self.layer.is_plain() {
            return self.output.advance(count);
        }
        if count > 0 {
            self.flags.insert(Flags::LAYER_WROTE);
            let delivered = self.layer.advance(count);
            self.output.delivered(delivered);
            self.seal();
        }
    }

    #[inline]
    fn chunks_vectored<'b>(&'b self, slices: &mut [IoSlice<'b>]) -> usize {
        if self.layer.is_plain() {
            return self.output.chunks_vectored(slices);
        }
        match (self.prepared(), slices.first_mut()) {
            (pending, Some(slice)) if !pending.is_empty() => {
                *slice = IoSlice::new(pending);
                1
            }
            _ => 0,
        }
    }
}

impl<L> fmt::Debug for Outgoing<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}
