//! Trades of a market, as JSON.

use std::io::Write;

use crate::random::Random;

/// The markets: a symbol, and the first price in cents.
const MARKETS: [(&str, u64); 8] = [
    ("BTC-USD", 6_732_145),
    ("ETH-USD", 352_418),
    ("SOL-USD", 15_297),
    ("XRP-USD", 1_052),
    ("ADA-EUR", 1_240),
    ("DOT-EUR", 1_871),
    ("LTC-USD", 8_433),
    ("UNI-USD", 1_139),
];

/// Trades in the order of time: each has the next number, some milliseconds after the one before, at a price near that
/// of the market's last trade.
#[derive(Debug)]
pub(crate) struct Trades {
    random: Random,
    /// The last price in each market, in cents.
    prices: [u64; MARKETS.len()],
    id: u64,
    /// Milliseconds since 1970.
    time: u64,
}

impl Trades {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, prices: MARKETS.map(|market| market.1), id: 381_726_354, time: 1_764_550_012_345 }
    }

    /// Appends the next trade.
    pub(crate) fn append(&mut self, message: &mut Vec<u8>) {
        let Self { random, prices, id, time } = self;
        let market = random.below(MARKETS.len() as u64) as usize;
        let price = &mut prices[market];
        // a step of at most 0.1 %, in either direction
        let step = *price / 1000 + 1;
        *price = (*price + random.below(2 * step + 1)).saturating_sub(step).max(1000);
        *id += 1 + random.below(3);
        *time += random.below(250);
        let (symbol, is_buy, is_maker) = (MARKETS[market].0, random.below(2) == 0, random.below(4) == 0);
        let quantity = random.below(90_000_000) + 10_000;
        let _ = write!(
            message,
            "{{\"event\":\"trade\",\"symbol\":\"{symbol}\",\"id\":{id},\"time\":{time},\"price\":{}.{:02},\
             \"quantity\":{}.{:06},\"side\":\"{}\",\"buyer\":\"u{:08x}\",\"seller\":\"u{:08x}\",\
             \"maker\":{is_maker},\"fee\":0.{:04}}}",
            *price / 100,
            *price % 100,
            quantity / 1_000_000,
            quantity % 1_000_000,
            if is_buy { "buy" } else { "sell" },
            random.next() as u32,
            random.next() as u32,
            random.below(10_000),
        );
    }
}
