//! `#![no_std]`, `#![no_main]`, its own panic handler, its own allocator: a server accepts a client and echoes one
//! message. Exit status 0 if the echo is right.

#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Event, Input, Instant, WebSocket};

/// Hands out a fixed arena from front to back, and takes nothing back.
struct Arena;

const SIZE: usize = 64 * 1024;
static mut MEMORY: [u8; SIZE] = [0; SIZE];
static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every block lies in `MEMORY`, is aligned as asked, and overlaps no other: `USED` only grows.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = (&raw mut MEMORY).cast::<u8>();
        let mut used = USED.load(Ordering::Relaxed);
        loop {
            let start = (base as usize + used).next_multiple_of(layout.align()) - base as usize;
            let end = start + layout.size();
            if end > SIZE {
                return ptr::null_mut();
            }
            match USED.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: `start` lies within the arena.
                Ok(_) => return unsafe { base.add(start) },
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Arena = Arena;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// The toolchain's `alloc` was compiled to unwind and names this and the next; nothing here unwinds.
// SAFETY: std, which would bring its own, is not linked.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Resume() -> ! {
    loop {}
}

// SAFETY: the C runtime calls the one `main` there is.
#[unsafe(no_mangle)]
pub extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    if echoes() { 0 } else { 1 }
}

/// The request of RFC 6455 section 1.3 is accepted, and the masked "Hello" of section 5.7 comes back unmasked.
fn echoes() -> bool {
    let now = Instant::EPOCH;
    let mut server = WebSocket::server(Config::default(), now);
    let mut bytes = *b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
        \x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let mut input = Input::new(&mut bytes);
    while let Ok(Some(event)) = server.receive(&mut input, now) {
        let done = match event {
            Event::Request(_) => server.accept(Accept::default(), now).is_ok(),
            Event::Message(message) => server.send(message).is_ok(),
            _ => true,
        };
        if !done {
            return false;
        }
    }
    let output = server.output();
    let sent = output.chunk();
    sent.starts_with(b"HTTP/1.1 101 ") && sent.ends_with(b"\r\n\r\n\x81\x05Hello")
}
