//! Every kind of block that C zlib and zlib-rs produce.

use flate2::{Decompress, FlushDecompress};
use sansocket::{Config, Role, Scratch};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Strategy};

use crate::support::*;

fn samples() -> Vec<Vec<u8>> {
    let mut samples = vec![Vec::new(), vec![b'a'], vec![0; 300], b"Hello".to_vec(), (0..=255).collect()];
    samples.extend([100, 5_000, 40_000].map(|len| records(len, 1)));
    samples.extend([100, 5_000, 40_000].map(|len| noise(len, 1)));
    // bytes of very different frequency: the longest codes
    samples.push((0..20u32).flat_map(|byte| vec![byte as u8; 1 << byte.min(14)]).collect());
    samples.push([records(10_000, 2), noise(10_000, 2), vec![1; 10_000], records(10_000, 2)].concat());
    samples
}

/// Deflate 52: levels 0 to 9 and all windows of C zlib.
#[test]
fn what_c_zlib_compresses_is_received() {
    let samples = samples();
    let mut scratch = Scratch::new();
    for level in 0..=9 {
        for bits in 9..=15 {
            for takeover in [false, true] {
                let mut peer = Peer::new(level, bits);
                let mut server = endpoint(Role::Server, &Config::default(), agreed(bits, takeover));
                for data in &samples {
                    let compressed = peer.compress(data);
                    let wire = message(Role::Server, &compressed);
                    let received = receive(&mut server, &Pieces::Random(level.into()).of(&wire), Some(&mut scratch));
                    assert_eq!(received, Received::binary(&[data]), "{level} {bits} {takeover}");
                    if !takeover {
                        peer.reset();
                    }
                }
            }
        }
    }
}

/// Deflate 52: strategies, among them only fixed codes, only Huffman codes and only runs.
#[test]
fn every_strategy_is_received() {
    for strategy in [Strategy::Default, Strategy::Filtered, Strategy::HuffmanOnly, Strategy::Rle, Strategy::Fixed] {
        for level in [1, 6, 9] {
            for mem_level in [1, 9] {
                let config = DeflateConfig { level, mem_level, strategy, window_bits: -15, ..DeflateConfig::default() };
                let mut peer = Deflate::new_with_config(config);
                let mut server = endpoint(Role::Server, &Config::default(), agreed(15, true));
                for data in samples() {
                    let mut compressed = vec![0; 2 * data.len() + 1_000];
                    let before = peer.total_out();
                    peer.compress(&data, &mut compressed, DeflateFlush::SyncFlush).unwrap();
                    let len = (peer.total_out() - before) as usize;
                    compressed.truncate(len);
                    if data.is_empty() {
                        compressed = vec![0, 0, 0, 0xff, 0xff];
                    }
                    compressed.truncate(compressed.len() - 4);
                    let received = receive(&mut server, &[&message(Role::Server, &compressed)], None);
                    assert_eq!(received, Received::binary(&[&data]), "{strategy:?} {level} {mem_level}");
                }
            }
        }
    }
}

/// Deflate 51, 52: damaged data is received or refused as C zlib does.
#[test]
fn damaged_data_gives_the_result_of_c_zlib() {
    for seed in 0..3_000 {
        let mut compressed = compress(&records(400, seed % 7));
        let damage = noise(3, seed);
        let at = usize::from(damage[0]) % compressed.len();
        compressed[at] ^= damage[1];
        let received = receive(
            &mut endpoint(Role::Server, &Config::default(), agreed(15, false)),
            &[&message(Role::Server, &compressed)],
            None,
        );
        match reference(&compressed) {
            Some(data) => assert_eq!(received, Received::binary(&[&data]), "{compressed:x?}"),
            None => assert_eq!(received.close_code(), Some(1007), "{compressed:x?}"),
        }
    }
}

/// Inflates a message with C zlib. `None` if it is invalid, or if its last block is not the one of the tail.
fn reference(compressed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = [compressed, &[0, 0, 0xff, 0xff]].concat();
    let end = bytes.len();
    // a stream that ends where the message ends
    bytes.extend([0x03, 0x00]);
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let mut inflate = Decompress::new(false);
        if !data.is_empty() {
            inflate.set_dictionary(&data[data.len().saturating_sub(32_768)..]).ok()?;
        }
        let mut output = Vec::with_capacity(1_000_000);
        let status = inflate.decompress_vec(&bytes[at..], &mut output, FlushDecompress::None).ok()?;
        data.extend(output);
        at += inflate.total_in() as usize;
        match status {
            flate2::Status::StreamEnd if at == bytes.len() => return Some(data),
            flate2::Status::StreamEnd if at == end - 4 => return Some(data),
            flate2::Status::StreamEnd if at < end => {}
            _ => return None,
        }
    }
}
