//! The closing handshake (RFC 6455 section 7) and the end of TCP. Every transition is in this folder. `connection` and
//! `opening` report what happened and use [`Timers`]; [`Output`] knows whether our Close frame was sent. Depends on
//! `data`, `send` and `error`.
//!
//! | our Close \ the peer's Close | not received | received |
//! |---|---|---|
//! | not queued | OPEN | CLOSING; the reply is queued at once |
//! | queued | CLOSING, draining; messages still delivered | CLOSING, draining |
//! | delivered | CLOSING, awaiting the peer's Close; messages still delivered | awaiting the end of TCP |
//!
//! | [`Phase`](phases::Phase) | progress | at the deadline | transport |
//! |---|---|---|---|
//! | `Draining`: our last byte is not delivered | bytes delivered | output dropped, 1006 or the peer's code, not clean, Abort | Open |
//! | `AwaitingClose` | bytes received | 1006, not clean, Abort | Open |
//! | `AwaitingEnd`: both Closes exchanged, or failed and our Close delivered | none | the peer's code, clean (a failure: 1006, not clean), Close | server or failure: ShutdownWrite; client: Open |
//! | `WriteLost`: nothing more can be written | bytes received, until the peer's Close or a failure | as for `Draining` | Open, then Abort |
//!
//! Acknowledged bytes ([`Closing::note_progress`]) are progress in every phase. The deadline is `closing_timeout` after
//! the latest progress, and at most `closing_limit` after the beginning.
//!
//! If the peer's FIN arrives while output is pending, the connection ends when the output is delivered. A response that
//! refuses an opening handshake, or answers a plain HTTP request, ends its connection in the same phases, as a failure
//! without a Close frame.
//!
//! [`Output`]: crate::Output

mod phases;
mod timers;
mod transitions;

pub(crate) use phases::Closing;
pub(crate) use timers::{Timer, Timers};
pub(crate) use transitions::Transition;
