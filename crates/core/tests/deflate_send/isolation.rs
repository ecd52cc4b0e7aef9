//! Connections that share compressors: no message refers to the data of another connection.

use sansocket::{Compress, Config, Connection, MessageKind, Role, Scratch};

use crate::support::*;

/// What a connection does with the compressor before another one uses it.
type Use = fn(&mut Connection, &str);

const USES: [Use; 4] = [
    |connection, text| connection.send(text).unwrap(),
    // abandoned, since it does not shrink: the compressor has seen it
    |connection, text| connection.send_with([&noise(60_000, 1), text.as_bytes()].concat(), Compress::Yes).unwrap(),
    |connection, text| connection.send_fragment(MessageKind::Text, text, false).unwrap(),
    |connection, text| {
        connection.send_fragment(MessageKind::Text, text, false).unwrap();
        connection.send_fragment(MessageKind::Text, "", true).unwrap();
    },
];

/// Deflate 63: the strict inflater of each connection knows its own messages alone, so any reference to another
/// connection's data fails, or gives other bytes.
#[test]
fn messages_never_refer_to_the_data_of_another_connection() {
    let secret = records(20_000, 1);
    for use_compressor in USES {
        for takeover in [false, true] {
            for history in [0, 512, 32 * 1024] {
                let config = Config::default().compression(compression(6, 8, history));
                let mut scratch = Scratch::new();
                let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 15, takeover));
                let mut peer = Peer::new(Role::Server, 15, takeover);
                let mut seen = String::new();
                for round in 0..4 {
                    let mut other = endpoint(Role::Server, &config, agreed(Role::Server, 15, true));
                    other.attach_scratch(&mut scratch);
                    use_compressor(&mut other, &secret);
                    drain(&mut other);
                    other.detach_scratch(&mut scratch);

                    // the same data as that of the other connection, which it would be good to refer to
                    let text = &secret[round * 4_000..][..4_000];
                    connection.attach_scratch(&mut scratch);
                    connection.send(text).unwrap();
                    let message = peer.read_one(&mut connection);
                    connection.detach_scratch(&mut scratch);
                    assert!(message.is_compressed() && message.payload == text.as_bytes());
                    assert!(message.reach() <= if takeover { history.min(seen.len()) } else { 0 });
                    seen += text;
                }
            }
        }
    }
}

/// A connection on two scratches, alternating and without one in between, continues where it stopped.
#[test]
fn a_connection_changes_between_scratches() {
    for role in BOTH {
        let mut scratches = [Some(Scratch::new()), Some(Scratch::new()), None];
        let (mut connection, mut peer) = pair(role, true);
        let text = records(400, 1);
        for round in 0..12 {
            let scratch = &mut scratches[(round * round + round / 4) % 3];
            if let Some(scratch) = scratch {
                connection.attach_scratch(scratch);
            }
            connection.send(&text).unwrap();
            connection.send(records(300, round as u64)).unwrap();
            let messages = peer.read(&mut connection);
            assert_eq!(messages[0].payload, text.as_bytes());
            assert!(messages.iter().all(Message::is_compressed) && (round == 0 || messages[0].reach() > 0));
            if let Some(scratch) = scratch {
                connection.detach_scratch(scratch);
            }
        }
    }
}

/// Deflate 61: with a history of no bytes, a fragment left the compressor primed; a message on another scratch follows,
/// and then a fragment on the first one.
#[test]
fn a_compressor_is_not_primed_if_another_one_was_used_since() {
    for history in [0, 512] {
        let config = Config::default().compression(compression(6, 8, history));
        let mut scratches = [Scratch::new(), Scratch::new()];
        let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 12, true));
        let mut peer = Peer::new(Role::Server, 12, true);
        for round in 0..6 {
            let text = records(400, round / 3);
            let scratch = &mut scratches[(round % 2) as usize];
            connection.attach_scratch(scratch);
            if round % 2 == 0 {
                connection.send_fragment(MessageKind::Text, text.as_bytes(), true).unwrap();
            } else {
                connection.send(&text).unwrap();
            }
            assert_eq!(peer.read_one(&mut connection).payload, text.as_bytes());
            connection.detach_scratch(scratch);
        }
    }
}

/// A scratch that another connection holds is empty for a second one.
#[test]
fn two_connections_hold_the_same_scratch() {
    let mut scratch = Scratch::new();
    let (mut first, mut firsts_peer) = pair(Role::Server, true);
    let (mut second, mut seconds_peer) = pair(Role::Client, true);
    for round in 0..4 {
        let text = records(300, round / 2);
        first.attach_scratch(&mut scratch);
        second.attach_scratch(&mut scratch);
        first.send(&text).unwrap();
        second.send(&text).unwrap();
        assert_eq!(firsts_peer.read_one(&mut first).payload, text.as_bytes());
        assert_eq!(seconds_peer.read_one(&mut second).payload, text.as_bytes());
        first.detach_scratch(&mut scratch);
        second.detach_scratch(&mut scratch);
    }
}
