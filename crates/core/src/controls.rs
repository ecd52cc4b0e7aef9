//! Control frames on their way out (RFC 6455 section 5.5): small, bounded in number, and never in the way of each
//! other.

use alloc::collections::VecDeque;
use core::fmt;

use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD};

/// More control frames wait than may.
#[derive(Debug)]
pub(crate) struct ControlsFull;

/// Who wants a control frame sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlKind {
    /// The protocol: a Pong that answers a Ping.
    Answer,
    /// The application.
    Asked,
    /// Keepalive.
    Keepalive,
}

/// An encoded Ping or Pong.
pub(crate) struct ControlFrame {
    bytes: [u8; Self::MAX_SIZE],
    size: u8,
    kind: ControlKind,
}

impl ControlFrame {
    /// A head with a 7-bit length and a masking key, and the longest payload.
    const MAX_SIZE: usize = 6 + MAX_CONTROL_PAYLOAD;

    /// Payload beyond 125 bytes is cut off; callers have judged it.
    pub(crate) fn new(header: &FrameHeader, payload: &[u8], kind: ControlKind) -> Self {
        let mut frame = Self { bytes: [0; Self::MAX_SIZE], size: 0, kind };
        let head = header.encode();
        let mut size = 0;
        for (to, from) in frame.bytes.iter_mut().zip(head.iter().chain(payload)) {
            *to = *from;
            size += 1;
        }
        if let (Some(key), Some(payload)) = (header.mask, frame.bytes.get_mut(head.len()..size)) {
            sansocket_mask::apply(payload, key, 0);
        }
        frame.size = size as u8;
        frame
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.size)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.split_at(self.len()).0
    }
}

/// Pings and Pongs in the order in which they leave.
#[derive(Default)]
pub(crate) struct Controls {
    frames: VecDeque<ControlFrame>,
    pending: Pending,
    /// Bytes taken of the first.
    taken: usize,
}

/// How many of each kind wait.
#[derive(Default)]
struct Pending {
    answers: usize,
    asked: usize,
    keepalive: usize,
}

impl Pending {
    fn of(&mut self, kind: ControlKind) -> &mut usize {
        match kind {
            ControlKind::Answer => &mut self.answers,
            ControlKind::Asked => &mut self.asked,
            ControlKind::Keepalive => &mut self.keepalive,
        }
    }
}

impl Controls {
    /// Queues a frame. Up to `max_pending` answers may wait, and as many asked for. An answer beyond takes the place of
    /// the latest one, whose size is returned: "MAY elect to send a Pong frame for only the most recently processed
    /// Ping" (5.5.3). One asked for beyond is refused, and so is a second one of keepalive.
    pub(crate) fn push(&mut self, frame: ControlFrame, max_pending: usize) -> Result<usize, ControlsFull> {
        match frame.kind {
            ControlKind::Asked if self.pending.asked >= max_pending => return Err(ControlsFull),
            ControlKind::Keepalive if self.pending.keepalive > 0 => return Err(ControlsFull),
            ControlKind::Answer if self.pending.answers >= max_pending => {
                if let Some(latest) = self.latest_answer() {
                    return Ok(core::mem::replace(latest, frame).len());
                }
            }
            _ => {}
        }
        *self.pending.of(frame.kind) += 1;
        self.frames.push_back(frame);
        Ok(0)
    }

    /// The latest answer of which nothing has left yet.
    fn latest_answer(&mut self) -> Option<&mut ControlFrame> {
        let begun = usize::from(self.taken > 0);
        self.frames.iter_mut().skip(begun).rfind(|frame| frame.kind == ControlKind::Answer)
    }

    pub(crate) fn has_keepalive(&self) -> bool {
        self.pending.keepalive > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut taken = self.taken;
        self.frames.iter().map(move |frame| frame.bytes().get(core::mem::take(&mut taken)..).unwrap_or_default())
    }

    /// Takes up to `count` bytes of the first frame; returns how many.
    pub(crate) fn advance(&mut self, count: usize) -> usize {
        let Some(first) = self.frames.front() else { return 0 };
        let step = count.min(first.len() - self.taken);
        self.taken += step;
        if self.taken == first.len() {
            *self.pending.of(first.kind) -= 1;
            self.frames.pop_front();
            self.taken = 0;
        }
        step
    }
}

/// Payloads are nobody's business.
impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls").finish_non_exhaustive()
    }
}
