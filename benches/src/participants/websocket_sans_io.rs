//! websocket-sans-io, which only encodes and decodes frames. This file assembles messages and validates text. It reads
//! and writes as the library's examples do, but with the buffer of sansocket instead of theirs of 1 KiB.

use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use websocket_sans_io::{FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{READ, Transport};
use crate::wire::PIECE;

/// websocket-sans-io.
#[expect(missing_debug_implementations, reason = "the library's type has none")]
pub struct WebsocketSansIo<T> {
    decoder: WebsocketFrameDecoder,
    encoder: WebsocketFrameEncoder,
    role: Role,
    rng: StdRng,
    transport: T,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    message: Vec<u8>,
    output: Vec<u8>,
}

impl<T: Transport> Endpoint<T> for WebsocketSansIo<T> {
    fn new(role: Role, transport: T) -> Self {
        Self {
            decoder: WebsocketFrameDecoder::new(),
            encoder: WebsocketFrameEncoder::new(),
            role,
            rng: StdRng::seed_from_u64(1),
            transport,
            buffer: vec![0; READ],
            start: 0,
            end: 0,
            message: Vec::new(),
            output: Vec::new(),
        }
    }

    fn receive(&mut self, mut count: usize, mut each: impl FnMut(bool, &[u8])) {
        // the range of a payload that arrived in one piece, which needs no assembly
        let mut whole = None;
        while count > 0 {
            let result = self.decoder.add_data(&mut self.buffer[self.start..self.end]).unwrap();
            let from = self.start;
            self.start += result.consumed_bytes;
            match result.event {
                Some(WebsocketFrameEvent::PayloadChunk { .. }) if whole.is_none() && self.message.is_empty() => {
                    whole = Some(from..self.start);
                }
                Some(WebsocketFrameEvent::PayloadChunk { .. }) => {
                    self.assemble(whole.take());
                    self.assemble(Some(from..self.start));
                }
                Some(WebsocketFrameEvent::End { frame_info, original_opcode }) if frame_info.fin => {
                    let payload = whole.take().map_or(&self.message[..], |whole| &self.buffer[whole]);
                    let is_text = original_opcode == Opcode::Text;
                    if is_text {
                        str::from_utf8(payload).unwrap();
                    }
                    each(is_text, payload);
                    self.message.clear();
                    count -= 1;
                }
                None if self.start == self.end => {
                    self.assemble(whole.take());
                    self.start = 0;
                    self.end = self.transport.read_into(&mut self.buffer);
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, payload: Payload<'_>) {
        let payload = match &payload {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => &bytes[..],
            Payload::Shared(bytes) => &bytes[..],
        };
        let mask = (self.role == Role::Client).then(|| self.rng.random());
        let info =
            FrameInfo { opcode: Opcode::Binary, payload_length: payload.len() as u64, mask, fin: true, reserved: 0 };
        self.output.clear();
        self.output.extend_from_slice(&self.encoder.start_frame(&info));
        let head = self.output.len();
        self.output.extend_from_slice(payload);
        self.encoder.transform_frame_payload(&mut self.output[head..]);
        self.transport.write(&self.output);
    }
}

impl<T> WebsocketSansIo<T> {
    /// Appends a piece to the message, in the way that all copies of the benches are made.
    fn assemble(&mut self, piece: Option<Range<usize>>) {
        if let Some(piece) = piece {
            self.buffer[piece].chunks(PIECE).for_each(|piece| self.message.extend_from_slice(piece));
        }
    }
}
