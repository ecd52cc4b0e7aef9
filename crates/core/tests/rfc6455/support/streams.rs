//! Strategies that generate configurations and streams of frames.

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use sansocket::{Config, Delivery, Role};

use super::{BOTH, CLOSE, CONTINUATION, Frame};

/// Configurations with any limits and durations: small, large, zero, and the greatest.
pub(crate) fn configs() -> impl Strategy<Value = Config> {
    let amount = || prop_oneof![Just(0), 1_usize..4, 4_usize..300, Just(usize::MAX), Just(1 << 20)];
    let duration = || prop_oneof![Just(0), 1_u64..100, Just(u64::MAX)].prop_map(Duration::from_nanos);
    let limits = (amount(), amount(), amount(), amount(), amount(), amount(), 0_u32..5, any::<bool>());
    let times = (duration(), duration(), proptest::option::of(duration()));
    (limits, times).prop_map(|(limits, (closing, pong, interval))| {
        let (frame, message, buffer, mark, controls, sent_frame, empty, chunks) = limits;
        let mut config = Config::default();
        config.max_frame_payload = Some(frame as u64).filter(|&frame| frame != 1 << 20);
        config.max_message_size = message;
        config.max_buffered_amount = buffer;
        config.high_water_mark = mark;
        config.max_pending_controls = controls;
        config.max_sent_frame_payload = NonZeroUsize::new(sent_frame).unwrap_or(NonZeroUsize::MIN);
        config.max_empty_fragments = empty;
        config.delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        config.closing_timeout = closing;
        config.pong_timeout = pong;
        config.keepalive = interval.map_or(sansocket::Keepalive::Off, sansocket::Keepalive::Every);
        config
    })
}

/// Payloads: text with characters of one to four bytes, any bytes, or long ASCII.
pub(crate) fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-zé€𝄞]{0,40}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
        (0_usize..400).prop_map(|length| vec![b'x'; length]),
    ]
}

fn control() -> impl Strategy<Value = Frame> {
    (any::<bool>(), 0_usize..126).prop_map(|(ping, length)| match ping {
        true => Frame::ping(vec![b'?'; length]),
        false => Frame::pong(vec![b'!'; length]),
    })
}

/// The frames of a message that is cut anywhere, some with control frames between them.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let text = "[a-zé€𝄞]{0,60}".prop_map(|text| (Frame::text(""), text.into_bytes()));
    let binary = payloads().prop_map(|bytes| (Frame::binary(""), bytes));
    let cuts = proptest::collection::vec((any::<proptest::sample::Index>(), proptest::option::of(control())), 0..4);
    (prop_oneof![text, binary], cuts).prop_map(|((first, payload), cuts)| {
        let mut cuts: Vec<_> = cuts.into_iter().map(|(cut, control)| (cut.index(payload.len() + 1), control)).collect();
        cuts.sort_by_key(|(cut, _)| *cut);
        let mut frames = vec![];
        let mut begin = 0;
        let mut opcode = first.opcode;
        for (cut, control) in cuts {
            frames.push(Frame::new(opcode, &payload[begin..cut]).fin(false));
            frames.extend(control);
            (begin, opcode) = (cut, CONTINUATION);
        }
        frames.push(Frame::new(opcode, &payload[begin..]));
        frames
    })
}

/// A frame that is often invalid, or ends the connection.
fn odd() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (0_u8..16, any::<bool>(), payloads()).prop_map(|(opcode, fin, payload)| Frame::new(opcode, payload).fin(fin)),
        (payloads(), 0_u8..8).prop_map(|(payload, rsv)| Frame::binary(payload).rsv(rsv)),
        any::<u64>().prop_map(|length| Frame::binary("some").claiming(length >> (length % 64))),
        payloads().prop_map(|payload| Frame::text(payload).length_in_64_bits()),
        payloads().prop_map(|payload| Frame::text(payload).masked([1, 2, 3, 4])),
        (0_u16..6_000, "[a-z]{0,10}").prop_map(|(code, reason)| Frame::close(code, &reason)),
        (3_000_u16..5_000, "[a-z]{0,10}").prop_map(|(code, reason)| Frame::close(code, &reason)),
        Just(Frame::new(CLOSE, "")),
    ]
}

/// Encoded frames to an endpoint with this role, masked with any key.
fn frames(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let frames = prop_oneof![
        8 => message(),
        3 => control().prop_map(|frame| vec![frame]),
        1 => odd().prop_map(|frame| vec![frame]),
    ];
    (frames, any::<[u8; 4]>()).prop_map(move |(frames, key)| {
        let masked = |frame: Frame| if role == Role::Server { frame.masked(key) } else { frame };
        frames.into_iter().flat_map(|frame| masked(frame).bytes()).collect()
    })
}

/// A stream of frames, sometimes with a damaged byte, or random bytes.
pub(crate) fn streams(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let frames = proptest::collection::vec(frames(role), 0..12).prop_map(|frames| frames.concat());
    let damage = proptest::option::weighted(0.2, (any::<proptest::sample::Index>(), any::<u8>()));
    let damaged = (frames, damage).prop_map(|(mut stream, damage)| {
        if let Some((index, byte)) = damage.filter(|_| !stream.is_empty()) {
            let index = index.index(stream.len());
            stream[index] = byte;
        }
        stream
    });
    prop_oneof![9 => damaged, 1 => proptest::collection::vec(any::<u8>(), 0..60)]
}

pub(crate) fn roles_and_streams() -> impl Strategy<Value = (Role, Vec<u8>)> {
    proptest::sample::select(&BOTH[..]).prop_flat_map(|role| (Just(role), streams(role)))
}
