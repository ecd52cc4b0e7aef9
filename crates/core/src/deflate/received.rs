//! The inflater of a message that a connection receives.

use super::context::Direction;
use super::inflater::Inflater;

impl Direction<'_> {
    /// Takes an inflater that continues behind the last message, or that begins anew without context takeover.
    pub(crate) fn take_inflater(&mut self) -> Inflater {
        let token = self.context.as_ref().and_then(|context| context.token);
        let mut inflater = self.codecs.take_inflater(token);
        if token.is_none() || inflater.token != token {
            inflater.prime(self.history());
        }
        inflater.token = None;
        inflater
    }

    /// Returns the inflater of a message that has ended.
    pub(crate) fn return_inflater(&mut self, mut inflater: Inflater) {
        if let Some(context) = &mut self.context {
            inflater.token = Some(self.codecs.next_token());
            context.token = inflater.token;
        }
        self.codecs.keep_inflater(inflater);
    }

    /// Returns the last bytes of the messages before, to which a message may refer; none without context takeover.
    pub(crate) fn history(&self) -> [&[u8]; 2] {
        self.context.as_ref().map_or([&[]; 2], |context| context.history.parts())
    }
}
