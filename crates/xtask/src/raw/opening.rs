//! The opening handshake of a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use sansocket_mio::mio;
use sansocket_mio::sansocket::accept_key;

use crate::echo::SILENCE_MAX;

/// The key of every opening handshake: the example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Connects, performs the opening handshake with these offers of extensions, and returns the stream and the extensions
/// in the response, if there are any.
pub(crate) fn open(address: SocketAddr, offers: Option<&str>) -> Result<(mio::net::TcpStream, Option<String>)> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let extensions = handshake(&mut stream, address, offers).context("the opening handshake failed")?;
    stream.set_nonblocking(true)?;
    Ok((mio::net::TcpStream::from_std(stream), extensions))
}

/// Sends a request, and reads the response up to the end of its head.
fn handshake(stream: &mut TcpStream, address: SocketAddr, offers: Option<&str>) -> Result<Option<String>> {
    let offers = offers.map_or(String::new(), |offers| format!("Sec-WebSocket-Extensions: {offers}\r\n"));
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n{offers}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    let mut buffer = [0; 1024];
    while !response.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        response.extend_from_slice(&buffer[..count]);
        ensure!(
            count > 0 && response.len() <= buffer.len(),
            "the response is {:?}",
            String::from_utf8_lossy(&response)
        );
    }
    let response = String::from_utf8_lossy(&response);
    let is_accepted = response.starts_with("HTTP/1.1 101 ") && response.contains(&accept_key(KEY));
    ensure!(is_accepted, "the response is {response:?}");
    Ok(extensions(&response))
}

/// Returns the value of the response's field `Sec-WebSocket-Extensions`.
fn extensions(response: &str) -> Option<String> {
    let fields = response.lines().filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Extensions"));
    values.next().map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_found_in_any_case() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-extensions:  permessage-deflate; a=1 \r\n\r\n";
        assert_eq!(extensions(head).as_deref(), Some("permessage-deflate; a=1"));
        assert_eq!(extensions("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), None);
    }
}
