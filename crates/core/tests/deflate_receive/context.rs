//! Context takeover of received data (section 7.1.1).

use sansocket::{Config, Connection, PermessageDeflate, Role, Scratch};

use crate::support::*;

/// Deflate 56: a direction's takeover and window are those of the peer that sends.
#[test]
fn each_direction_has_its_own_takeover() {
    for role in BOTH {
        for (client_takeover, server_takeover) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut agreed = PermessageDeflate::default();
            agreed.client_no_context_takeover = !client_takeover;
            agreed.server_no_context_takeover = !server_takeover;
            let peer_takeover = if role == Role::Server { client_takeover } else { server_takeover };
            let (first, second) = (compress(b"Hello"), copy_of_3(5));
            let wire = [message(role, &first), message(role, &first), message(role, &second)].concat();
            let received = receive(&mut endpoint(role, &Config::default(), agreed), &[&wire], None);
            let expected: &[&[u8]] = if peer_takeover { &[b"Hello", b"Hello", b"Hel"] } else { &[b"Hello", b"Hello"] };
            assert_eq!(received.messages, Received::binary(expected).messages);
            assert_eq!(received.close_code(), (!peer_takeover).then_some(1007));
        }
    }
}

/// Deflate 10, 57: a message that does not refer back is valid in any case.
#[test]
fn messages_without_takeover_decode_with_takeover() {
    let messages: Vec<_> = (0..10).map(|seed| records(5_000, seed)).collect();
    for bits in 9..=15 {
        let mut peer = Peer::new(6, bits);
        let compressed: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                if index % 3 == 1 {
                    peer.reset();
                }
                peer.compress(message)
            })
            .collect();
        let received = receive_with(&Config::default(), agreed(bits, true), |role| {
            compressed.iter().flat_map(|compressed| message(role, compressed)).collect()
        });
        assert_eq!(received, Received::binary(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    }
}

/// Deflate 46, 56: the window has the last 2^bits bytes of all messages, however they are divided.
#[test]
fn a_message_may_refer_to_the_whole_window() {
    for bits in 9..=15 {
        let window = 1 << bits;
        let bytes = noise(3 * window, 7);
        for (begin, lens) in
            [(0, vec![window]), (window, vec![2 * window]), (0, vec![window - 1, 1]), (0, vec![100; window / 100 + 1])]
        {
            let mut at = begin;
            let mut peer = Peer::new(0, 15);
            let mut sent = Vec::new();
            for len in lens {
                sent.push(bytes[at..at + len].to_vec());
                at += len;
            }
            let last = bytes[at - window..at - window + 3].to_vec();
            let compressed: Vec<_> = sent.iter().map(|message| peer.compress(message)).collect();
            let received = receive_with(&Config::default(), agreed(bits, true), |role| {
                let messages = compressed.iter().flat_map(|compressed| message(role, compressed));
                messages.chain(message(role, &copy_of_3(window))).collect()
            });
            sent.push(last);
            assert_eq!(received, Received::binary(&sent.iter().map(Vec::as_slice).collect::<Vec<_>>()), "{bits}");
        }
    }
}

/// Deflate 46, 54: the history that primes an inflater has the last 2^bits bytes, and no more.
#[test]
fn the_window_survives_another_connection() {
    for bits in 9..=15 {
        let window = 1 << bits;
        let bytes = noise(window + 100, 7);
        // no distance is larger than 32 KiB
        for distance in (window..=window + 1).filter(|&distance| distance <= 32_768) {
            let mut scratch = Scratch::new();
            let mut server = endpoint(Role::Server, &Config::default(), agreed(bits, true));
            let mut other = endpoint(Role::Server, &Config::default(), agreed(bits, true));
            let mut peer = Peer::new(0, 15);
            for part in [&bytes[..200], &bytes[200..window], &bytes[window..]] {
                let wire = message(Role::Server, &peer.compress(part));
                assert_eq!(receive(&mut server, &[&wire], Some(&mut scratch)), Received::binary(&[part]));
            }
            receive(&mut other, &[&message(Role::Server, &compress(b"Hello"))], Some(&mut scratch));
            let received = receive(&mut server, &[&message(Role::Server, &copy_of_3(distance))], Some(&mut scratch));
            if distance == window {
                assert_eq!(received, Received::binary(&[&bytes[100..103]]), "{bits}");
            } else {
                assert_eq!(received.close_code(), Some(1007), "{bits}");
            }
        }
    }
}

/// Sends a series of messages, of which each refers to earlier ones, to several connections in turn. Each piece finds
/// another scratch.
fn interleave(agreed: PermessageDeflate, scratches: &mut [Scratch]) {
    let series: Vec<Vec<_>> = (0..3).map(|seed| (0..8).map(|_| records(3_000, seed)).collect()).collect();
    let mut wires = Vec::new();
    for (index, messages) in series.iter().enumerate() {
        let role = if index % 2 == 0 { Role::Server } else { Role::Client };
        let mut peer = Peer::new(6, agreed.client_max_window_bits.get());
        let mut wire = Vec::new();
        for (number, data) in messages.iter().enumerate() {
            let compressed = peer.compress(data);
            let ends: &[usize] = if number % 2 == 0 { &[] } else { &[compressed.len() / 2] };
            if agreed.client_no_context_takeover {
                peer.reset();
            }
            wire.extend(fragments(role, BINARY, &compressed, ends));
        }
        wires.push((endpoint(role, &Config::default(), agreed), wire, Received::default()));
    }
    let rounds = wires.iter().map(|(_, wire, _)| wire.len().div_ceil(700)).max().unwrap();
    let count = scratches.len();
    for round in 0..rounds {
        for (index, (connection, wire, received)) in wires.iter_mut().enumerate() {
            let scratch = &mut scratches[(round + index / 2) % count];
            connection.attach_scratch(scratch);
            received.feed(connection, wire.chunks(700).nth(round).unwrap_or_default());
            connection.detach_scratch(scratch);
        }
    }
    for ((_, _, received), messages) in wires.iter().zip(&series) {
        assert_eq!(*received, Received::binary(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    }
}

/// Deflate 56, 57.
#[test]
fn connections_share_one_scratch_or_change_between_several() {
    for takeover in [false, true] {
        for count in 1..=3 {
            let mut scratches: Vec<_> = (0..count).map(|_| Scratch::new()).collect();
            interleave(agreed(15, takeover), &mut scratches);
            interleave(agreed(12, takeover), &mut scratches);
        }
    }
}

/// Deflate 56: a connection continues in another thread, with another scratch, with none, and again with the first one.
#[test]
fn a_connection_moves_between_threads_and_scratches() {
    let data = records(3_000, 1);
    let mut peer = Peer::new(6, 12);
    let mut connection = endpoint(Role::Server, &Config::default(), agreed(12, true));
    let mut scratch = Scratch::new();
    let mut take = |mut connection: Connection, scratch: Option<&mut Scratch>| {
        let wire = message(Role::Server, &peer.compress(&data));
        assert_eq!(receive(&mut connection, &[&wire], scratch), Received::binary(&[&data]));
        connection
    };
    for _ in 0..3 {
        connection = take(connection, Some(&mut scratch));
        connection = take(connection, None);
        connection =
            std::thread::scope(|scope| scope.spawn(|| take(connection, Some(&mut Scratch::new()))).join().unwrap());
        connection = take(connection, Some(&mut scratch));
        connection = take(connection, Some(&mut scratch));
    }
}
