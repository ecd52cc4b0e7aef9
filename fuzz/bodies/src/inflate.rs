//! `inflate`: receives any bytes as compressed messages, in any pieces, under any limits, in either role. The results
//! do not depend on the pieces, nor on a scratch, nor on other connections that use it. Memory is bounded by the limits,
//! and the number of events by the number of bytes. Failures are permanent.

use std::sync::Arc;

use allocation_counter::measure;
use arbitrary::{Result, Unstructured};
use sansocket::{
    Agreement, Config, Connection, Delivery, Error, Event, MessageKind, PermessageDeflate, Role, Scratch, WindowBits,
};

use crate::drive::{self, Cuts};
use crate::limits;
use crate::wire::{BINARY, CONTINUATION, Frame, PING, TEXT};

/// An inflater, the histories, a chunk, and smaller things.
const CODECS: u64 = 160 * 1024;
/// The largest chunk.
const CHUNK_MAX: usize = 20 * 1024;
/// RSV1, as [`Frame`] has it.
const RSV1: u8 = 4;
/// "Hello" as another connection receives it.
const OTHER: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// Input: role, limits, agreement, cuts (10 bytes), then frames (see `stream`).
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let role = drive::role(u.arbitrary()?);
    let config = Arc::new(limits::receiving(u)?);
    let agreed = agreement(u.arbitrary()?);
    let cuts = Cuts::choose(u)?;
    let stream = stream(u, role)?;
    let new = || drive::connection(role, &config).with_agreement(Agreement::new().with_compression(agreed));

    let whole = outcome(&mut new(), &stream, Cuts::NONE, None);
    let pieces = outcome(&mut new(), &stream, cuts, None);
    assert_eq!(pieces, whole, "in pieces: {role:?}, {config:?}, {agreed}, {cuts:?}: {stream:x?}");
    // An inflater accepts distances beyond a smaller window that was agreed, unless another connection uses it between
    // the messages.
    if agreed.client_max_window_bits == WindowBits::MAX {
        let shared = outcome(&mut new(), &stream, cuts, Some(&mut Shared::new(role)));
        assert_eq!(shared, whole, "with a scratch: {role:?}, {config:?}, {agreed}, {cuts:?}: {stream:x?}");
    }
    check_cost(&mut new(), &config, &stream, cuts);
    Ok(())
}

fn agreement(choice: u8) -> PermessageDeflate {
    let mut agreed = PermessageDeflate::default();
    if choice % 4 == 1 {
        agreed.client_no_context_takeover = true;
        agreed.server_no_context_takeover = true;
    }
    if choice % 4 > 1 {
        let bits = WindowBits::new(8 + choice / 4 % 8).unwrap_or(WindowBits::MAX);
        agreed.client_max_window_bits = bits;
        agreed.server_max_window_bits = bits;
    }
    agreed
}

/// Makes frames from fuzz bytes: a choice, a length, and as many bytes of payload. Half of them end a message, half of
/// the messages are compressed.
fn stream(u: &mut Unstructured<'_>, role: Role) -> Result<Vec<u8>> {
    let (mut bytes, mut is_in_message) = (Vec::new(), false);
    while !u.is_empty() {
        let (choice, length) = u.arbitrary::<(u8, u8)>()?;
        let payload = u.bytes(usize::from(length).min(u.len()))?.to_vec();
        let (fin, is_compressed) = (choice % 2 == 0, choice & 2 == 0);
        let (opcode, rsv) = match choice >> 2 {
            0..=1 => (PING, 0),
            2 => (TEXT, RSV1),
            3 => (CONTINUATION, RSV1),
            _ if is_in_message => (CONTINUATION, 0),
            4..=20 => (TEXT, if is_compressed { RSV1 } else { 0 }),
            _ => (BINARY, if is_compressed { RSV1 } else { 0 }),
        };
        if opcode != PING {
            is_in_message = !fin;
        }
        let frame = Frame { fin: fin || opcode == PING, rsv, opcode, key: None, payload };
        bytes.extend(frame.to(role, [0x37, 0xfa, 0x21, 0x3d]));
    }
    Ok(bytes)
}

/// The messages, with chunks joined; the number of control frames; the error.
type Outcome = (Vec<(MessageKind, Vec<u8>)>, usize, Option<Error>);

/// A scratch, and another connection that uses it.
struct Shared {
    scratch: Scratch,
    other: Connection,
    message: Vec<u8>,
}

impl Shared {
    fn new(role: Role) -> Self {
        let agreement = Agreement::new().with_compression(PermessageDeflate::default());
        let other = drive::connection(role, &Arc::default()).with_agreement(agreement);
        let message = Frame { rsv: RSV1, ..Frame::new(BINARY, OTHER) }.to(role, [1, 2, 3, 4]);
        Self { scratch: Scratch::new(), other, message }
    }

    /// Lets the other connection receive a message.
    fn use_scratch(&mut self) {
        self.other.attach_scratch(&mut self.scratch);
        let mut count = 0;
        let received = drive::receive(&mut self.other, &mut self.message.clone(), |_| count += 1);
        assert_eq!((received, count), (Ok(()), 1));
        self.other.detach_scratch(&mut self.scratch);
    }
}

/// Receives pieces, each with the scratch, after the other connection has used it.
fn outcome(connection: &mut Connection, stream: &[u8], cuts: Cuts, mut shared: Option<&mut Shared>) -> Outcome {
    let (mut messages, mut controls, mut error) = (Vec::new(), 0, None);
    let mut message = Vec::new();
    for piece in cuts.of(&mut stream.to_vec()) {
        if let Some(shared) = &mut shared {
            shared.use_scratch();
            connection.attach_scratch(&mut shared.scratch);
        }
        let received = drive::receive(connection, piece, |event| match event {
            Event::Message(message) => messages.push((message.kind(), message.into_bytes())),
            Event::Chunk(chunk) => {
                message.extend_from_slice(&chunk.payload);
                if chunk.last {
                    messages.push((chunk.kind, std::mem::take(&mut message)));
                }
            }
            _ => controls += 1,
        });
        if let Some(shared) = &mut shared {
            connection.detach_scratch(&mut shared.scratch);
        }
        assert!(error.is_none() || error == received.clone().err(), "failure is sticky");
        error = received.err();
    }
    let is_text =
        |(kind, bytes): &(MessageKind, Vec<u8>)| *kind == MessageKind::Binary || str::from_utf8(bytes).is_ok();
    assert!(messages.iter().all(is_text), "text is not UTF-8");
    (messages, controls, error)
}

/// Checks that memory is bounded by the limit, and the number of events by that of the bytes.
fn check_cost(connection: &mut Connection, config: &Config, stream: &[u8], cuts: Cuts) {
    let mut bytes = stream.to_vec();
    let pieces = cuts.of(&mut bytes);
    let mut events = 0;
    let cost = measure(|| {
        for piece in pieces {
            let _ = drive::receive(connection, piece, |event| match event {
                Event::Message(message) => {
                    assert!(message.len() <= config.max_message_size);
                    events += 1;
                }
                Event::Chunk(chunk) => {
                    assert!(chunk.payload.len() <= CHUNK_MAX, "a chunk of {} bytes", chunk.payload.len());
                    events += 1;
                }
                _ => events += 1,
            });
        }
    });
    // a byte of DEFLATE data inflates to at most 1,032
    let inflated = config.max_message_size.min(1_032 * stream.len()) as u64;
    // while segments are joined, the message exists beside them
    let assembled = if config.delivery == Delivery::Chunks { 0 } else { 2 * inflated };
    let controls = 256 * stream.len() as u64;
    assert!(cost.bytes_max <= assembled + controls + CODECS, "{cost:?}: {config:?}");
    assert!(events <= stream.len(), "{events} events");
}
