//! The random configuration of a connection.

use std::num::NonZeroUsize;
use std::time::Duration;

use sansocket::{Config, Delivery};

use crate::choices::Choices;

/// One millisecond, in nanoseconds.
pub(crate) const MILLISECOND: u64 = 1_000_000;

fn milliseconds(choices: &mut Choices<'_>, from: &[u64]) -> Duration {
    Duration::from_millis(choices.pick(from)) + Duration::from_nanos(choices.below(1000) as u64)
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
    config
}
