//! One connection's turn: what waits is written, what came is read and told, what that gave is written, and TCP is
//! ended as the core says. Written once, for a [`Socket`] alone and for one of an event loop's many.

use std::io;

use sansocket::{Event, Input, Instant, Message, TransportAction};

use crate::Error;
use crate::error::is_end;
use crate::socket::{FLOOD_BYTES, FLOOD_READ, Next, Read, Socket};

/// Buffers filled in one turn: a peer that sends without end lets others have theirs. They are as many, of the size that is
/// usual, as a message of 1 MiB takes, which is read to its end while the processor has its beginning at hand.
const READS: usize = 18;

/// Where a socket is, and who hears of its events. Events borrow the buffer that was read into, never the socket.
pub(crate) trait Place {
    fn socket(&mut self) -> &mut Socket;

    fn tell(&mut self, event: Result<Event<'_>, Error>);

    /// The same, for what comes most often.
    #[inline]
    fn tell_message(&mut self, message: Message<'_>) {
        self.tell(Ok(Event::Message(message)));
    }
}

/// Takes in what came: a buffer, and then others until something is told. The caller then settles.
#[inline(always)]
pub(crate) fn take_in(place: &mut impl Place, buffer: &mut [u8], now: Instant) {
    let mut socket = place.socket();
    if socket.is_connecting() || socket.has_leftover() {
        if !prepare(place, now) {
            return;
        }
        socket = place.socket();
    }
    if socket.is_flooded() {
        return take_in_flood(place, buffer, now);
    }
    match socket.read(buffer) {
        Read::Bytes(count) if count < FLOOD_BYTES => _ = receive(place, &mut buffer[..count], now),
        Read::Bytes(count) => return take_in_much(place, buffer, count, now),
        Read::Nothing => {}
        Read::End(error) => return end_of_stream(place, error, now),
    }
    if place.socket().may_hold_more() {
        take_in_more(place, buffer, READS, now);
    }
}

/// The same, if the first read gave so many bytes that the peer may flood.
#[inline(never)]
fn take_in_much(place: &mut impl Place, buffer: &mut [u8], count: usize, now: Instant) {
    let events = receive(place, &mut buffer[..count], now);
    let reads = if place.socket().begins_flood(events) { 1 } else { READS };
    if place.socket().may_hold_more() {
        take_in_more(place, buffer, reads, now);
    }
}

/// One short read, which bounds the events of a peer that sends many small frames.
#[inline(never)]
fn take_in_flood(place: &mut impl Place, buffer: &mut [u8], now: Instant) {
    let length = buffer.len().min(FLOOD_READ);
    match place.socket().read(&mut buffer[..length]) {
        Read::Bytes(count) => {
            let events = receive(place, &mut buffer[..count], now);
            place.socket().go_on_flooded(events);
        }
        Read::Nothing => {}
        Read::End(error) => return end_of_stream(place, error, now),
    }
    if place.socket().may_hold_more() {
        take_in_more(place, buffer, 1, now);
    }
}

/// The buffers behind the first.
#[inline(never)]
fn take_in_more(place: &mut impl Place, buffer: &mut [u8], reads: usize, now: Instant) {
    for _ in 1..reads {
        match place.socket().read(buffer) {
            Read::Bytes(count) => {
                let events = receive(place, &mut buffer[..count], now);
                if events > 0 {
                    place.socket().begins_flood(events);
                    break;
                }
            }
            Read::Nothing => break,
            Read::End(error) => return end_of_stream(place, error, now),
        }
    }
    if place.socket().is_lost() {
        // that what waits cannot be written lets what came be read, whatever kept it unread
        flush(place, now);
        if place.socket().is_lost() {
            end(place, Some(io::ErrorKind::ConnectionReset.into()), now);
        }
    }
}

#[inline(never)]
fn end_of_stream(place: &mut impl Place, error: Option<io::Error>, now: Instant) {
    // a peer that only half-closed is told and answered, what the core has kept included, before the connection ends
    receive_kept(place, now);
    flush(place, now);
    end(place, error, now);
}

/// What comes before reading; returns whether there is anything to read from.
#[inline(never)]
fn prepare(place: &mut impl Place, now: Instant) -> bool {
    if place.socket().ws.transport() == TransportAction::Close {
        return false;
    }
    if place.socket().is_connecting()
        && let Err(error) = place.socket().finish_connecting()
    {
        end(place, Some(error), now);
        return false;
    }
    // a peer that takes its answers may be given more to answer
    if place.socket().has_leftover() {
        flush(place, now);
    }
    true
}

/// Lets the core tell what it has kept, such as what came before a request was answered.
#[inline(never)]
pub(crate) fn receive_kept(place: &mut impl Place, now: Instant) {
    receive(place, &mut [], now);
}

/// Returns how many events there were.
#[inline(always)]
fn receive(place: &mut impl Place, bytes: &mut [u8], now: Instant) -> usize {
    let mut input = Input::new(bytes);
    let mut events = 0;
    loop {
        match place.socket().ws.receive(&mut input, now) {
            Ok(None) => return events,
            Ok(Some(Event::Message(message))) => place.tell_message(message),
            Ok(Some(event)) => place.tell(Ok(event)),
            Err(error) => {
                fail(place, error.into());
                return events + 1;
            }
        }
        events += 1;
    }
}

/// Lets a deadline that has come take effect; the caller then settles.
pub(crate) fn handle_timeout(place: &mut impl Place, now: Instant) {
    match place.socket().ws.handle_timeout(now) {
        Ok(None) => {}
        Ok(Some(event)) => place.tell(Ok(event)),
        Err(error) => fail(place, error.into()),
    }
}

/// Writes what waits, does to TCP what the core asks for, and says what comes next.
pub(crate) fn settle(place: &mut impl Place, now: Instant) -> Next {
    let written = place.socket().flush();
    settle_written(place, written, now)
}

/// The same, once what waits is written, or cannot be.
pub(crate) fn settle_written(place: &mut impl Place, written: io::Result<()>, now: Instant) -> Next {
    heed(place, written, now);
    let socket = place.socket();
    match socket.ws.transport() {
        TransportAction::Open => {}
        TransportAction::ShutdownWrite => socket.shutdown_write(),
        TransportAction::Close | TransportAction::Abort => {
            end(place, None, now);
            return Next::End;
        }
    }
    place.socket().next()
}

/// TCP has ended, was lost, or is ended by us.
pub(crate) fn end(place: &mut impl Place, error: Option<io::Error>, now: Instant) {
    if !place.socket().end_reading(error.is_some()) {
        return;
    }
    // that the peer ended it rudely is told by the Close event; anything else is an error first
    if let Some(error) = error.filter(|error| !is_end(error)) {
        fail(place, error.into());
    }
    loop {
        match place.socket().ws.receive_eof(now) {
            Ok(None) => return,
            Ok(Some(event)) => place.tell(Ok(event)),
            Err(error) => return fail(place, error.into()),
        }
    }
}

#[inline(never)]
fn flush(place: &mut impl Place, now: Instant) {
    let written = place.socket().flush();
    heed(place, written, now);
}

fn heed(place: &mut impl Place, written: io::Result<()>, now: Instant) {
    // a stream that takes nothing more may still hold what the peer said last: reading tells
    if let Err(error) = written
        && !is_end(&error)
    {
        end(place, Some(error), now);
    }
}

/// A connection fails once, whatever else goes wrong with it.
fn fail(place: &mut impl Place, error: Error) {
    if place.socket().begin_failing() {
        place.tell(Err(error));
    }
}
