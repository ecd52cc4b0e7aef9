//! What a client sends on each of two connections. The same in every language: see `workload.mjs` beside the scripts.

use sansocket_net::MessageKind;

/// A message in fragments; most have one.
#[derive(Debug)]
pub(super) struct Fragments {
    pub(super) kind: MessageKind,
    pub(super) fragments: Vec<Vec<u8>>,
}

impl Fragments {
    fn text(fragments: &[&str]) -> Self {
        let fragments = fragments.iter().map(|fragment| fragment.as_bytes().to_vec()).collect();
        Self { kind: MessageKind::Text, fragments }
    }

    fn binary(fragments: &[&[u8]]) -> Self {
        let fragments = fragments.iter().map(|fragment| fragment.to_vec()).collect();
        Self { kind: MessageKind::Binary, fragments }
    }
}

/// Returns many messages that resemble each other.
pub(super) fn similar() -> Vec<Fragments> {
    trades(200).iter().map(|trade| Fragments::text(&[trade])).collect()
}

/// Returns messages of every kind and size.
pub(super) fn mixed() -> Vec<Fragments> {
    let (text, binary) = (Fragments::text, Fragments::binary);
    let greeting = "Grüße, 世界 👋";
    let json = &trades(6).join("\n");
    let page = &trades(7200).join("\n");
    vec![
        text(&[""]),
        text(&["Hello"]),
        text(&["Hello"]),
        text(&["Hello"]),
        text(&[greeting]),
        text(&[greeting]),
        text(&[json]),
        text(&[json]),
        binary(&[&noise(1000)]),
        binary(&[b""]),
        text(&["Hello"]),
        text(&[page]),
        text(&["Hello"]),
        binary(&[&noise(1 << 20)]),
        text(&["Hello"]),
        binary(&[page.as_bytes()]),
        text(&[json]),
        text(&["Hel", "", "lo"]),
        text(&["", greeting, ""]),
        text(&[json, greeting, json]),
        binary(&[&noise(300), json.as_bytes()]),
        text(&["Hello"]),
    ]
}

/// Returns distinct trades of about 150 bytes as JSON: alone they compress little, after one another well.
fn trades(count: usize) -> Vec<String> {
    let symbols = ["BTC-USD", "ETH-USD", "SOL-EUR", "DOGE-USD"];
    let trade = |i| {
        let (id, symbol, side) = (7_000_001 + i * 37, symbols[i % 4], if i % 3 == 0 { "sell" } else { "buy" });
        let price = format!("{}.{}", i * 7919 % 90_000, i * 31 % 100);
        let (quantity, maker, sequence) = (i * 104_729 % 1_000_000, i * 6151 % 100_000, 99_000_000 + i);
        format!(r#"{{"type":"trade","id":{id},"symbol":"{symbol}","side":"{side}","price":"{price}","#)
            + &format!(r#""quantity":"0.{quantity}","maker":"account-{maker}","sequence":{sequence}}}"#)
    };
    (0..count).map(trade).collect()
}

/// Returns bytes that do not compress: the high bytes of a linear congruential generator.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}
