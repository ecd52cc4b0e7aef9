//! The agreed window, and context takeover.

use sansocket::{Compress, Config, Role, Scratch};

use crate::support::*;

/// Sends messages one at a time, in turns of a scratch or without, and returns what the peer read.
fn exchange(config: &Config, role: Role, bits: u8, takeover: bool, texts: &[String]) -> Vec<Message> {
    let mut expected = None;
    for scratch in [None, Some(Scratch::new())] {
        let mut scratch = scratch;
        let mut connection = endpoint(role, config, agreed(role, bits, takeover));
        let mut peer = Peer::new(role, bits, takeover);
        let mut messages = Vec::new();
        for text in texts {
            if let Some(scratch) = &mut scratch {
                connection.attach_scratch(scratch);
            }
            connection.send_with(text, Compress::Yes).unwrap();
            let message = peer.read_one(&mut connection);
            if let Some(scratch) = &mut scratch {
                connection.detach_scratch(scratch);
            }
            assert_eq!(message.payload, text.as_bytes());
            messages.push(message);
        }
        assert_eq!(*expected.get_or_insert_with(|| messages.clone()), messages, "a scratch makes no difference");
    }
    expected.unwrap()
}

/// Deflate 53, and 6 for 8 bits: the strict inflater has no byte beyond the agreed window.
#[test]
fn no_message_reaches_beyond_the_agreed_window() {
    let texts = [5, 100, 900, 30, 400, 100].map(|len| records(len, len as u64));
    for bits in 8..=15 {
        for (level, memory_level, history) in [(0, 8, 512), (1, 5, 512), (1, 1, 0), (6, 8, 32 * 1024), (9, 9, 512)] {
            for (role, takeover) in [(Role::Client, true), (Role::Server, true), (Role::Server, false)] {
                let config = Config::default().compression(compression(level, memory_level, history));
                let messages = exchange(&config, role, bits, takeover, &texts);
                let compressed = messages.iter().filter(|message| message.is_compressed()).count();
                assert_eq!(compressed >= 4, level > 0, "{compressed} messages are compressed at level {level}");
            }
        }
    }
}

/// Deflate 53, with messages longer than the window, and more data than the largest window.
#[test]
fn long_messages_stay_within_the_agreed_window() {
    let long = records(80_000, 1);
    let texts = [long.clone(), records(300, 2), long[40_000..].to_owned(), long[..2_000].to_owned()];
    for bits in 8..=15 {
        let config = Config::default().compression(compression(6, 8, 32 * 1024));
        let messages = exchange(&config, Role::Server, bits, true, &texts);
        assert!(messages.iter().all(|message| message.wire.len() < message.payload.len() / 2));
    }
}

/// Deflate 56: the directions are independent, so the four combinations of takeover are two for each role.
#[test]
fn takeover_is_independent_of_the_other_direction() {
    for role in BOTH {
        for takeover in [false, true] {
            let text = records(200, 1);
            let messages = exchange(&config(), role, 12, takeover, &[text.clone(), text]);
            assert_eq!(messages[0].reach(), 0);
            // Deflate 57: without takeover, each message decodes alone
            assert_eq!(messages[1].reach() > 0, takeover);
            assert_eq!(messages[1].wire.len() < 20, takeover);
            assert_eq!(messages[1].wire == messages[0].wire, !takeover);
        }
    }
}

/// The application can do without takeover that the peer permits.
#[test]
fn the_settings_turn_takeover_off() {
    let mut compression = compression(6, 8, 512);
    compression.context_takeover = false;
    let text = records(200, 1);
    let config = Config::default().compression(compression);
    let messages = exchange(&config, Role::Server, 12, true, &[text.clone(), text]);
    assert_eq!((messages[0].reach(), messages[1].reach()), (0, 0));
}

/// Deflate 63: another connection used the compressor since, so that a message reaches back as far as the history.
#[test]
fn a_message_reaches_back_as_far_as_the_history() {
    for (history, least, most) in [(0, 0, 0), (512, 200, 512), (4_000, 3_000, 4_000)] {
        let config = Config::default().compression(compression(6, 8, history));
        let mut scratch = Scratch::new();
        let mut connections = [0, 1].map(|_| endpoint(Role::Server, &config, agreed(Role::Server, 12, true)));
        let mut peers = [0, 1].map(|_| Peer::new(Role::Server, 12, true));
        let mut reach = 0;
        for round in 0..3 {
            for (connection, peer) in connections.iter_mut().zip(&mut peers) {
                connection.attach_scratch(&mut scratch);
                connection.send(&records(3_500, 1)[round * 100..]).unwrap();
                let message = peer.read_one(connection);
                reach = reach.max(message.reach());
                connection.detach_scratch(&mut scratch);
            }
        }
        assert!((least..=most).contains(&reach), "{reach} bytes, with a history of {history}");
    }
}

/// While no other connection uses the compressor, it still has all of the window.
#[test]
fn a_connection_alone_reaches_back_beyond_its_history() {
    let config = Config::default().compression(compression(6, 8, 512));
    let text = records(3_000, 1);
    let messages = exchange(&config, Role::Server, 12, true, &[text.clone(), text]);
    assert!(messages[1].reach() > 2_500, "{}", messages[1].reach());
}

/// The level and the memory level take effect.
#[test]
fn a_higher_level_compresses_better() {
    let text = [records(20_000, 1)];
    let size = |level, memory_level| {
        let config = Config::default().compression(compression(level, memory_level, 512));
        exchange(&config, Role::Server, 15, true, &text)[0].wire.len()
    };
    assert!(size(9, 8) < size(1, 8));
    assert_ne!(size(6, 1), size(6, 9));
}
