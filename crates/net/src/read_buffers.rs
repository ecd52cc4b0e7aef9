//! Reading: from the stream into a buffer, and from the buffer into the driver, until there is an event to return.
//!
//! An event may borrow the read buffer. The borrow checker extends a borrow that one path of a loop returns to all
//! paths: a loop cannot refill the one buffer until it has an event to return. Therefore there are two. An event found
//! in `front` borrows it. If `front` ends within a frame, the loop continues in `back`, and an event found there is
//! owned: a message that spans reads is assembled in its own memory anyway. If `back` still holds bytes, it is the
//! `front` of the next call; otherwise `front` is filled again.

use std::{io, mem};

use sansocket::{Close, CloseCode, Event, Input};
use sansocket_drive::{Error, LayerScratch};

use crate::turn::{Link, ReadLimit, close, fill};

/// The default `buffer_size`, in bytes: a message of 16 KiB and the longest head of a frame.
pub(crate) const DEFAULT_BUFFER_SIZE: usize = 16 * 1024 + 14;
/// The smallest `buffer_size`.
const MIN_CAPACITY: usize = 256;
/// The size of the first buffer: an idle connection keeps it.
const INITIAL_SIZE: usize = 512;

/// The result of a read that waits for a limited time; see
/// [`WebSocket::read_timeout`](crate::WebSocket::read_timeout).
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every caller must handle each of these")]
pub enum ReadOutcome<'b> {
    /// The next event.
    Event(Event<'b>),
    /// No event has arrived in time. The connection continues.
    Pending,
    /// The connection has ended: [`Event::Close`] was the last event.
    Ended,
}

impl<'b> ReadOutcome<'b> {
    /// Converts a report of the engine, which is `None` after the last event.
    fn from_report(report: Option<Event<'b>>) -> Self {
        report.map_or(Self::Ended, Self::Event)
    }

    /// Returns the event of a read without a limit; `None` after the last one.
    pub(crate) fn into_event(self) -> Option<Event<'b>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Pending | Self::Ended => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct ReadBuffers {
    capacity: usize,
    /// The size of the next buffer: grows when a read fills a buffer.
    size: usize,
    front: ReadBuffer,
    back: ReadBuffer,
    /// Receives plaintext; without TLS, it stays empty.
    scratch: LayerScratch,
}

/// Bytes read and not yet consumed: `bytes[start..end]`.
#[derive(Debug, Default)]
struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffers {
    /// Creates the buffers without allocating. `capacity` is the largest size of a buffer, in bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(MIN_CAPACITY);
        let (front, back) = (ReadBuffer::default(), ReadBuffer::default());
        Self { capacity, size: capacity.min(INITIAL_SIZE), front, back, scratch: LayerScratch::new() }
    }

    /// Creates the buffers with bytes that were received before.
    pub(crate) fn with_leftover(capacity: usize, bytes: Vec<u8>) -> Self {
        let front = ReadBuffer { start: 0, end: bytes.len(), bytes };
        Self { front, ..Self::new(capacity) }
    }

    /// Waits for the next event without a limit; `None` after the last one.
    pub(crate) fn next_event(&mut self, link: &mut impl Link) -> Result<Option<Event<'_>>, Error> {
        self.next_event_within(link, ReadLimit::NONE).map(ReadOutcome::into_event)
    }

    /// Waits for the next event of an opening handshake, which has no Close event.
    pub(crate) fn next_opening_event(&mut self, link: &mut impl Link) -> Result<Event<'static>, Error> {
        match self.next_event(link)? {
            Some(event) => Ok(event.into_owned()),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Closes an open connection, and drives it to its end.
    pub(crate) fn finish(&mut self, link: &mut impl Link) -> Result<Close, Error> {
        close(link, CloseCode::NORMAL, "")?;
        while self.next_event(link)?.is_some() {}
        let close = link.with_engine(|engine| engine.close_event().cloned());
        close.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    }

    /// Waits for the next event, but not longer than the limit.
    pub(crate) fn next_event_within(
        &mut self,
        link: &mut impl Link,
        mut limit: ReadLimit,
    ) -> Result<ReadOutcome<'_>, Error> {
        let Self { capacity, size, front, back, scratch } = self;
        if front.is_empty() && !back.is_empty() {
            mem::swap(front, back);
        }
        while front.is_empty() {
            if let Some(report) = link.with_engine(|engine| engine.report()) {
                return report.map(ReadOutcome::from_report);
            }
            if !limit.allows_read() {
                return Ok(ReadOutcome::Pending);
            }
            *back = ReadBuffer::default();
            front.fill(link, size, *capacity, &mut limit, scratch);
        }
        // The result may borrow `front`, which is not used from here on.
        if let Some(event) = front.receive(link) {
            return Ok(ReadOutcome::Event(event));
        }
        loop {
            if back.is_empty() {
                if let Some(report) = link.with_engine(|engine| engine.report()) {
                    return report.map(ReadOutcome::from_report);
                }
                if !limit.allows_read() {
                    return Ok(ReadOutcome::Pending);
                }
                back.fill(link, size, *capacity, &mut limit, scratch);
            }
            if let Some(event) = back.receive(link) {
                return Ok(ReadOutcome::Event(event.into_owned()));
            }
        }
    }
}

impl ReadBuffer {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn fill(
        &mut self,
        link: &mut impl Link,
        size: &mut usize,
        capacity: usize,
        limit: &mut ReadLimit,
        scratch: &mut LayerScratch,
    ) {
        // The buffer may be one that TLS has filled. A much longer one, such as leftover bytes, does not stay.
        if (*size..=2 * *size).contains(&self.bytes.capacity()) {
            self.bytes.resize(*size, 0);
        } else {
            self.bytes = vec![0; *size];
        }
        let count = fill(link, &mut self.bytes, limit).min(*size);
        if count == *size {
            *size = (*size * 4).min(capacity);
        }
        self.start = 0;
        self.end = link.with_engine(|engine| engine.open(&mut self.bytes, count, scratch));
    }

    fn receive(&mut self, link: &mut impl Link) -> Option<Event<'_>> {
        let Self { bytes, start, end } = self;
        let mut input = Input::new(&mut bytes[*start..*end]);
        let event = link.with_engine(|engine| engine.receive(&mut input));
        *start = *end - input.remaining().len();
        input.discard(); // until the next call
        event
    }
}
