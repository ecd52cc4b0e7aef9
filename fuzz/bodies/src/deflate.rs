//! `deflate`: whatever two connections send, in any order, with any agreement and any settings, an inflater that is
//! written from the RFC alone decodes it to the same messages. It has no byte beyond the agreed window, nor any of the
//! other connection, with which the compressors are shared.

use std::mem;
use std::num::NonZeroUsize;

use arbitrary::{Result, Unstructured};
use rand_chacha::ChaCha8Rng;
use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::SeedableRng;
use sansocket::{
    Agreement, Compress, Compression, CompressionLevel, Config, Connection, EncodedBatch, EncodedMessage, Instant,
    MemoryLevel, MessageKind, PermessageDeflate, Role, Scratch, WindowBits,
};
use sansocket_sim::strict_inflater::StrictInflater;

use crate::wire::{self, CLOSE, CONTINUATION};

/// The most bytes of a payload.
const PAYLOAD_MAX: usize = 40_000;

/// Input: the agreement, the settings of the connections and of encoded messages, and operations.
pub fn run(data: &[u8]) {
    let u = &mut Unstructured::new(data);
    // the input may end anywhere
    let _ = start(u).and_then(|mut run| run.operate(u).map(|()| run)).map(Run::finish);
}

/// Two connections on one of two scratches, or none.
struct Run {
    encoder: Config,
    ends: [End; 2],
    scratches: [Scratch; 2],
    /// The latest payload, of which others repeat parts.
    latest: Vec<u8>,
}

/// A connection, and what it must send.
struct End {
    connection: Connection,
    inflater: StrictInflater,
    role: Role,
    /// The scratch that is attached.
    attached: Option<usize>,
    /// What the connection accepted, and the peer has not decoded.
    expected: Vec<Vec<u8>>,
    is_unfinished: bool,
    /// The bytes written.
    written: Vec<u8>,
    in_flight: usize,
}

fn start(u: &mut Unstructured<'_>) -> Result<Run> {
    let mut agreed = PermessageDeflate::default();
    agreed.client_max_window_bits = window_bits(u)?;
    agreed.server_max_window_bits = window_bits(u)?;
    (agreed.client_no_context_takeover, agreed.server_no_context_takeover) = u.arbitrary()?;
    let config = settings(u)?;
    let encoder = settings(u)?;
    Ok(Run {
        ends: [Role::Client, Role::Server].map(|role| End::new(role, &config, agreed)),
        encoder,
        scratches: [Scratch::new(), Scratch::new()],
        latest: Vec::new(),
    })
}

fn window_bits(u: &mut Unstructured<'_>) -> Result<WindowBits> {
    Ok(WindowBits::new(8 + u.arbitrary::<u8>()? % 8).expect("8 to 15"))
}

fn settings(u: &mut Unstructured<'_>) -> Result<Config> {
    let mut compression = Compression::default();
    compression.level = CompressionLevel::new(u.arbitrary::<u8>()? % 10).expect("0 to 9");
    compression.memory_level = MemoryLevel::new(1 + u.arbitrary::<u8>()? % 9).expect("1 to 9");
    compression.window_bits = window_bits(u)?;
    compression.context_takeover = u.arbitrary::<u8>()? % 8 > 0;
    compression.sent_history = *u.choose(&[512, 0, 100, 32 * 1024])?;
    compression.threshold = *u.choose(&[64, 0, 1_000])?;
    let max_frame = NonZeroUsize::new(*u.choose(&[1024 * 1024, 1, 50, 4_000])?).expect("not 0");
    let limit = *u.choose(&[1024 * 1024, 1_000, 50_000])?;
    Ok(Config::default().compression(compression).max_sent_frame_payload(max_frame).max_buffered_amount(limit))
}

impl Run {
    fn operate(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        while !u.is_empty() {
            let choice = u.arbitrary::<u8>()?;
            let index = usize::from(choice >> 7);
            match choice % 8 {
                0 => {
                    let to = usize::from(u.arbitrary::<u8>()?) % 3;
                    self.attach(index, (to < 2).then_some(to));
                }
                1 | 2 => self.ends[index].write(choice % 8 == 1, usize::from(u.arbitrary::<u16>()?)),
                _ => {
                    let payload = self.payload(u)?;
                    self.ends[index].send(u, &payload, &self.encoder)?;
                    self.latest = payload;
                }
            }
        }
        Ok(())
    }

    fn attach(&mut self, index: usize, to: Option<usize>) {
        let End { connection, attached, .. } = &mut self.ends[index];
        if let Some(from) = mem::replace(attached, to) {
            connection.detach_scratch(&mut self.scratches[from]);
        }
        if let Some(to) = to {
            connection.attach_scratch(&mut self.scratches[to]);
        }
    }

    /// Makes a payload: bytes of the input, bytes of the latest payload, or both many times.
    fn payload(&self, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let (begin, take, repeat) = u.arbitrary::<(u16, u8, u8)>()?;
        let latest = self.latest.get(usize::from(begin)..).unwrap_or_default();
        let mut payload = latest.iter().take(usize::from(take) * 8).copied().collect::<Vec<_>>();
        payload.extend(u.bytes(usize::from(repeat & 0x1F).min(u.len()))?);
        if repeat >= 0xE0 {
            payload = payload.repeat(usize::from(repeat));
        }
        payload.truncate(PAYLOAD_MAX);
        Ok(payload)
    }

    /// Writes everything that remains, and decodes it.
    fn finish(mut self) {
        for end in &mut self.ends {
            end.write(true, usize::MAX);
            assert_eq!((end.connection.buffered_amount(), end.connection.output().remaining()), (0, 0));
            end.decode();
        }
    }
}

impl End {
    fn new(role: Role, config: &Config, agreed: PermessageDeflate) -> Self {
        let (connection, bits, no_takeover) = match role {
            Role::Client => (
                Connection::client(config.clone(), ChaCha8Rng::seed_from_u64(1), Instant::EPOCH),
                agreed.client_max_window_bits,
                agreed.client_no_context_takeover,
            ),
            Role::Server => (
                Connection::server(config.clone(), Instant::EPOCH),
                agreed.server_max_window_bits,
                agreed.server_no_context_takeover,
            ),
        };
        Self {
            connection: connection.with_agreement(Agreement::new().with_compression(agreed)),
            inflater: StrictInflater::new(bits.get(), !no_takeover),
            role,
            attached: None,
            expected: Vec::new(),
            is_unfinished: false,
            written: Vec::new(),
            in_flight: 0,
        }
    }

    /// Sends a payload in one of the ways. If it is refused, nothing may change.
    fn send(&mut self, u: &mut Unstructured<'_>, payload: &[u8], encoder: &Config) -> Result<()> {
        let (way, compress) = u.arbitrary::<(u8, u8)>()?;
        let compress = [Compress::AsConfigured, Compress::Yes, Compress::No][usize::from(compress) % 3];
        let (kind, connection) = (MessageKind::Binary, &mut self.connection);
        let before = connection.buffered_amount();
        let encode = |payload: &[u8]| EncodedMessage::new_with(payload, compress, encoder);
        let accepted = match way % 6 {
            0 => connection.send_with(payload, compress).is_ok(),
            1 => connection.send_with(payload.to_vec(), compress).is_ok(),
            2 => connection.send_shared_with(kind, Bytes::copy_from_slice(payload), compress).is_ok(),
            3 => connection.send_encoded(&encode(payload)).is_ok(),
            4 => {
                let (first, second) = payload.split_at(payload.len() / 3);
                let is_accepted = connection.send_batch(&EncodedBatch::new(&[encode(first), encode(second)])).is_ok();
                if is_accepted {
                    self.expected.extend([first.to_vec(), second.to_vec()]);
                }
                assert_eq!(connection.buffered_amount() - before, if is_accepted { payload.len() } else { 0 });
                return Ok(());
            }
            _ => {
                let last = way >= 0x80;
                let is_accepted = connection.send_fragment_with(kind, payload, last, compress).is_ok();
                if is_accepted && mem::replace(&mut self.is_unfinished, !last) {
                    self.expected.last_mut().expect("an unfinished message").extend_from_slice(payload);
                } else if is_accepted {
                    self.expected.push(payload.to_vec());
                }
                assert_eq!(connection.buffered_amount() - before, if is_accepted { payload.len() } else { 0 });
                return Ok(());
            }
        };
        assert_eq!(connection.buffered_amount() - before, if accepted { payload.len() } else { 0 });
        if accepted {
            self.expected.push(payload.to_vec());
        }
        Ok(())
    }

    /// Writes up to `max` bytes, which are delivered at once, or when nothing else is.
    fn write(&mut self, delivers: bool, max: usize) {
        let output = self.connection.output();
        if delivers {
            output.delivered(mem::take(&mut self.in_flight));
            let mut count = max.min(output.remaining());
            while count > 0 {
                let step = count.min(output.chunk().len());
                self.written.extend_from_slice(&output.chunk()[..step]);
                output.advance(step);
                count -= step;
            }
        } else {
            let bytes = output.take_bytes(max);
            self.in_flight += bytes.len();
            self.written.extend_from_slice(&bytes);
        }
    }

    /// Decodes all that was written, as the peer does.
    fn decode(&mut self) {
        let (mut message, mut is_compressed) = (Vec::new(), false);
        let is_unfinished = mem::take(&mut self.is_unfinished);
        let mut expected = mem::take(&mut self.expected).into_iter();
        for frame in wire::frames(&self.written) {
            assert!(frame.opcode < CLOSE && frame.rsv & 3 == 0 && frame.key.is_some() == (self.role == Role::Client));
            assert!(frame.rsv == 0 || frame.opcode != CONTINUATION, "6.1: RSV1 is set on the first fragment only");
            is_compressed = frame.rsv == 4 || frame.opcode == CONTINUATION && is_compressed;
            message.extend(frame.payload);
            if frame.fin {
                let wire = mem::take(&mut message);
                let payload = if is_compressed {
                    self.inflater.inflate(&wire).unwrap_or_else(|fault| panic!("{fault}")).payload
                } else {
                    wire
                };
                assert!(Some(payload) == expected.next(), "the message sent and the one accepted");
            }
        }
        assert_eq!(expected.len(), usize::from(is_unfinished), "messages that were not sent");
    }
}
