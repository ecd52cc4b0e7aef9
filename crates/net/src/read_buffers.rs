//! Reading: from the stream into a buffer, and from the buffer into the driver, until there is an event to lend.
//!
//! An event may borrow the buffer that was read into, and it is returned from a loop that refills the buffer as long as
//! there is no event. The borrow checker counts a borrow that is returned on one path on all paths of such a loop.
//! Therefore there are two buffers. An event found in `front` is lent without a copy. If `front` ends within a frame, the
//! loop goes on in `back`, and an event found there is owned: a message that spans reads is assembled in its own memory
//! anyway. The rest of `back` is the `front` of the next call.

use std::mem;

use sansocket::{Event, Input};

use crate::Error;
use crate::turn::{Link, fill};

/// The smallest `buffer_size`.
const MIN_CAPACITY: usize = 256;
/// The size of the first buffer: an idle connection keeps it.
const INITIAL_SIZE: usize = 512;

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

    /// Returns the next event; `None` after the last one.
    pub(crate) fn next_event(&mut self, link: &mut impl Link) -> Result<Option<Event<'_>>, Error> {
        let Self { capacity, size, front, back } = self;
        if front.is_empty() {
            mem::swap(front, back);
        }
        while front.is_empty() {
            if let Some(report) = link.with_engine(|engine| engine.report()) {
                return report;
            }
            *back = ReadBuffer::default();
            front.fill(link, size, *capacity);
        }
        // The result may borrow `front`, which is not used from here on.
        if let Some(event) = front.receive(link) {
            return Ok(Some(event));
        }
        loop {
            if back.is_empty() {
                if let Some(report) = link.with_engine(|engine| engine.report()) {
                    return report;
                }
                back.fill(link, size, *capacity);
            }
            if let Some(event) = back.receive(link) {
                return Ok(Some(event.into_owned()));
            }
        }
    }
}

impl ReadBuffer {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn fill(&mut self, link: &mut impl Link, size: &mut usize, capacity: usize) {
        if self.bytes.len() != *size {
            self.bytes = vec![0; *size];
        }
        self.start = 0;
        self.end = fill(link, &mut self.bytes).min(self.bytes.len());
        if self.end == *size {
            *size = (*size * 4).min(capacity);
        }
    }

    fn receive(&mut self, link: &mut impl Link) -> Option<Event<'_>> {
        let Self { bytes, start, end } = self;
        let mut input = Input::new(&mut bytes[*start..*end]);
        let event = link.with_engine(|engine| engine.receive(&mut input));
        *start = *end - input.remaining().len();
        event
    }
}
