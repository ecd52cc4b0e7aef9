//! Sending: messages become frames (RFC 6455 sections 5.2 to 5.5 and 6.1), and frames become the bytes to write.
//!
//! `closing` and `connection` queue frames with [`Sender`]; they and `opening` follow the delivery in [`Output`]. The
//! driver writes the [`Output`] and owns the [`Scratch`]; applications use [`EncodedMessage`] and [`EncodedBatch`].
//! Depends on `data`, `frame` and `buffers`.

#[cfg(feature = "deflate")]
mod broadcast_stream;
#[cfg(feature = "deflate")]
mod compressed;
#[cfg(feature = "deflate")]
mod compressed_form;
#[cfg(feature = "deflate")]
mod compressed_messages;
mod control_queue;
mod data_queue;
mod encoded_batch;
mod encoded_message;
mod in_flight;
mod output;
mod queues;
mod scratch;
mod sender;

#[cfg(feature = "deflate")]
pub use broadcast_stream::BroadcastStream;
pub use encoded_batch::EncodedBatch;
pub use encoded_message::EncodedMessage;
pub use output::Output;
pub use scratch::Scratch;

#[cfg(feature = "deflate")]
pub(crate) use compressed_form::{LazyForm, WarmForm};
pub(crate) use control_queue::ControlOrigin;
pub(crate) use output::CloseProgress;
pub(crate) use sender::{Masking, Sender, check_close};
