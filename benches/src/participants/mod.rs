//! The participants: sansocket and other libraries, each used as its documentation recommends, behind one small trait.
//!
//! A bench omits libraries that do not do what it measures, and names them. uWebSockets is C++ and cannot take
//! part.

mod endpoint;
mod fastwebsockets;
mod sansocket;
mod shiguredo;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod websocket_sans_io;
mod yawc;

pub use self::endpoint::{Endpoint, Payload, Role};
pub use self::fastwebsockets::Fastwebsockets;
pub use self::sansocket::{Blocking, LargeBuffer, Recycling, Sansocket, answer as sansocket_answer};
pub use self::shiguredo::{Shiguredo, answer as shiguredo_answer};
pub use self::sockudo::{Sockudo, answer as sockudo_answer};
pub use self::soketto::{Soketto, answer as soketto_answer};
pub use self::tokio_websockets::{TokioWebsockets, answer as tokio_websockets_answer};
pub use self::tungstenite::{Tungstenite, answer as tungstenite_answer};
pub use self::web_socket::WebSocket;
pub use self::websocket_sans_io::WebsocketSansIo;
pub use self::yawc::Yawc;
