//! The participants of the bench `deflate`: sansocket and other libraries that compress, each a server behind one small
//! trait. The codec alone is [`Codec`](crate::deflate::Codec).

mod measure;
mod sansocket;
#[cfg(feature = "peers")]
mod sockudo;
#[cfg(feature = "peers-zlib")]
mod soketto;
#[cfg(feature = "peers")]
mod yawc;

use crate::CompressionSettings;

pub use self::measure::{Case, Participant, all};
pub use self::sansocket::Sansocket;
#[cfg(feature = "peers")]
pub use self::sockudo::Sockudo;
#[cfg(feature = "peers-zlib")]
pub use self::soketto::Soketto;
#[cfg(feature = "peers")]
pub use self::yawc::Yawc;

/// A server over a transport `T` that has agreed to compress.
pub trait Compressing<T> {
    /// Creates a server after the opening handshake.
    fn new(settings: CompressionSettings, transport: T) -> Self;

    /// Receives `count` messages, the last of which ends a read. Calls `each` with each whole payload.
    fn receive(&mut self, count: usize, each: impl FnMut(&[u8]));

    /// Sends a binary message, and writes it to the last byte.
    fn send(&mut self, message: &[u8]);
}
