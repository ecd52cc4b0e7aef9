//! Published advisories on compression in other libraries, and what keeps them from happening here.

use sansocket::{Config, Role};

use crate::support::*;

/// CVE-2026-1526, CVE-2018-1000518, CVE-2026-39804: unbounded inflation. CVE-2026-54490: the limit was checked before
/// inflation. The tests in `memory.rs` bound the memory.
#[test]
fn a_message_that_inflates_a_thousandfold_stops_at_the_limit() {
    let bomb = compress(&vec![0; 4 << 20]);
    assert!(bomb.len() < 5_000);
    let config = Config::default().max_message_size(64 * 1024);
    let received = receive_with(&config, agreed(15, true), |role| message(role, &bomb));
    assert_eq!((received.messages.len(), received.close_code()), (0, Some(1009)));
}

/// CVE-2026-85024: an error after the limit was exceeded was not handled. Here the data behind the limit is invalid, and
/// so is the next frame.
#[test]
fn a_failure_after_the_limit_is_no_second_error() {
    let mut bomb = compress(&vec![0; 200_000]);
    bomb.extend([0xff; 64]);
    let config = Config::default().max_message_size(1_000);
    for role in BOTH {
        for pieces in [Pieces::Whole, Pieces::Bytes] {
            let wire = [message(role, &bomb), vec![0xff; 100]].concat();
            let mut connection = endpoint(role, &config, agreed(15, true));
            let pieces = pieces.of(&wire);
            let received = receive(&mut connection, &pieces, None);
            assert_eq!(received.close_code(), Some(1009));
            assert_eq!(receive(&mut connection, &pieces, None).error, received.error);
        }
    }
}

/// RUSTSEC-2020-0123: uninitialised memory in the output. Every byte of a message that leaves room in a step, and of
/// the next shorter one, is the peer's.
#[test]
fn a_shorter_message_has_no_bytes_of_a_longer_one() {
    let mut server = endpoint(Role::Server, &Config::default(), agreed(15, false));
    for len in [8_192, 8_191, 100, 1, 0, 20_000, 3] {
        let data = vec![len as u8 | 1; len];
        let received = receive(&mut server, &[&message(Role::Server, &compress(&data))], None);
        assert_eq!(received, Received::binary(&[&data]));
    }
}
