//! What must hold of the bytes on the wire: messages were compressed, with context takeover where it was agreed.

use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::relay::{Conversation, Relay};

/// The bytes on the wire per byte of similar messages, with context takeover: 0.25 to 0.44 with the levels and windows of
/// the cases.
const WITH_TAKEOVER: Range<f64> = 0.2..0.6;
/// The same without context takeover: 0.87 to 1.01. Alone, such a short message shrinks little, and has a frame header.
const WITHOUT_TAKEOVER: Range<f64> = 0.8..1.05;
/// The bytes on the wire per byte of mixed messages, of which a third does not compress. They show that compression is in
/// use, also without context takeover.
const MIXED: Range<f64> = 0.3..0.8;

/// The bytes of the messages on the two connections of a case, in each direction.
pub(super) type Lengths = [usize; 2];

/// The bytes on the wire per byte of the messages, frame headers included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratios {
    from_client: f64,
    from_server: f64,
}

/// Checks the two conversations of a case that the relay has recorded. Returns the ratios of the similar messages.
///
/// # Errors
///
/// If the bytes on the wire are more than the agreement explains, or fewer.
pub(super) fn check(relay: &Relay, [similar, mixed]: Lengths, agreed: &str) -> Result<Ratios> {
    let conversation = || relay.next().context("the relay has not seen the ends of two connections");
    let expected = |parameter| if agreed.contains(parameter) { WITHOUT_TAKEOVER } else { WITH_TAKEOVER };
    let ratios = Ratios::new(&conversation()?, similar);
    ratios.check(expected("client_no_context_takeover"), expected("server_no_context_takeover"))?;
    Ratios::new(&conversation()?, mixed).check(MIXED, MIXED)?;
    Ok(ratios)
}

impl Ratios {
    fn new(conversation: &Conversation, bytes: usize) -> Self {
        let ratio = |wire: &[u8]| wire.len() as f64 / bytes as f64;
        Self { from_client: ratio(&conversation.from_client), from_server: ratio(&conversation.from_server) }
    }

    fn check(&self, from_client: Range<f64>, from_server: Range<f64>) -> Result<()> {
        ensure!(
            from_client.contains(&self.from_client) && from_server.contains(&self.from_server),
            "{self}; expected {from_client:?} and {from_server:?}"
        );
        Ok(())
    }
}

impl fmt::Display for Ratios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_client, from_server } = self;
        write!(f, "{from_client:.2} bytes on the wire per byte from the client, {from_server:.2} from the server")
    }
}
