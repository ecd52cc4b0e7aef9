//! What the benches feed to everyone: payloads, and frames as the peer's end would have sent them.

/// Masks every frame of a client's. Which key it is makes no difference to anyone.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Who sent the frames: those of a client are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum From {
    /// To a server.
    Client,
    /// To a client.
    Server,
}

/// A payload of this many bytes: ASCII, so that it can be text as well.
#[must_use]
pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| b' ' + (i * 7 % 95) as u8).collect()
}

/// A frame: its opcode, whether it is the last of its message, and its payload.
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

/// The same message this many times, each in one frame.
#[must_use]
pub fn messages(from: From, is_text: bool, payload: &[u8], count: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..count {
        frame(&mut wire, from, if is_text { 1 } else { 2 }, true, payload);
    }
    wire
}

/// A text message in fragments of this many bytes.
#[must_use]
pub fn fragments(from: From, payload: &[u8], each: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let number = payload.len().div_ceil(each);
    for (i, fragment) in payload.chunks(each).enumerate() {
        frame(&mut wire, from, u8::from(i == 0), i + 1 == number, fragment);
    }
    wire
}

/// Bytes that [`copy`] copies at a time.
///
/// From 4 KiB on, glibc leaves a copy to `rep movsb`, which on AMD's Zen takes 2 to 30 times as long where the destination
/// lies a few bytes further into its page than the source. Who is struck by that is decided by where the allocator has put
/// buffers, which is no property of a library. What libraries copy themselves is theirs.
pub const PIECE: usize = 2 << 10;

/// Copies as a transport does: the same for everyone. `to` is as long as `from`.
#[inline]
pub fn copy(to: &mut [u8], from: &[u8]) {
    if from.len() <= PIECE {
        return to.copy_from_slice(from);
    }
    for (to, from) in to.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
        to.copy_from_slice(from);
    }
}

/// The opening handshake of a browser, with everything that one sends along.
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

/// What RFC 6455 section 1.3 has a server answer to that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
