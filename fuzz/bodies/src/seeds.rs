//! Makes seeds from `testdata/`: wire data, preceded by choices that leave it unchanged. The seeds of `pair`,
//! `deflate`, `delivery`, `dial`, `driver` and `tls_layer` are random, except for the answers of proxies, the URLs, and
//! the first flights and the floods of TLS.

use std::fs;
use std::io;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use sansocket::rand_core::{Rng, SeedableRng};

use crate::tls_layer;

/// Makes an input of `receive`: the role, generous limits, the cuts, and the unchanged wire data.
fn receive(sender: &str, cuts: [u8; 4], wire: &[u8]) -> Vec<u8> {
    let role = u8::from(sender == "server");
    [&[role, 0, 0, 0, 0][..], &cuts, &[0], wire].concat()
}

/// Makes the seeds of every target from the folder `testdata`. Returns pairs of a target and an input.
///
/// # Errors
///
/// If a file cannot be read.
pub fn from(testdata: &Path) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut seeds = Vec::new();
    frames(&fs::read_to_string(testdata.join("frames.txt"))?, &mut seeds);
    close_codes(&fs::read_to_string(testdata.join("close_codes.txt"))?, &mut seeds);
    refusals(&fs::read_to_string(testdata.join("handshake/refusals.txt"))?, &mut seeds);
    for entry in fs::read_dir(testdata.join("handshake"))? {
        let path = entry?.path();
        let target = match path.extension().and_then(|extension| extension.to_str()) {
            Some("request") => "request",
            Some("response") => "response",
            _ => continue,
        };
        seeds.push((target, [&[7, 0, 3, 50][..], &fs::read(&path)?].concat()));
    }
    seeds.extend(OPERATIONS.into_iter().flat_map(operations));
    seeds.extend(URIS.map(|uri| ("uri", uri.as_bytes().to_vec())));
    seeds.extend(EXTENSIONS.into_iter().flat_map(extensions));
    seeds.push(("response", [&[0; 4][..], RESPONSE].concat()));
    seeds.extend((0..4).flat_map(|agreement| [0, 1].map(|role| ("inflate", inflate(role, agreement)))));
    seeds.extend((0..32).map(|seed| ("pair", choices(seed))));
    let targets = ["deflate", "delivery", "dial", "driver", "tls_layer"];
    seeds.extend((0..64).flat_map(|seed| targets.map(|target| (target, few_choices(seed)))));
    seeds.extend((64..96).map(|seed| ("tls_layer", choices(seed)[..300].to_vec())));
    seeds.extend(tls_layer::first_flights().chain(tls_layer::floods()).map(|input| ("tls_layer", input)));
    // `dial`: an answer, whole and in two pieces, and the text of URLs
    seeds.extend(PROXY_ANSWERS.map(|(proxy, answer)| ("dial", [&[0, proxy, 9, 0][..], answer].concat())));
    seeds.extend(URIS.iter().chain(&DESTINATIONS).map(|text| ("dial", [&[1], text.as_bytes()].concat())));
    Ok(seeds)
}

/// Makes choices for `pair`, enough for a run of typical length.
fn choices(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; 2_000];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Makes choices for `deflate`, `delivery`, `dial`, `driver` and `tls_layer`, with a configuration of generous limits.
fn few_choices(seed: u64) -> Vec<u8> {
    let mut bytes = choices(seed);
    bytes.truncate(300);
    bytes[1..9].fill(0);
    bytes
}

/// Answers of proxies, with the number of the proxy in `dial`.
const PROXY_ANSWERS: [(u8, &[u8]); 5] = [
    (0, b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\nHTTP/1.1 101"),
    (4, b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Digest a=b, Basic realm=c\r\n\r\n"),
    (1, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\n\n"),
    (3, b"\x05\x02\x01\x00\x05\x00\x00\x03\x04host\x00\x50rest"),
    (5, b"\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"),
];

/// Targets, proxies and destinations.
const DESTINATIONS: [&str; 5] = [
    "ws+unix:/run/chat%3A.sock:/rooms?id=1",
    "wss://user:p%40ss@example.com/",
    "socks5h://user:password@[::1]:1080/",
    "[fe80::1%eth0]:80",
    "*, .example.com, 192.0.0.0/8, 2001:db8::/32",
];

/// Makes frames for `inflate` (see its `stream`) from the examples of RFC 7692 section 7.2.3: whole, then in fragments,
/// some of them in a series of BFINAL streams.
fn inflate(role: u8, agreement: u8) -> Vec<u8> {
    let mut bytes = vec![role, 0, 0, 0, 0, agreement, 3, 1, 0, 7];
    for example in DEFLATE {
        let (first, last) = example.split_at(example.len() / 2);
        // a choice with FIN (0) or without (1), as text from 16 and as binary data from 84 on
        for (choice, payload) in [(16, example), (85, first), (85, &[]), (0, b"ping"), (84, last)] {
            bytes.extend([choice, payload.len() as u8]);
            bytes.extend(payload);
        }
    }
    bytes
}

const DEFLATE: [&[u8]; 7] = [
    &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    &[0xf2, 0x00, 0x11, 0x00, 0x00],
    &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
    &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
    &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    &[0x00],
    // 1,000 times "a" in a block with codes of its own, as C zlib compresses it
    &[0x4a, 0x4c, 0x1c, 0x05, 0xa3, 0x60, 0x14, 0x0c, 0x77, 0x00, 0x00],
];

const URIS: [&str; 6] = [
    "ws://example.com",
    "wss://example.com:8443/chat?room=1&x=%23",
    "WSS://[2001:DB8::1]:0080/",
    "ws://[v1.a:b]/?",
    "ws://user@example.com/",
    "ws://example.com:65536/#",
];
/// Inputs of `operations` without the kind of endpoint and its configuration.
const OPERATIONS: [&[u8]; 8] = [
    // we close and take some of the frame; the peer pings and closes
    &[20, 0xE8, 0x03, 0, 7, 5, 0, 7, 0, 3, 1, 2, 3, 9, 9, 9, 9, 22, 1, 0, 0, 9, 0, 0, 0xE8, 0x03, 9, 9, 9, 9, 23, 11],
    // the peer closes, we wait, then close too
    &[0, 9, 0, 0, 0xE8, 0x03, 9, 9, 9, 9, 7, 3, 20, 0xE8, 0x03, 0, 7, 9, 10, 23, 6],
    // messages sent by every method
    &[13, 1, 0, 5, 1, 2, 3, 4, 5, 14, 1, 0xEA, 15, 0, 0xEB, 16, 1, 0, 2, 65, 66, 18, 3, 16, 1, 1, 1, 67, 22, 9, 0, 23],
    // keepalive, a Pong, then silence
    &[11, 23, 7, 3, 0, 8, 0, 0, 9, 9, 9, 9, 11, 23, 11, 11],
    // attached scratch
    &[24, 13, 1, 0, 2, 65, 66, 22, 3, 0, 25, 24, 18, 2, 0, 7, 0, 1, 5, 9, 9, 9, 9, 23, 25],
    // a handshake, an answer, messages, and the end
    &[5, 26, 1, 0, 0, 0, 2, 65, 66, 9, 9, 9, 9, 13, 1, 1, 2, 65, 66, 23, 20, 0xE8, 0x03, 2, 23, 6],
    // a handshake that is refused
    &[5, 27, 0x90, 0x01, 22, 9, 0, 11, 6],
    // frames before the answer
    &[5, 0, 7, 0, 1, 5, 9, 9, 9, 9, 26, 1, 10, 4, 0, 23],
];

/// Makes inputs with these operations for every kind of endpoint, with finite timers.
fn operations(operations: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let configuration = [0, 0, 0, 0, 10, 10, 8, 0, 200, 100, 41, 30];
    (0..4).map(|endpoint| ("operations", [&[endpoint][..], &configuration, operations].concat())).collect()
}

/// Lines of `Sec-WebSocket-Extensions`, as offers and as answers.
const EXTENSIONS: [&str; 9] = [
    "permessage-deflate; server_max_window_bits=14; client_max_window_bits=14",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=\"9\"",
    "permessage-deflate; server_max_window_bits=8; client_max_window_bits=15",
    "x; y=\"\\z\", permessage-deflate; server_max_window_bits, permessage-deflate; server_max_window_bits=10",
    "permessage-deflate; x\npermessage-deflate; client_max_window_bits=08\npermessage-deflate",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover=1, permessage-deflate; server_max_window_bits=16",
];

/// Makes inputs of `negotiate` for several settings and offers of a client.
fn extensions(lines: &str) -> Vec<(&'static str, Vec<u8>)> {
    let choices: [[u8; 8]; 5] = [
        [0x3f, 1, 0, 0x7a, 0, 0, 0, 0],
        [0x3f, 1, 0, 0x80, 0, 0, 0, 0],
        [0xe4, 0, 0, 0, 0, 0, 0, 0],
        [0x24, 3, 3, 0x9a, 1, 0x80, 0, 0x0f],
        [0x40, 2, 0, 0, 2, 0x8c, 0, 0],
    ];
    choices.iter().map(|choices| ("negotiate", [choices, lines.as_bytes()].concat())).collect()
}

const RESPONSE: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: superchat\r\n\r\n\x81\x05Hello";

fn frames(text: &str, seeds: &mut Vec<(&'static str, Vec<u8>)>) {
    for record in records(text) {
        let one = |key: &str| record.iter().find(|(each, _)| *each == key).map_or("", |(_, value)| *value);
        let wire: Vec<Vec<u8>> =
            record.iter().filter(|(key, _)| *key == "wire").map(|(_, value)| tokens(value)).collect();
        seeds.extend(wire.iter().map(|frame| ("frame_header", frame[..frame.len().min(14)].to_vec())));
        let wire = wire.concat();
        if wire.len() > 5_000 {
            continue;
        }
        seeds.push(("receive", receive(one("sender"), [3, 1, 0, 7], &wire)));
        if one("sender") == "client" {
            seeds.push(("differential", [&[1, 2, 3, 4, 0][..], &wire].concat()));
        }
        for (_, event) in record.iter().filter(|(key, value)| *key == "event" && value.starts_with("text ")) {
            let text = tokens(event.trim_start_matches("text "));
            seeds.push(("utf8", [&[0, 0, 3, 1, 0, 7, 2, 3, 0, 0][..], &text].concat()));
        }
    }
}

fn close_codes(text: &str, seeds: &mut Vec<(&'static str, Vec<u8>)>) {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for code in lines.filter_map(|line| line.split_whitespace().next()?.parse::<u16>().ok()) {
        let [high, low] = code.to_be_bytes();
        seeds.push(("receive", receive("server", [1; 4], &[0x88, 2, high, low])));
        seeds.push(("differential", vec![0, 0, 0, 0, 0, 0x88, 0x82, 0, 0, 0, 0, high, low]));
    }
}

fn refusals(text: &str, seeds: &mut Vec<(&'static str, Vec<u8>)>) {
    for record in records(text) {
        let mut request = vec![3, 0, 1, 60];
        for (key, value) in record {
            match key {
                "send" => request.extend(unescape(value)),
                "repeat" => {
                    if let Some((count, text)) = value.split_once(' ') {
                        request.extend(unescape(text).repeat(count.parse().unwrap_or(1)));
                    }
                }
                _ => {}
            }
        }
        // long requests test only the limit
        if request.len() < 4_096 {
            seeds.push(("request", request));
        }
    }
}

/// Parses the records of a file of wire data (see `testdata/README.md`).
fn records(text: &str) -> Vec<Vec<(&str, &str)>> {
    let mut records = vec![vec![]];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match (line.split_once(": "), records.last_mut()) {
            (Some(field), Some(record)) => record.push(field),
            _ => records.push(vec![]),
        }
    }
    records.retain(|record| !record.is_empty());
    records
}

/// Parses tokens: `N*HEX`, hexadecimal digits, or `-`.
fn tokens(value: &str) -> Vec<u8> {
    let hex = |digits: &str| -> Vec<u8> {
        let digits: Vec<u8> = digits.chars().filter_map(|digit| Some(digit.to_digit(16)? as u8)).collect();
        digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    let token = |token: &str| match token.split_once('*') {
        Some((count, digits)) => hex(digits).into_iter().cycle().take(count.parse().unwrap_or(0)).collect(),
        None => hex(token),
    };
    value.split(' ').flat_map(token).collect()
}

/// Resolves the escapes `\r \n \t \0 \\` and `\xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escape = if byte == b'\\' { rest.next() } else { None };
        match escape {
            None => bytes.push(byte),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'0') => bytes.push(0),
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.extend(u8::from_str_radix(&digits, 16));
            }
            Some(other) => bytes.push(other),
        }
    }
    bytes
}
