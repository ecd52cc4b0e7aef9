//! An address that answers no attempt to connect, for the adapters' tests.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Returns an address that answers no attempt to connect, since its backlog is full, and what keeps it full.
pub(crate) fn silent_address() -> (SocketAddr, impl Sized) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = socket.connect_timeout(&address, Duration::from_millis(100));
        waiting.push(socket);
        if connected.is_err() {
            return (address.as_socket().unwrap(), (listener, waiting));
        }
    }
}
