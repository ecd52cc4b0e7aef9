//! Reading: from the stream into a buffer, and from the buffer into the driver, until there is an event to lend.
//!
//! An event may borrow the buffer that was read into, and it is returned from a loop that refills the buffer as long as
//! there is no event. The borrow checker counts a borrow that is returned on one path on all paths of such a loop.
//! Therefore there are two buffers. An event found in `front` is lent without a copy. If `front` ends within a frame, the
//! loop goes on in `back`, and an event found there is owned: a message that spans reads is assembled in its own memory
//! anyway. If `back` has a rest, it is the `front` of the next call; otherwise `front` is filled again.

use std::mem;

use sansocket::{Event, Input};

use crate::Error;
use crate::turn::{Link, ReadLimit, fill};

/// The smallest `buffer_size`.
const MIN_CAPACITY: usize = 256;
/// The size of the first buffer: an idle connection keeps it.
const INITIAL_SIZE: usize = 512;

/// The result of a read that waits for a limited time; see
/// [`WebSocket::read_timeout`](crate::WebSocket::read_timeout).
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every reader must meet each of these")]
pub enum ReadOutcome<'b> {
    /// The next event.
    Event(Event<'b>),
    /// No event has arrived in time. The connection goes on.
    Pending,
    /// The connection has ended: [`Event::Close`] was the last event.
    Ended,
}

impl<'b> ReadOutcome<'b> {
    /// The next event; after the last one, `None` was reported.
    fn from_report(report: Option<Event<'b>>) -> Self {
        report.map_or(Self::Ended, Self::Event)
    }

    /// The event of a reader that has waited without a limit; `None` after the last one.
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
}

/// Bytes read and not yet consumed: `bytes[start..end]`.
#[derive(Debug, Default)]
struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffers {
    /// `capacity` is the most that is read at a time, in bytes. Allocates nothing before the first read.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(MIN_CAPACITY);
        let (front, back) = (ReadBuffer::default(), ReadBuffer::default());
        Self { capacity, size: capacity.min(INITIAL_SIZE), front, back }
    }

    /// The same, with bytes that were received before.
    pub(crate) fn with_leftover(capacity: usize, bytes: Vec<u8>) -> Self {
        let front = ReadBuffer { start: 0, end: bytes.len(), bytes };
        Self { front, ..Self::new(capacity) }
    }

    /// Waits for the next event without a limit; `None` after the last one.
    pub(crate) fn next_event(&mut self, link: &mut impl Link) -> Result<Option<Event<'_>>, Error> {
        self.next_event_within(link, ReadLimit::NONE).map(ReadOutcome::into_event)
    }

    /// Waits for the next event.
    pub(crate) fn next_event_within(
        &mut self,
        link: &mut impl Link,
        mut limit: ReadLimit,
    ) -> Result<ReadOutcome<'_>, Error> {
        let Self { capacity, size, front, back } = self;
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
            front.fill(link, size, *capacity, &mut limit);
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
                back.fill(link, size, *capacity, &mut limit);
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

    fn fill(&mut self, link: &mut impl Link, size: &mut usize, capacity: usize, limit: &mut ReadLimit) {
        if self.bytes.len() != *size {
            self.bytes = vec![0; *size];
        }
        self.start = 0;
        self.end = fill(link, &mut self.bytes, limit).min(self.bytes.len());
        if self.end == *size {
            *size = (*size * 4).min(capacity);
        }
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
