//! A program without std: `#![no_std]`, `#![no_main]`, a panic handler, and an allocator that needs no std. A server
//! accepts a client and echoes one message. The exit status is 0 if the echo is right.

#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;

use dlmalloc::GlobalDlmalloc;
use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Event, Input, Instant, WebSocket};

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

// SAFETY: this is the only `main`, and the C runtime calls it.
#[unsafe(no_mangle)]
pub extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    if echoes() { 0 } else { 1 }
}

/// Accepts the request of RFC 6455 section 1.3, and echoes the masked "Hello" of section 5.7. Returns whether the
/// output is right.
fn echoes() -> bool {
    let now = Instant::EPOCH;
    let mut server = WebSocket::server(Config::default(), now);
    let mut bytes = *b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
        \x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let mut input = Input::new(&mut bytes);
    while let Ok(Some(event)) = server.receive(&mut input, now) {
        let is_done = match event {
            Event::Request(_) => server.accept(Accept::new(), now).is_ok(),
            Event::Message(message) => server.send(message).is_ok(),
            _ => true,
        };
        if !is_done {
            return false;
        }
    }
    let output = server.output();
    let sent = output.chunk();
    sent.starts_with(b"HTTP/1.1 101 ") && sent.ends_with(b"\r\n\r\n\x81\x05Hello")
}
