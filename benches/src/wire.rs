//! The data that all participants receive: payloads, and frames as the peer would send them.

/// The masking key of every frame from a client. Its value does not affect the figures.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The sender of frames: a client masks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum From {
    /// From a client to a server.
    Client,
    /// From a server to a client.
    Server,
}

/// Returns a payload of `length` bytes of ASCII, which is valid as text too.
#[must_use]
pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| b' ' + (i * 7 % 95) as u8).collect()
}

/// Appends a frame. `last` is its FIN bit.
pub fn frame(wire: &mut Vec<u8>, from: From, opcode: u8, last: bool, payload: &[u8]) {
    let mask = if from == From::Client { 0x80 } else { 0 };
    wire.push(u8::from(last) << 7 | opcode);
    match payload.len() {
        length @ ..126 => wire.push(mask | length as u8),
        length @ 126..65536 => {
            wire.push(mask | 126);
            wire.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            wire.push(mask | 127);
            wire.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    match from {
        From::Server => wire.extend_from_slice(payload),
        From::Client => {
            wire.extend_from_slice(&KEY);
            wire.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
}

/// Returns `count` equal messages, each in one frame.
#[must_use]
pub fn messages(from: From, is_text: bool, payload: &[u8], count: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..count {
        frame(&mut wire, from, if is_text { 1 } else { 2 }, true, payload);
    }
    wire
}

/// Returns a text message in fragments of `each` bytes.
#[must_use]
pub fn fragments(from: From, payload: &[u8], each: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let number = payload.len().div_ceil(each);
    for (i, fragment) in payload.chunks(each).enumerate() {
        frame(&mut wire, from, u8::from(i == 0), i + 1 == number, fragment);
    }
    wire
}

/// The number of bytes that [`copy`] copies at a time.
///
/// From 4 KiB on, glibc copies with `rep movsb`, which on AMD's Zen takes 2 to 30 times as long if the destination
/// begins a few bytes further into its page than the source. That depends on where the allocator places buffers, and
/// not on the library. Copies that a library makes itself are not affected.
pub const PIECE: usize = 2 << 10;

/// Copies `from` to `to`, which has the same length, as every transport here does.
#[inline]
pub fn copy(to: &mut [u8], from: &[u8]) {
    if from.len() <= PIECE {
        return to.copy_from_slice(from);
    }
    for (to, from) in to.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
        to.copy_from_slice(from);
    }
}

/// The opening handshake of a browser, with all of its header fields.
pub const REQUEST: &[u8] = b"GET /chat?room=1 HTTP/1.1\r\n\
Host: server.example.com\r\n\
Connection: Upgrade\r\n\
Pragma: no-cache\r\n\
Cache-Control: no-cache\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
Upgrade: websocket\r\n\
Origin: http://server.example.com\r\n\
Sec-WebSocket-Version: 13\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// The value that accepts the key of [`REQUEST`] (RFC 6455 section 1.3).
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
