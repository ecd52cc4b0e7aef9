//! The queue of Pings and Pongs to be sent (RFC 6455 section 5.5), with a limit on the number of frames of each origin.

use alloc::collections::VecDeque;

use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD};

/// The queue has reached its limit for frames of this origin.
#[derive(Debug)]
pub(crate) struct ControlQueueFull;

/// The origin of a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlOrigin {
    Application,
    Keepalive,
    /// A Pong that answers a Ping of the peer.
    Reply,
}

/// An encoded Ping or Pong.
pub(crate) struct ControlFrame {
    bytes: [u8; Self::MAX_SIZE],
    size: u8,
    origin: ControlOrigin,
}

impl ControlFrame {
    /// The size of the largest frame: a head with a masking key, and the longest payload.
    const MAX_SIZE: usize = 6 + MAX_CONTROL_PAYLOAD;

    /// Encodes a frame. Cuts off a payload beyond 125 bytes, which the caller has excluded.
    pub(crate) fn new(header: &FrameHeader, payload: &[u8], origin: ControlOrigin) -> Self {
        let mut frame = Self { bytes: [0; Self::MAX_SIZE], size: 0, origin };
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

/// Pings and Pongs in the order in which they are sent.
#[derive(Default)]
pub(crate) struct ControlQueue {
    frames: VecDeque<ControlFrame>,
    pending: PendingCounts,
    /// The number of bytes taken of the first frame.
    taken: usize,
}

/// The number of pending frames of each origin.
#[derive(Default)]
struct PendingCounts {
    application: usize,
    keepalive: usize,
    reply: usize,
}

impl PendingCounts {
    fn count_mut(&mut self, origin: ControlOrigin) -> &mut usize {
        match origin {
            ControlOrigin::Application => &mut self.application,
            ControlOrigin::Keepalive => &mut self.keepalive,
            ControlOrigin::Reply => &mut self.reply,
        }
    }
}

impl ControlQueue {
    /// Queues a frame. Up to `max_pending` replies may be pending, and as many frames of the application.
    ///
    /// A further reply replaces the latest pending one, and its size is returned: an endpoint "MAY elect to send a Pong
    /// frame for only the most recently processed Ping" (5.5.3). A further frame of the application, or a second
    /// keepalive Ping, is refused.
    pub(crate) fn push(&mut self, frame: ControlFrame, max_pending: usize) -> Result<usize, ControlQueueFull> {
        match frame.origin {
            ControlOrigin::Application if self.pending.application >= max_pending => return Err(ControlQueueFull),
            ControlOrigin::Keepalive if self.pending.keepalive > 0 => return Err(ControlQueueFull),
            ControlOrigin::Reply if self.pending.reply >= max_pending => {
                if let Some(latest) = self.latest_reply() {
                    return Ok(core::mem::replace(latest, frame).len());
                }
            }
            _ => {}
        }
        *self.pending.count_mut(frame.origin) += 1;
        self.frames.push_back(frame);
        Ok(0)
    }

    /// Returns the latest reply of which no byte was taken.
    fn latest_reply(&mut self) -> Option<&mut ControlFrame> {
        let begun = usize::from(self.taken > 0);
        self.frames.iter_mut().skip(begun).rfind(|frame| frame.origin == ControlOrigin::Reply)
    }

    pub(crate) fn has_keepalive(&self) -> bool {
        self.pending.keepalive > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns the bytes not taken, frame by frame.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut taken = self.taken;
        self.frames.iter().map(move |frame| frame.bytes().get(core::mem::take(&mut taken)..).unwrap_or_default())
    }

    /// Takes up to `count` bytes of the first frame, and returns how many.
    pub(crate) fn advance(&mut self, count: usize) -> usize {
        let Some(first) = self.frames.front() else { return 0 };
        let step = count.min(first.len() - self.taken);
        self.taken += step;
        if self.taken == first.len() {
            *self.pending.count_mut(first.origin) -= 1;
            self.frames.pop_front();
            self.taken = 0;
        }
        step
    }
}
