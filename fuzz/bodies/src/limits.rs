//! Makes configurations from fuzz bytes: limits that ordinary input exceeds, and some that no input exceeds.

use std::num::NonZeroUsize;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use sansocket::{Config, Delivery, Keepalive};

const AMOUNTS: [usize; 16] =
    [1 << 20, 0, 1, 3, 7, 64, 125, 126, 127, 300, 4_096, 65_535, 65_536, 100_000, 1 << 30, usize::MAX];
const COUNTS: [u32; 8] = [1_000, 0, 1, 2, 3, 5, 64, u32::MAX];

/// Makes the limits on receiving from four bytes. Four zeros give generous limits and whole messages.
pub(crate) fn receiving(u: &mut Unstructured<'_>) -> Result<Config> {
    let [frame, message, counts, delivery]: [u8; 4] = u.arbitrary()?;
    let mut config = Config::default();
    config.max_frame_payload = (frame < 128).then_some(amount(frame) as u64);
    config.max_message_size = amount(message);
    config.max_empty_fragments = count(counts);
    config.max_pending_controls = count(counts >> 3) as usize;
    config.delivery = if delivery % 2 == 1 { Delivery::Chunks } else { Delivery::Messages };
    Ok(config)
}

/// Makes all limits; those on sending and time take eight more bytes.
pub(crate) fn all(u: &mut Unstructured<'_>) -> Result<Config> {
    let mut config = receiving(u)?;
    let [buffer, mark, sent, head, opening, closing, ping, pong]: [u8; 8] = u.arbitrary()?;
    config.max_buffered_amount = amount(buffer);
    config.high_water_mark = amount(mark);
    config.max_sent_frame_payload = NonZeroUsize::new(amount(sent)).unwrap_or(NonZeroUsize::MIN);
    if head % 4 == 3 {
        config.max_head_size = amount(head >> 2);
    }
    config.opening_timeout = duration(opening);
    config.closing_timeout = duration(closing);
    config.keepalive = if ping % 2 == 1 { Keepalive::Every(duration(ping >> 1)) } else { Keepalive::Off };
    config.pong_timeout = duration(pong);
    Ok(config)
}

fn amount(choice: u8) -> usize {
    AMOUNTS[usize::from(choice) % AMOUNTS.len()]
}

fn count(choice: u8) -> u32 {
    COUNTS[usize::from(choice) % COUNTS.len()]
}

fn duration(choice: u8) -> Duration {
    match choice {
        0 => Duration::ZERO,
        255 => Duration::MAX,
        choice => Duration::from_millis(u64::from(choice)),
    }
}
