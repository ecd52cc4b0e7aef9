//! The negotiation alone, for applications with another HTTP library: public functions and the types of the `http`
//! crate. One table drives HTTP/1.1 and the negotiation: both must decide exactly alike.

mod connect;
mod handover;
mod recorded;
mod requests;
mod responses;
mod support;
