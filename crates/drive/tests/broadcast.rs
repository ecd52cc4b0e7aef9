//! Publications to connections that agreed to permessage-deflate: what is compressed once is decoded by every member.

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sansocket::bytes::Buf;
use sansocket::{
    Agreement, Compress, Compression, Config, Connection, EncodedMessage, Event, Input, Instant, PermessageDeflate,
    Scratch, SendError, WebSocket, WindowBits,
};
use sansocket_drive::{Group, Publications, SlowMembers};
use strict_inflater::StrictInflater;

#[expect(dead_code, unreachable_pub, reason = "the simulation and the fuzz targets use the same file")]
#[path = "../../sim/src/strict_inflater.rs"]
mod strict_inflater;

const NOW: Instant = Instant::EPOCH;
const MEMBERS: u32 = 30;

fn below(rng: &mut ChaCha8Rng, count: u32) -> u32 {
    rng.next_u32() % count
}

/// A trade of about 185 bytes. The number makes each one different.
fn trade(rng: &mut ChaCha8Rng, number: usize) -> String {
    let symbol = ["BTC-USD", "ETH-USD", "SOL-EUR", "ADA-GBP"][below(rng, 4) as usize];
    let side = ["buy", "sell"][below(rng, 2) as usize];
    let (price, whole, part) = (20_000 + below(rng, 9_000), below(rng, 10), rng.next_u32() % 100_000_000);
    let (maker, taker, millis) = (rng.next_u32(), rng.next_u32(), below(rng, 1_000));
    format!(
        "{{\"type\":\"trade\",\"symbol\":\"{symbol}\",\"side\":\"{side}\",\"price\":\"{price}.{whole}\",\
         \"size\":\"{whole}.{part:08}\",\"trade_id\":{number:08},\"maker\":\"{maker:08x}\",\"taker\":\"{taker:08x}\",\
         \"time\":\"2024-05-01T12:00:00.{millis:03}Z\"}}"
    )
}

/// A server's connection, its client, and an inflater that has no byte beyond the agreed window.
struct Member {
    server: WebSocket,
    client: Connection,
    strict: StrictInflater,
    /// The messages for the client, in order. `true` marks a message that may be missing.
    expected: VecDeque<(String, bool)>,
    /// The bytes of compressed messages on the wire, and the number of messages.
    wire: (usize, usize),
}

impl Member {
    fn new(config: &Config, agreed: Option<PermessageDeflate>) -> Self {
        let agreement = agreed.map_or_else(Agreement::new, |agreed| Agreement::new().with_compression(agreed));
        let server = Connection::server(config.clone(), NOW).with_agreement(agreement.clone());
        let client = Connection::client(config.clone(), ChaCha8Rng::seed_from_u64(1), NOW).with_agreement(agreement);
        let (bits, takeover) =
            agreed.map_or((15, true), |it| (it.server_max_window_bits.get(), !it.server_no_context_takeover));
        let (server, strict) = (WebSocket::opened(server, []), StrictInflater::new(bits, takeover));
        Self { server, client, strict, expected: VecDeque::new(), wire: (0, 0) }
    }

    /// Passes all output to the client and to the strict inflater, and compares the messages.
    fn deliver(&mut self) {
        let output = self.server.output();
        let mut bytes = output.copy_to_bytes(output.remaining()).to_vec();
        let strict = self.decode(&bytes);
        let (mut input, mut received) = (Input::new(&mut bytes), Vec::new());
        while let Some(event) = self.client.receive(&mut input, NOW).unwrap() {
            if let Event::Message(message) = event {
                received.push(message.into_bytes());
            }
        }
        assert!(strict == received, "the library and the strict inflater");
        self.wire.1 += received.len();
        for message in received {
            while self.expected.front().is_some_and(|(text, may_miss)| *may_miss && text.as_bytes() != message) {
                self.expected.pop_front();
            }
            let (text, _) = self.expected.pop_front().expect("a message that was sent");
            assert_eq!(String::from_utf8(message).unwrap(), text);
        }
        assert!(self.expected.drain(..).all(|(_, may_miss)| may_miss));
    }

    /// Decodes unmasked and unfragmented frames.
    fn decode(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let (first, second) = (bytes.get_u8(), bytes.get_u8());
            let len = if second == 126 { bytes.get_u16().into() } else { usize::from(second) };
            let (payload, rest) = bytes.split_at(len);
            self.wire.0 += len;
            bytes = rest;
            messages.push(match first & 0x40 {
                0 => payload.to_vec(),
                _ => self.strict.inflate(payload).unwrap_or_else(|fault| panic!("{fault}")).payload,
            });
        }
        messages
    }
}

/// Sends the members what was published.
fn publish_all(publications: &mut Publications, members: &mut [Member], scratch: &mut Scratch) {
    publications.seal();
    while let Some(index) = publications.next_receiver() {
        take(publications, index, &mut members[index as usize], scratch, false);
    }
}

fn take(publications: &mut Publications, index: u32, member: &mut Member, scratch: &mut Scratch, is_slow: bool) {
    // a connection without a scratch creates codecs that it does not share
    if !index.is_multiple_of(4) {
        member.server.attach_scratch(scratch);
    }
    match publications.take(index, &mut member.server, is_slow, NOW) {
        Ok(()) | Err(SendError::BufferFull { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    if !index.is_multiple_of(4) {
        member.server.detach_scratch(scratch);
    }
}

fn agreed(bits: u8, takeover: bool) -> PermessageDeflate {
    let mut agreed = PermessageDeflate::default();
    agreed.server_max_window_bits = WindowBits::new(bits).unwrap();
    agreed.server_no_context_takeover = !takeover;
    agreed
}

/// Members with all kinds of agreements and settings join and leave, are slow, and are sent other messages between.
#[test]
fn every_member_decodes_what_is_published() {
    for seed in 0..4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let compression = Compression::default().sent_history([512, 0, 100, 4096][seed as usize]);
        let config = Config::default().compression(compression.clone());
        let without = Config::default().compression(compression.context_takeover(false));
        let full = config.clone().max_buffered_amount(600);
        let mut members = Vec::new();
        for index in 0..MEMBERS {
            let agreement = match index % 10 {
                0 => None,
                1 => Some(agreed(9, true)),
                2 => Some(agreed(12, false)),
                3 => Some(agreed(15, false)),
                4 => Some(agreed(15, true)),
                _ => Some(agreed(12, true)),
            };
            let config = match index % 7 {
                0 => &without,
                1 => &full,
                _ => &config,
            };
            members.push(Member::new(config, agreement));
        }
        let groups = [SlowMembers::Queue, SlowMembers::Skip].map(Group::with_slow_members);
        let (mut publications, mut scratch) = (Publications::new(0), Scratch::new());
        (0..MEMBERS).for_each(|index| publications.insert(index));
        let mut number = 0;
        while number < 500 {
            for _ in 0..=below(&mut rng, 4) {
                let (group, mut text) = (&groups[(below(&mut rng, 8) == 0) as usize], trade(&mut rng, number));
                let compress = match below(&mut rng, 20) {
                    0 => Compress::No,
                    1 => Compress::Yes,
                    _ => Compress::AsConfigured,
                };
                match below(&mut rng, 20) {
                    0 => text.truncate(10),
                    // noise
                    1 => text = (0..100).map(|_| char::from(b' ' + below(&mut rng, 94) as u8)).collect(),
                    _ => {}
                }
                number += 1;
                let receivers = if below(&mut rng, 10) == 0 {
                    publications.publish_to_all(EncodedMessage::new_with(&text, compress, &config));
                    (0..MEMBERS).collect()
                } else {
                    publications.publish(group, EncodedMessage::new_with(&text, compress, &config));
                    publications.members(group).to_vec()
                };
                for index in receivers {
                    let may_miss = index % 7 == 1 || group.slow_members() == SlowMembers::Skip;
                    members[index as usize].expected.push_back((text.clone(), may_miss));
                }
                if below(&mut rng, 6) == 0 {
                    publications.seal();
                }
            }
            for _ in 0..below(&mut rng, 3) {
                let index = below(&mut rng, MEMBERS);
                let member = &mut members[index as usize];
                take(&mut publications, index, member, &mut scratch, below(&mut rng, 3) == 0);
                let group = &groups[below(&mut rng, 2) as usize];
                match below(&mut rng, 4) {
                    0 => _ = publications.leave(index, group),
                    1 | 2 => _ = publications.join(index, group),
                    _ => {
                        let text = trade(&mut rng, number);
                        if member.server.send_with(&text, Compress::Yes).is_ok() {
                            member.expected.push_back((text, false));
                        }
                    }
                }
            }
            publish_all(&mut publications, &mut members, &mut scratch);
            members.iter_mut().for_each(Member::deliver);
        }
    }
}

/// Members that get nothing else take about half the bytes of those without context takeover.
#[test]
fn what_is_published_to_a_group_is_compressed_against_what_was_published_before() {
    let config = Config::default().compression(Compression::default());
    let agreements = [Some(agreed(12, true)), Some(agreed(12, false)), None];
    let mut members: Vec<_> = agreements.into_iter().map(|agreed| Member::new(&config, agreed)).collect();
    let (mut publications, mut scratch, room) = (Publications::new(0), Scratch::new(), Group::new());
    for index in 0..3 {
        publications.insert(index);
        publications.join(index, &room);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for number in 0..2_000 {
        let text = trade(&mut rng, number);
        publications.publish(&room, EncodedMessage::new(&text, &config));
        members.iter_mut().for_each(|member| member.expected.push_back((text.clone(), false)));
        publish_all(&mut publications, &mut members, &mut scratch);
        members.iter_mut().for_each(Member::deliver);
    }
    let [warm, cold, plain] = [0, 1, 2].map(|index| members[index].wire.0 / members[index].wire.1);
    println!("bytes per message: {warm} warm, {cold} cold, {plain} plain");
    assert!(warm * 10 < cold * 7 && cold < plain, "{warm} {cold} {plain}");
}
