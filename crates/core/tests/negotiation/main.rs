//! The negotiation alone, as whoever has another HTTP library uses it: public functions and the types of the `http`
//! crate. One table drives HTTP/1.1 and the negotiation, so that both decide alike, to the letter.

mod connect;
mod handover;
mod recorded;
mod requests;
mod responses;
mod support;
