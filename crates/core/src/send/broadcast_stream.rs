//! The messages of one audience in order, so that a batch can be compressed against the messages before it.

use alloc::boxed::Box;
use core::fmt;

use crate::deflate::{History, StreamEnd, Token, Tokens};

/// The messages that are published to one audience, in order: a chat room, or the subscribers of a topic. A batch that
/// [follows](crate::EncodedBatch::following) those before it is compressed against them, once, for the connections
/// whose latest compressed messages were messages of the stream. Other connections, such as new members, get a form that
/// refers to nothing before the batch.
///
/// A message of about 200 bytes takes about half as many bytes as if it is compressed alone.
///
/// ```
/// use sansocket::{BroadcastStream, Compression, Config, EncodedBatch, EncodedMessage};
///
/// let config = Config::default().compression(Compression::default());
/// let mut room = BroadcastStream::default();
/// for turn in [["a", "b"], ["c", "d"]] {
///     let batch = EncodedBatch::following(&turn.map(|text| EncodedMessage::new(text, &config)), &mut room);
///     // send it to each member, with `send_batch`
///     assert_eq!(batch.count(), 2);
/// }
/// ```
#[derive(Default)]
pub struct BroadcastStream {
    /// The last bytes of the messages that may be compressed.
    history: History,
    /// Identifies the end of the stream; `None` before the first batch.
    end: Option<Token>,
    tokens: Tokens,
}

/// The place of a batch in a stream.
pub(crate) struct StreamPart {
    /// The last bytes of the stream before the batch.
    history: Box<[u8]>,
    start: Option<Token>,
    end: Option<Token>,
    /// The length of the payloads of the messages that may be compressed, in bytes.
    len: usize,
}

impl BroadcastStream {
    /// Appends the payloads of a batch that may be compressed, each of which may refer to `max` bytes before it.
    pub(super) fn append<P: AsRef<[u8]>>(&mut self, payloads: impl Iterator<Item = P>, max: usize) -> StreamPart {
        // the settings may differ from those of the batch before
        self.history.append(&[], max);
        let (history, start) = (self.history.parts().concat(), self.end);
        let mut len = 0;
        for payload in payloads {
            self.history.append(payload.as_ref(), max);
            len += payload.as_ref().len();
        }
        self.end = Some(self.tokens.next());
        StreamPart { history: history.into(), start, end: self.end, len }
    }
}

impl StreamPart {
    /// Returns whether a window that ends like this has all bytes to which the warm form may refer.
    pub(crate) fn follows(&self, window: StreamEnd) -> bool {
        window.token == self.start && window.len >= self.history.len()
    }

    /// Returns how a window ends that ended like `window` before the batch. The last `unbroken` bytes of the batch were
    /// compressed without a gap.
    pub(crate) fn end_of(&self, window: StreamEnd, unbroken: usize) -> StreamEnd {
        let continues = window.token == self.start && unbroken == self.len;
        let before = if continues { window.len } else { 0 };
        StreamEnd { token: self.end, len: before.saturating_add(unbroken) }
    }

    pub(super) fn history(&self) -> &[u8] {
        &self.history
    }
}

/// Omits payloads.
impl fmt::Debug for BroadcastStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastStream").finish_non_exhaustive()
    }
}
