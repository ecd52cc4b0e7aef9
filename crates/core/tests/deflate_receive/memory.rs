//! Memory of compressed messages. An inflater takes 47.5 KB.

use std::iter;
use std::sync::LazyLock;

use allocation_counter::measure;
use sansocket::{Config, Connection, Delivery, Input, Instant, Role, Scratch};

use crate::support::*;

const MIB: usize = 1 << 20;

/// 64 MiB of zeros in less than 64 KiB.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| Peer::new(9, 15).compress(&vec![0; 64 * MIB]));

/// Receives without allocating. Returns the number of events before the error, and its code.
fn receive_in_place(connection: &mut Connection, bytes: &mut [u8]) -> (usize, Option<u16>) {
    let mut input = Input::new(bytes);
    let mut events = 0;
    loop {
        match connection.receive(&mut input, Instant::EPOCH) {
            Ok(None) => return (events, None),
            Ok(Some(_)) => events += 1,
            Err(error) => return (events, error.close_code().map(|code| code.as_u16())),
        }
    }
}

/// Deflate 65; CVE-2026-1526, CVE-2018-1000518, CVE-2026-39804.
#[test]
fn a_bomb_takes_no_more_memory_than_the_limit_and_64_kib() {
    assert!(BOMB.len() < 65_536);
    for role in BOTH {
        for is_text in [false, true] {
            let opcode = if is_text { TEXT } else { BINARY };
            let whole = fragments(role, opcode, &BOMB, &[]);
            let ends: Vec<_> = (1..BOMB.len()).collect();
            let divided = fragments(role, opcode, &BOMB, &ends);
            for wire in [whole, divided] {
                for delivery in [Delivery::Messages, Delivery::Chunks] {
                    for (piece, has_scratch) in [(usize::MAX, true), (16 * 1024, false), (1, true)] {
                        check_bomb(role, &wire, delivery, piece, has_scratch);
                    }
                }
            }
        }
    }
}

fn check_bomb(role: Role, wire: &[u8], delivery: Delivery, piece: usize, has_scratch: bool) {
    let mut config = Config::default().max_message_size(MIB);
    config.delivery = delivery;
    for takeover in [false, true] {
        let mut connection = endpoint(role, &config, agreed(12, takeover));
        let mut wire = wire.to_vec();
        let mut scratch = Scratch::new();
        let mut code = None;
        let info = measure(|| {
            for bytes in wire.chunks_mut(piece) {
                if has_scratch {
                    connection.attach_scratch(&mut scratch);
                }
                code = receive_in_place(&mut connection, bytes).1;
                if has_scratch {
                    connection.detach_scratch(&mut scratch);
                }
                if code.is_some() {
                    break;
                }
            }
        });
        assert_eq!(code, Some(1009));
        let max = if delivery == Delivery::Chunks { 80 * 1024 } else { MIB + 64 * 1024 };
        assert!(info.bytes_max <= max as u64, "{role:?} {delivery:?} {piece} {has_scratch} {takeover}: {info:?}");
    }
}

/// Deflate 55: the inflater and its buffers exist since the first message.
#[test]
fn empty_blocks_take_no_memory() {
    let blocks: Vec<u8> = iter::repeat_n([0, 0, 0, 0xff, 0xff], 10_000).flatten().chain([0]).collect();
    for takeover in [false, true] {
        let mut server = endpoint(Role::Server, &Config::default(), agreed(15, takeover));
        receive(&mut server, &[&message(Role::Server, &compress(b"Hello"))], None);
        let mut wire = message(Role::Server, &blocks);
        let info = measure(|| assert_eq!(receive_in_place(&mut server, &mut wire), (1, None)));
        assert_eq!(info.count_total, 0, "{info:?}");
    }
}

/// A message takes one allocation, of its size, if it fits one step of the inflater.
#[test]
fn a_short_message_takes_one_allocation() {
    for role in BOTH {
        for (len, takeover) in [(200, true), (1_024, true), (8_000, true), (200, false), (8_000, false)] {
            for opcode in [TEXT, BINARY] {
                let mut connection = endpoint(role, &Config::default(), agreed(12, takeover));
                let mut scratch = Scratch::new();
                let wire = frame(role, FIN | RSV1 | opcode, &compress(&records(len, 1)));
                for _ in 0..100 {
                    connection.attach_scratch(&mut scratch);
                    receive_in_place(&mut connection, &mut wire.clone());
                    connection.detach_scratch(&mut scratch);
                }
                let mut wire = wire;
                connection.attach_scratch(&mut scratch);
                let info = measure(|| assert_eq!(receive_in_place(&mut connection, &mut wire), (1, None)));
                connection.detach_scratch(&mut scratch);
                assert_eq!((info.count_total, info.bytes_total), (1, len as u64), "{info:?}");
            }
        }
    }
}

/// Deflate 63: between messages, a connection with a scratch has its history, and none without takeover. In the middle
/// of a frame, it has the bytes that arrived, up to 4 KiB; then it has an inflater.
#[test]
fn a_connection_holds_its_history_and_the_bytes_of_an_unfinished_frame() {
    for (bits, takeover, max) in [(15, false, 0), (12, true, 4_096 + 256), (9, true, 512 + 256)] {
        let mut scratch = Scratch::new();
        // the scratch grows
        let mut other = endpoint(Role::Server, &Config::default(), agreed(bits, takeover));
        let wire = message(Role::Server, &compress(&records(100_000, 1)));
        receive(&mut other, &[&wire, &wire], Some(&mut scratch));
        let mut connection = endpoint(Role::Server, &Config::default(), agreed(bits, takeover));
        let (mut wire, mut begun) = (wire, message(Role::Server, &compress(&noise(100_000, 1))));
        let mut turn = |bytes: &mut [u8]| {
            let info = measure(|| {
                connection.attach_scratch(&mut scratch);
                receive_in_place(&mut connection, bytes);
                connection.detach_scratch(&mut scratch);
            });
            info.bytes_current
        };
        assert!((0..=max).contains(&turn(&mut wire)), "{bits}");
        let (collected, rest) = begun.split_at_mut(4_000);
        assert!((4_000..=9_000).contains(&turn(collected)), "{bits}");
        turn(rest);
    }
}

/// A message has room in proportion to the bytes that were inflated, not to the limit.
#[test]
fn an_unfinished_message_takes_little_more_memory_than_its_bytes() {
    for len in [20_000, 200_000, 2_000_000] {
        let mut server = endpoint(Role::Server, &Config::default(), agreed(15, false));
        let mut wire = frame(Role::Server, RSV1 | BINARY, &Peer::new(6, 15).compress(&vec![0; len]));
        let info = measure(|| assert_eq!(receive_in_place(&mut server, &mut wire), (0, None)));
        assert!(info.bytes_max <= (len + 128 * 1024) as u64, "{len}: {info:?}");
    }
}

/// jetty.project#293: an inflater leaked with each connection.
#[test]
fn a_connection_frees_its_inflater() {
    for role in BOTH {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let data = compress(&records(50_000, 1));
            let wires = [message(role, &data), frame(role, RSV1 | BINARY, &data), message(role, &[0x06])];
            for mut wire in wires {
                let mut config = Config::default();
                config.delivery = delivery;
                let info = measure(|| {
                    let mut connection = endpoint(role, &config, agreed(15, true));
                    receive_in_place(&mut connection, &mut wire);
                });
                assert_eq!(info.bytes_current, 0, "{info:?}");
                assert!(info.bytes_max > 40_000);
            }
        }
    }
}
