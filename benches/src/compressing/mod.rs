//! The participants of the bench `deflate`: sansocket and other libraries that compress, each a server behind one small
//! trait. The codec alone is [`Codec`](crate::deflate::Codec).

mod measure;
mod participant;
mod sansocket;
#[cfg(feature = "peers")]
mod sockudo;
#[cfg(feature = "peers-zlib")]
mod soketto;
#[cfg(feature = "peers")]
mod yawc;

pub use self::measure::{Case, Participant, all};
pub use self::participant::{Compressing, Inflating};
pub use self::sansocket::Sansocket;
#[cfg(feature = "peers")]
pub use self::sockudo::Sockudo;
#[cfg(feature = "peers-zlib")]
pub use self::soketto::Soketto;
#[cfg(feature = "peers")]
pub use self::yawc::Yawc;
