//! The random configuration of a connection.

use std::num::NonZeroUsize;
use std::time::Duration;

use sansocket::{
    Compression, CompressionLevel, Config, DeflateOffer, Delivery, MemoryLevel, PermessageDeflate, WindowBits,
};

use crate::choices::Choices;

/// One millisecond, in nanoseconds.
pub(crate) const MILLISECOND: u64 = 1_000_000;

fn milliseconds(choices: &mut Choices<'_>, from: &[u64]) -> Duration {
    Duration::from_millis(choices.pick(from)) + Duration::from_nanos(choices.below(1000) as u64)
}

fn bits(choices: &mut Choices<'_>) -> WindowBits {
    WindowBits::new(choices.between(8, 15) as u8).expect("a valid window")
}

/// Returns what a handshake may agree about compression.
pub(crate) fn agreement(choices: &mut Choices<'_>) -> Option<PermessageDeflate> {
    let agreed = PermessageDeflate::default()
        .server_no_context_takeover(choices.once_in(3))
        .client_no_context_takeover(choices.once_in(3))
        .server_max_window_bits(bits(choices))
        .client_max_window_bits(bits(choices));
    (!choices.once_in(4)).then_some(agreed)
}

/// Returns settings of compression, or none.
pub(crate) fn compression(choices: &mut Choices<'_>) -> Option<Compression> {
    let (window_bits, peer_window_bits, offered) = (bits(choices), bits(choices), bits(choices));
    let offer = DeflateOffer::default()
        .server_no_context_takeover(choices.once_in(3))
        .client_no_context_takeover(choices.once_in(3))
        .server_max_window_bits(choices.once_in(2).then_some(offered))
        .client_max_window_bits(choices.pick(&[Some(WindowBits::MAX), Some(window_bits), None]));
    let random = Compression::default()
        .level(CompressionLevel::new(choices.below(10) as u8).expect("a valid level"))
        .memory_level(MemoryLevel::new(choices.between(1, 9) as u8).expect("a valid level"))
        .window_bits(window_bits)
        .peer_window_bits(peer_window_bits)
        .context_takeover(!choices.once_in(3))
        .peer_context_takeover(!choices.once_in(3))
        .sent_history(choices.pick(&[512, 0, 1, 300, 40_000]))
        .threshold(choices.pick(&[64, 0, 1, 1000]))
        .offers(choices.pick(&[[].as_slice(), &[offer], &[offer, DeflateOffer::default()]]));
    let presets =
        [None, Some(random), Some(Compression::default()), Some(Compression::small()), Some(Compression::best_ratio())];
    presets[choices.pick(&[0, 1, 1, 1, 2, 3, 4])].clone()
}

/// Returns the default configuration with a random choice of limits, some so low that a run exceeds them.
pub(crate) fn config(choices: &mut Choices<'_>) -> Config {
    let mut config = Config::default();
    if choices.once_in(3) {
        config.max_sent_frame_payload =
            NonZeroUsize::new(choices.pick(&[1000, 1, 2, 7, 125, 126, 127, 65_535, 65_536])).expect("none is zero");
    }
    if choices.once_in(8) {
        config.max_frame_payload = Some(choices.pick(&[1000, 0, 1, 125, 126, 65_535, 65_536]));
    }
    if choices.once_in(8) {
        config.max_message_size = choices.pick(&[1000, 0, 1, 125, 126, 65_535, 65_536]);
    }
    if choices.once_in(8) {
        config.max_buffered_amount = choices.pick(&[1000, 0, 1, 100, 5000, 70_000]);
    }
    if choices.once_in(4) {
        config.high_water_mark = choices.pick(&[1000, 0, 1, 100]);
    }
    if choices.once_in(2) {
        config.max_pending_controls = choices.pick(&[3, 0, 1, 2]);
    }
    if choices.once_in(6) {
        config.max_empty_fragments = choices.pick(&[2, 0, 1]);
    }
    if choices.once_in(3) {
        config.delivery = Delivery::Chunks;
    }
    if choices.once_in(16) {
        config.max_head_size = choices.pick(&[1000, 0, 100, 170, 250]);
    }
    if choices.once_in(6) {
        config.opening_timeout = milliseconds(choices, &[1000, 100, 0]);
    }
    if choices.once_in(4) {
        config.closing_timeout = milliseconds(choices, &[1000, 100, 20, 0]);
    }
    if choices.once_in(4) {
        config.closing_limit = milliseconds(choices, &[3000, 1000, 200, 0]);
    }
    if choices.once_in(3) {
        config.keepalive = sansocket::Keepalive::Every(milliseconds(choices, &[100, 10, 30, 1000]));
        config.pong_timeout = milliseconds(choices, &[1000, 100, 5, 30]);
    }
    config.compression = compression(choices);
    config
}
