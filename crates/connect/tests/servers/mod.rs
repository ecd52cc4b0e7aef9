//! Servers for the adapters' tests of dialing: silent ones, and others that refuse and redirect.
#![allow(dead_code, reason = "each adapter uses some of it")]

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::*;

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

/// Returns how many attempts to connect to this address the system has not completed.
#[cfg(target_os = "linux")]
pub(crate) fn attempts_to(address: SocketAddr) -> usize {
    const SYN_SENT: &str = "02";
    let SocketAddr::V4(v4) = address else { panic!("{address} is not IPv4") };
    let peer = format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // local address, peer, state
    let is_attempt = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        (fields.next(), fields.next()) == (Some(&peer), Some(SYN_SENT))
    };
    table.lines().filter(is_attempt).count()
}

/// Serves clients one after the other with these responses to their requests. Returns its address, and the requests.
pub(crate) fn responding<const N: usize>(responses: [String; N]) -> (SocketAddr, Task<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let task = spawn(move || {
        let respond = |response: String| {
            let mut stream = listener.accept().unwrap().0;
            stream.set_read_timeout(Some(BOUND)).unwrap();
            let request = read_head(&mut stream);
            stream.write_all(response.as_bytes()).unwrap();
            read_rest(&mut stream);
            request
        };
        responses.into_iter().map(respond).collect()
    });
    (address, task)
}

pub(crate) fn refusal(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} No\r\n{headers}Content-Length: 0\r\n\r\n")
}

pub(crate) fn redirect(location: &str) -> String {
    refusal(302, &format!("Location: {location}\r\n"))
}
