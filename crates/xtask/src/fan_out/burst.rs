//! The messages that are published at once, as bytes on the wire.

use std::ops::RangeInclusive;

use anyhow::{Result, ensure};

use crate::raw::{FINAL_BINARY, FrameHead, KEY, frame, mask};

/// The payloads that a burst can have: at least a sequence number, and at most what a frame has room for without the
/// longest form of its length, so that no server divides a message into several frames.
const PAYLOADS: RangeInclusive<usize> = size_of::<u64>()..=u16::MAX as usize;
/// A number of messages. Each begins with a sequence number, so that a message that is missing, repeated or out of
/// order changes the bytes that a member receives.
#[derive(Debug)]
pub(super) struct Burst {
    /// The masked frames that the publisher sends.
    published: Vec<u8>,
    /// The frames that every member receives: RFC 6455 allows only one encoding of each message in one frame.
    expected: Vec<u8>,
    messages: usize,
    /// The sequence number of the first message.
    first: u64,
}

impl Burst {
    /// Returns a burst with the sequence numbers from 0 on.
    ///
    /// # Errors
    ///
    /// If the payload, in bytes, is too short or too long.
    pub(super) fn new(payload: usize, messages: usize) -> Result<Self> {
        let (min, max) = PAYLOADS.into_inner();
        ensure!(
            (min..=max).contains(&payload),
            "a message of {payload} bytes cannot be published: with --fan-out, --payload is from {min} to {max} bytes"
        );
        // Bytes of a multiplicative hash: a repetition could hide faults of masking or buffers.
        let byte = |index: usize| ((index as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8;
        let payload: Vec<_> = (0..payload).map(byte).collect();
        let mut burst = Self {
            published: frame(FINAL_BINARY, &payload, Some(KEY)).repeat(messages),
            expected: frame(FINAL_BINARY, &payload, None).repeat(messages),
            messages,
            first: 0,
        };
        burst.number();
        Ok(burst)
    }

    /// Gives the messages the sequence numbers that follow.
    pub(super) fn advance(&mut self) {
        self.first += self.messages as u64;
        self.number();
    }

    /// Returns the number of messages.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Returns the bytes that the publisher sends.
    pub(super) fn published(&self) -> &[u8] {
        &self.published
    }

    /// Returns the bytes that every member receives.
    pub(super) fn expected(&self) -> &[u8] {
        &self.expected
    }

    /// Returns the sequence number of the message of which every member receives this byte.
    pub(super) fn sequence_number(&self, offset: usize) -> u64 {
        self.first + (offset / (self.expected.len() / self.messages)) as u64
    }

    fn number(&mut self) {
        let (published, expected) = (self.published.len() / self.messages, self.expected.len() / self.messages);
        let frames = self.published.chunks_exact_mut(published).zip(self.expected.chunks_exact_mut(expected));
        for (number, (published, expected)) in (self.first..).zip(frames) {
            let number = number.to_be_bytes();
            let masked: Vec<_> = mask(&number, KEY).collect();
            let head = FrameHead::decode(expected).map_or(0, |head| head.length);
            expected[head..head + number.len()].copy_from_slice(&number);
            let head = head + KEY.len();
            published[head..head + masked.len()].copy_from_slice(&masked);
        }
    }
}

#[cfg(test)]
mod tests {
    use sansocket_mio::sansocket::{Config, Connection, Event, Input, Instant};

    use super::*;

    /// Receives the published frames, and returns their payloads.
    fn receive(burst: &Burst) -> Vec<Vec<u8>> {
        let mut bytes = burst.published().to_vec();
        let mut server = Connection::server(Config::default(), Instant::EPOCH);
        let mut input = Input::new(&mut bytes);
        let mut payloads = Vec::new();
        while let Some(event) = server.receive(&mut input, Instant::EPOCH).unwrap() {
            let Event::Message(message) = event else { panic!("{event:?}") };
            payloads.push(message.as_bytes().to_vec());
        }
        payloads
    }

    #[test]
    fn a_server_receives_what_the_members_expect() {
        for payload in [8, 125, 126, 128, 2048, 65_535] {
            let mut burst = Burst::new(payload, 3).unwrap();
            burst.advance();
            let payloads = receive(&burst);
            assert_eq!(
                payloads.iter().flat_map(|payload| frame(FINAL_BINARY, payload, None)).collect::<Vec<_>>(),
                burst.expected()
            );
            for (number, payload) in (3..6_u64).zip(payloads) {
                assert_eq!(payload[..8], number.to_be_bytes());
            }
        }
    }

    #[test]
    fn bytes_belong_to_numbered_messages() {
        let mut burst = Burst::new(128, 16).unwrap();
        burst.advance();
        let length = burst.expected().len() / 16;
        assert_eq!((burst.sequence_number(0), burst.sequence_number(length - 1)), (16, 16));
        assert_eq!((burst.sequence_number(length), burst.sequence_number(16 * length - 1)), (17, 31));
    }

    #[test]
    fn other_payloads_are_refused() {
        for payload in [0, 7, 65_536] {
            let error = Burst::new(payload, 1).unwrap_err().to_string();
            assert!(error.contains(&format!("{payload} bytes")), "{error}");
        }
    }
}
