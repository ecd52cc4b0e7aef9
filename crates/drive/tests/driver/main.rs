//! The driver over simulated transports, in simulated time. Only the public interface is used.

mod answers;
mod delivery;
mod disorder;
mod ends;
mod layers;
mod lost;
mod support;
mod taking;
mod time;
