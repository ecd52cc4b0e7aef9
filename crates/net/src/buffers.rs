//! Reading: from the stream into a buffer, from the buffer into the core, until there is an event to lend.
//!
//! An event may borrow the buffer it was read into, and is returned out of a loop that refills the buffer as long as there
//! is none. The borrow checker of today cannot see that the two never meet: a borrow that is returned on one path counts on
//! all of them. So there are two buffers. Bytes are first taken from `front`, and an event found there is lent, with no
//! copy. Only if `front` ends within a frame does the loop go on, in `back`, and what it finds there is owned: a message
//! that spans reads is assembled in memory of its own anyway. What is left in `back` is the next call's `front`.

use std::mem;

use sansocket::{Event, Input};

use crate::Error;
use crate::engine::Engine;

/// The least that is read at a time, in bytes.
const MIN_CAPACITY: usize = 256;

/// The two ways to a core and its stream: alone, or sharing them with a writer.
pub(crate) trait Link {
    fn with_engine<R>(&mut self, ask: impl FnOnce(&mut Engine) -> R) -> R;

    /// Lets the output go, then waits for bytes. Returns how many came; zero if something else happened, which the
    /// engine knows.
    fn fill(&mut self, buffer: &mut [u8]) -> usize;
}

#[derive(Debug)]
pub(crate) struct Buffers {
    capacity: usize,
    front: Buffer,
    back: Buffer,
}

/// Bytes read and not yet taken: `bytes[start..end]`.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffers {
    /// `capacity` is the most that is read at a time, in bytes. Nothing is allocated before the first read.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(MIN_CAPACITY), front: Buffer::default(), back: Buffer::default() }
    }

    /// The next event; `None` when there will be no more.
    pub(crate) fn next_event(&mut self, link: &mut impl Link) -> Result<Option<Event<'_>>, Error> {
        let Self { capacity, front, back } = self;
        if front.is_empty() {
            mem::swap(front, back);
        }
        while front.is_empty() {
            if let Some(event) = without_input(link) {
                return event;
            }
            front.fill(link, *capacity);
        }
        // whatever this returns may borrow `front`, which is therefore out of reach from here on
        if let Some(event) = front.receive(link) {
            return Ok(Some(event));
        }
        loop {
            if back.is_empty() {
                if let Some(event) = without_input(link) {
                    return event;
                }
                back.fill(link, *capacity);
            }
            if let Some(event) = back.receive(link) {
                return Ok(Some(event.into_owned()));
            }
        }
    }
}

/// What there is to tell though no bytes came: bytes that the core kept, or the end.
fn without_input(link: &mut impl Link) -> Option<Result<Option<Event<'static>>, Error>> {
    link.with_engine(|engine| match engine.report() {
        Some(report) => Some(report),
        None => engine.receive(&mut Input::new(&mut [])).map(|event| Ok(Some(event))),
    })
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn fill(&mut self, link: &mut impl Link, capacity: usize) {
        self.bytes.resize(capacity, 0);
        self.start = 0;
        self.end = link.fill(&mut self.bytes).min(self.bytes.len());
    }

    fn receive(&mut self, link: &mut impl Link) -> Option<Event<'_>> {
        let Self { bytes, start, end } = self;
        let mut input = Input::new(&mut bytes[*start..*end]);
        let event = link.with_engine(|engine| engine.receive(&mut input));
        *start = *end - input.remaining().len();
        event
    }
}
