//! A turn of one connection: read, dispatch the events, write, and end TCP as the driver demands. A [`Socket`] alone
//! and the connections of an event loop share this code.

use bytes::Buf as _;
use sansocket_drive::sansocket::{Event, Input, Instant, Message};
use sansocket_drive::{Action, Layer as _, LayerScratch};

use super::transfer::{FLOOD_BYTES, FLOOD_READ, ReadOutcome};
use super::{NextStep, Socket};
use crate::Error;
use crate::read_buffer::ReadBuffer;

/// Reads in one turn, so that a peer that sends without end does not starve others. With the default buffer, one turn
/// reads a message of 1 MiB to its end, while its beginning is still in the processor's cache.
const READS: usize = 18;
/// How often a turn goes on because writing has caused events. A connection has fewer such events than this.
const ROUNDS: usize = 8;

/// A socket and the receiver of its events. Events borrow the read buffer, never the socket.
pub(crate) trait Driven {
    fn socket(&mut self) -> &mut Socket;

    /// Called before the connection receives bytes or handles a deadline or the end of the stream.
    #[inline]
    fn before_receive(&mut self) {}

    fn dispatch(&mut self, event: Result<Event<'_>, Error>);

    /// Dispatches a message: the most frequent event.
    #[inline]
    fn dispatch_message(&mut self, message: Message<'_>) {
        self.dispatch(Ok(Event::Message(message)));
    }

    /// Returns whether a handler may have paused reading, or published a message: the connection must be prepared
    /// again. To ask the socket itself after each message would cost 16 instructions.
    fn is_interrupted(&self) -> bool;
}

/// Reads one buffer, and then others until a read yields an event, and dispatches the events. The caller then finishes
/// the turn.
#[inline(always)]
pub(crate) fn read(driven: &mut impl Driven, buffer: &mut ReadBuffer, now: Instant) {
    let socket = driven.socket();
    if !socket.only_reads() {
        return read_with_care(driven, buffer, now);
    }
    match socket.read_now(&mut buffer.bytes, now) {
        ReadOutcome::Bytes(count) if count < FLOOD_BYTES => _ = receive(driven, buffer, count, now),
        ReadOutcome::Bytes(count) => return read_much(driven, buffer, count, now),
        ReadOutcome::Nothing => {}
        ReadOutcome::End => return dispatch_pending(driven, now),
    }
    if driven.socket().may_read_more() {
        read_more(driven, buffer, READS, now);
    }
}

/// Reads as [`read`] does, but first does what precedes reading, and reads less from a peer that floods.
#[inline(never)]
fn read_with_care(driven: &mut impl Driven, buffer: &mut ReadBuffer, now: Instant) {
    let socket = driven.socket();
    if socket.needs_preparation() && prepare(driven, now) {
        return;
    }
    let socket = driven.socket();
    if socket.is_flooded() {
        return read_flood(driven, buffer, now);
    }
    match socket.read(&mut buffer.bytes, now) {
        ReadOutcome::Bytes(count) => return read_much(driven, buffer, count, now),
        ReadOutcome::Nothing => {}
        ReadOutcome::End => return dispatch_pending(driven, now),
    }
    if driven.socket().may_read_more() {
        read_more(driven, buffer, READS, now);
    }
}

/// Finishes connecting, flushes, and receives bytes that a pause kept. Returns whether these yielded events, after
/// which the turn reads no more.
fn prepare(driven: &mut impl Driven, now: Instant) -> bool {
    driven.socket().prepare(now);
    let Some(mut bytes) = driven.socket().take_unreceived() else { return false };
    let mut input = Input::new(&mut bytes);
    let events = receive_until_pause(driven, &mut input, now);
    let rest = input.remaining().len();
    input.discard();
    let socket = driven.socket();
    if rest > 0 {
        bytes.advance(bytes.len() - rest);
        socket.keep_unreceived(bytes);
    }
    socket.detect_flood(events);
    events > 0
}

/// Receives a first read that is long enough to be a flood, and reads more if it is none.
#[inline(never)]
fn read_much(driven: &mut impl Driven, buffer: &mut ReadBuffer, count: usize, now: Instant) {
    let events = receive(driven, buffer, count, now);
    let reads = if driven.socket().detect_flood(events) { 1 } else { READS };
    if driven.socket().may_read_more() {
        read_more(driven, buffer, reads, now);
    }
}

/// Reads once, into a part of the buffer, which bounds the events of a peer that floods.
#[inline(never)]
fn read_flood(driven: &mut impl Driven, buffer: &mut ReadBuffer, now: Instant) {
    let length = buffer.bytes.len().min(FLOOD_READ);
    match driven.socket().read(&mut buffer.bytes[..length], now) {
        ReadOutcome::Bytes(count) => {
            let events = receive(driven, buffer, count, now);
            driven.socket().detect_calm(events);
        }
        ReadOutcome::Nothing => {}
        ReadOutcome::End => return dispatch_pending(driven, now),
    }
    if driven.socket().may_read_more() {
        read_more(driven, buffer, 1, now);
    }
}

/// Does the reads after the first, until one yields an event.
#[inline(never)]
fn read_more(driven: &mut impl Driven, buffer: &mut ReadBuffer, reads: usize, now: Instant) {
    for _ in 1..reads {
        match driven.socket().read(&mut buffer.bytes, now) {
            ReadOutcome::Bytes(count) => {
                let events = receive(driven, buffer, count, now);
                if events > 0 {
                    driven.socket().detect_flood(events);
                    break;
                }
            }
            ReadOutcome::Nothing => break,
            ReadOutcome::End => return dispatch_pending(driven, now),
        }
    }
    if driven.socket().is_lost() {
        // if this write fails, the peer's last bytes are read although reading was held back
        driven.socket().flush(now);
        if driven.socket().is_lost() {
            driven.socket().report_lost(now);
            dispatch_pending(driven, now);
        }
    }
}

/// Dispatches pending events: of a deadline, of the end of the stream, of a layer that has failed, or of frames that
/// arrived before the connection opened.
#[inline(never)]
pub(crate) fn dispatch_pending(driven: &mut impl Driven, now: Instant) {
    let mut scratch = LayerScratch::new();
    let mut input = driven.socket().driver.open(&mut [], &mut scratch);
    receive_or_keep(driven, &mut input, now);
}

/// Receives the first `count` bytes of the buffer, and dispatches their events. Returns the number of events.
#[inline(always)]
fn receive(driven: &mut impl Driven, buffer: &mut ReadBuffer, count: usize, now: Instant) -> usize {
    let ReadBuffer { bytes, scratch } = buffer;
    let mut input = driven.socket().driver.open(&mut bytes[..count], scratch);
    receive_or_keep(driven, &mut input, now)
}

/// Receives bytes, and dispatches their events. If a handler pauses reading, the socket keeps the bytes that follow.
/// Returns the number of events.
#[inline(always)]
fn receive_or_keep(driven: &mut impl Driven, input: &mut Input<'_>, now: Instant) -> usize {
    let events = receive_until_pause(driven, input, now);
    if !input.is_empty() {
        driven.socket().keep_unreceived(input.remaining().into());
        input.discard();
    }
    events
}

/// Receives bytes, and dispatches their events, until the input is empty or a handler pauses reading. Returns the
/// number of events.
#[inline(always)]
fn receive_until_pause(driven: &mut impl Driven, input: &mut Input<'_>, now: Instant) -> usize {
    let mut events = 0;
    driven.before_receive();
    loop {
        let driver = &mut driven.socket().driver;
        match driver.receive(input, now) {
            // handled before `resolve`: saves 20 instructions per message
            Ok(Some(Event::Message(message))) => {
                driven.dispatch_message(message);
                // nothing else is pending, so the next `receive` would return `None`: saves 20 instructions per turn
                if input.is_empty() && driven.socket().driver.is_quiet() {
                    return events + 1;
                }
            }
            received => match driver.resolve(received, now) {
                Ok(None) => return events,
                Ok(Some(event)) => {
                    if let Event::Open(_) = event {
                        driven.socket().finish_dialing(now);
                    }
                    driven.dispatch(Ok(event));
                }
                Err(error) => match driven.socket().opening_failed(error, now) {
                    Some(error) => driven.dispatch(Err(error)),
                    // the connection to which the rest belongs is gone
                    None => {
                        input.discard();
                        return events;
                    }
                },
            },
        }
        events += 1;
        if driven.is_interrupted() {
            driven.before_receive();
            if !input.is_empty() && driven.socket().is_reading_paused() {
                return events;
            }
        }
    }
}

/// Handles a deadline that has come; the caller then finishes the turn. A caller that passes no buffer has read before.
pub(crate) fn handle_timeout(driven: &mut impl Driven, buffer: Option<&mut ReadBuffer>, now: Instant) {
    // the kernel may take bytes, or have some, although mio has not reported it
    driven.socket().retry_write(now);
    if let Some(buffer) = buffer {
        driven.socket().retry_read();
        read(driven, buffer, now);
    }
    driven.before_receive();
    driven.socket().timeout(now);
    dispatch_pending(driven, now);
}

/// Writes pending output, and finishes the turn as [`finish_written`] does.
pub(crate) fn finish(driven: &mut impl Driven, now: Instant) -> NextStep {
    driven.socket().flush(now);
    finish_written(driven, now)
}

/// Ends TCP, or a direction of it, if the driver demands it. Returns what the owner of the socket must do next. The
/// caller has flushed.
pub(crate) fn finish_written(driven: &mut impl Driven, now: Instant) -> NextStep {
    for _ in 0..ROUNDS {
        match driven.socket().driver.next_action() {
            Action::Wait { .. } => return driven.socket().next_step(),
            Action::Again => {
                receive_kept_before_end(driven, now);
                dispatch_pending(driven, now);
                driven.socket().flush(now);
            }
            Action::ShutdownWrite => driven.socket().shutdown_write(),
            Action::Close => {
                driven.socket().close();
                return NextStep::End;
            }
            Action::Abort => return NextStep::End,
        }
    }
    NextStep::Again
}

/// Receives bytes that a pause kept, if the stream has ended or failed within TLS behind them. The pause is over then.
#[inline(always)]
fn receive_kept_before_end(driven: &mut impl Driven, now: Instant) {
    let socket = driven.socket();
    if socket.driver.layer().is_plain() {
        return;
    }
    while driven.socket().ends_behind_kept() {
        driven.socket().end_pause();
        prepare(driven, now);
    }
}
