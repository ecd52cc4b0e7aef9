//! A turn of one connection: read, dispatch the events, write, and end TCP as the driver says. Written once, for a
//! [`Socket`] alone and for the connections of an event loop.

use bytes::Buf as _;
use sansocket_drive::Action;
use sansocket_drive::sansocket::{Event, Input, Instant, Message};

use crate::Error;
use crate::socket::{FLOOD_BYTES, FLOOD_READ, Next, Read, Socket};

/// Reads in one turn, so that a peer that sends without end does not starve others. With the default buffer they hold a
/// message of 1 MiB, which is read to its end while its beginning is in the processor's cache.
const READS: usize = 18;
/// How often a turn goes on because writing has caused events. There are fewer causes than this.
const ROUNDS: usize = 8;

/// A socket, and where its events go. Events borrow the buffer that was read into, never the socket.
pub(crate) trait Driven {
    fn socket(&mut self) -> &mut Socket;

    fn dispatch(&mut self, event: Result<Event<'_>, Error>);

    /// The same, for the most frequent event.
    #[inline]
    fn dispatch_message(&mut self, message: Message<'_>) {
        self.dispatch(Ok(Event::Message(message)));
    }

    /// Whether reading of the socket may be paused, after an event was dispatched. To ask the socket itself after each
    /// message would cost 16 instructions.
    fn may_be_paused(&self) -> bool;
}

/// Reads what has arrived, and dispatches its events: one buffer, and then others until there is an event. The caller then
/// finishes the turn.
#[inline(always)]
pub(crate) fn read(driven: &mut impl Driven, buffer: &mut [u8], now: Instant) {
    let mut socket = driven.socket();
    if socket.needs_preparation() {
        if prepare(driven, now) {
            return;
        }
        socket = driven.socket();
    }
    if socket.is_flooded() {
        return read_flood(driven, buffer, now);
    }
    match socket.read(buffer, now) {
        Read::Bytes(count) if count < FLOOD_BYTES => _ = receive(driven, &mut buffer[..count], now),
        Read::Bytes(count) => return read_much(driven, buffer, count, now),
        Read::Nothing => {}
        Read::Ended => return dispatch_pending(driven, now),
    }
    socket = driven.socket();
    if socket.may_hold_more() {
        read_more(driven, buffer, READS, now);
    }
}

/// What comes before reading. Returns whether it yielded events, after which the turn reads no more.
#[inline(never)]
fn prepare(driven: &mut impl Driven, now: Instant) -> bool {
    let socket = driven.socket();
    socket.prepare(now);
    let Some(mut bytes) = socket.take_unreceived() else { return false };
    let (events, rest) = receive_until_pause(driven, &mut bytes, now);
    let socket = driven.socket();
    if rest > 0 {
        bytes.advance(bytes.len() - rest);
        socket.keep_unreceived(bytes);
    }
    socket.begins_flood(events);
    events > 0
}

/// The rest of a turn whose first read gave so many bytes that the peer may flood.
#[inline(never)]
fn read_much(driven: &mut impl Driven, buffer: &mut [u8], count: usize, now: Instant) {
    let events = receive(driven, &mut buffer[..count], now);
    let reads = if driven.socket().begins_flood(events) { 1 } else { READS };
    if driven.socket().may_hold_more() {
        read_more(driven, buffer, reads, now);
    }
}

/// One short read, which bounds the events of a peer that sends many small frames.
#[inline(never)]
fn read_flood(driven: &mut impl Driven, buffer: &mut [u8], now: Instant) {
    let length = buffer.len().min(FLOOD_READ);
    match driven.socket().read(&mut buffer[..length], now) {
        Read::Bytes(count) => {
            let events = receive(driven, &mut buffer[..count], now);
            driven.socket().go_on_flooded(events);
        }
        Read::Nothing => {}
        Read::Ended => return dispatch_pending(driven, now),
    }
    if driven.socket().may_hold_more() {
        read_more(driven, buffer, 1, now);
    }
}

/// The reads after the first.
#[inline(never)]
fn read_more(driven: &mut impl Driven, buffer: &mut [u8], reads: usize, now: Instant) {
    for _ in 1..reads {
        match driven.socket().read(buffer, now) {
            Read::Bytes(count) => {
                let events = receive(driven, &mut buffer[..count], now);
                if events > 0 {
                    driven.socket().begins_flood(events);
                    break;
                }
            }
            Read::Nothing => break,
            Read::Ended => return dispatch_pending(driven, now),
        }
    }
    if driven.socket().is_lost() {
        // a failed write lets the peer's last bytes be read, though they were held back
        driven.socket().flush(now);
        if driven.socket().is_lost() {
            driven.socket().lose(now);
            dispatch_pending(driven, now);
        }
    }
}

/// Dispatches events that no received byte causes: a deadline, the end of the stream, frames that came early.
#[inline(never)]
pub(crate) fn dispatch_pending(driven: &mut impl Driven, now: Instant) {
    receive(driven, &mut [], now);
}

/// Receives bytes, and dispatches their events. If a handler pauses reading, the bytes that follow are kept until it is
/// resumed. Returns how many events there were.
#[inline(always)]
fn receive(driven: &mut impl Driven, bytes: &mut [u8], now: Instant) -> usize {
    let (events, rest) = receive_until_pause(driven, bytes, now);
    if rest > 0 {
        driven.socket().keep_unreceived(bytes[bytes.len() - rest..].into());
    }
    events
}

/// Returns how many events there were, and how many bytes were not received because a handler paused reading.
#[inline(always)]
fn receive_until_pause(driven: &mut impl Driven, bytes: &mut [u8], now: Instant) -> (usize, usize) {
    let mut input = Input::new(bytes);
    let mut events = 0;
    loop {
        match driven.socket().driver.receive(&mut input, now) {
            // by itself: it saves 20 instructions a message
            Ok(Some(Event::Message(message))) => driven.dispatch_message(message),
            received => match driven.socket().driver.resolve(received, now) {
                Ok(None) => return (events, 0),
                Ok(Some(event)) => driven.dispatch(Ok(event)),
                Err(error) => driven.dispatch(Err(error)),
            },
        }
        events += 1;
        if driven.may_be_paused() && !input.is_empty() && driven.socket().is_reading_paused() {
            let rest = input.remaining().len();
            input.discard();
            return (events, rest);
        }
    }
}

/// Handles a deadline that has come; the caller then finishes the turn. Without a buffer, the caller has read before.
pub(crate) fn handle_timeout(driven: &mut impl Driven, buffer: Option<&mut [u8]>, now: Instant) {
    // the kernel may take bytes, or have some, though it has not said so
    driven.socket().retry_write(now);
    if let Some(buffer) = buffer {
        driven.socket().retry_read();
        read(driven, buffer, now);
    }
    driven.socket().timeout(now);
    dispatch_pending(driven, now);
}

/// Writes what is pending, does to TCP what the driver says, and returns what the socket needs next.
pub(crate) fn finish(driven: &mut impl Driven, now: Instant) -> Next {
    driven.socket().flush(now);
    finish_written(driven, now)
}

/// The same, after a flush.
pub(crate) fn finish_written(driven: &mut impl Driven, now: Instant) -> Next {
    for _ in 0..ROUNDS {
        match driven.socket().driver.next_action() {
            Action::Wait { .. } => return driven.socket().next(),
            Action::Again => {
                dispatch_pending(driven, now);
                driven.socket().flush(now);
            }
            Action::ShutdownWrite => driven.socket().shutdown_write(),
            Action::Close => {
                driven.socket().close();
                return Next::End;
            }
            Action::Abort => return Next::End,
        }
    }
    Next::Again
}
