//! No message refers to the data of another connection, though connections share inflaters.

use sansocket::{Config, Error, ProtocolError, Role, Scratch};

use crate::support::*;

/// Deflate 51, 54. The first connection fills the window of the shared inflater, in every state in which a message can
/// leave it. The second one reaches back beyond its own history.
#[test]
fn a_distance_beyond_the_history_never_reaches_another_connection() {
    let secret = records(50_000, 1);
    let compressed = compress(&secret);
    let mut final_block = Peer::new(6, 15).finish(&secret);
    let first: [(Vec<u8>, Option<u16>); 4] = [
        (message(Role::Server, &compressed), None),
        (message(Role::Server, &final_block), None),
        // invalid data behind the secret
        (message(Role::Server, &[&compressed[..], &[0xff, 0xff, 0, 0, 0xff, 0xff, 0x06]].concat()), Some(1007)),
        (
            {
                final_block.push(0x06);
                message(Role::Server, &final_block)
            },
            Some(1007),
        ),
    ];
    for takeover in [false, true] {
        for (wire, code) in &first {
            for distance in [1, 2, 3, 100, 4_096, 32_768] {
                let mut scratch = Scratch::new();
                let mut other = endpoint(Role::Server, &Config::default(), agreed(15, takeover));
                let received = receive(&mut other, &[wire], Some(&mut scratch));
                assert_eq!(received.close_code(), *code);
                let mut connection = endpoint(Role::Server, &Config::default(), agreed(15, takeover));
                let wire = message(Role::Server, &copy_of_3(distance));
                let received = receive(&mut connection, &[&wire], Some(&mut scratch));
                assert_eq!(received.error, Some(Error::Protocol(ProtocolError::DeflateInvalid)), "{distance}");
                assert_eq!(received.messages, []);
            }
        }
    }
}

/// Deflate 51: the same, by a connection that has received 5 bytes before.
#[test]
fn a_distance_just_beyond_the_own_history_fails() {
    let secret = compress(&records(50_000, 1));
    let (hello, beyond) = (compress(b"Hello"), copy_of_3(6));
    for takeover in [false, true] {
        let mut scratch = Scratch::new();
        let mut other = endpoint(Role::Server, &Config::default(), agreed(15, takeover));
        let mut connection = endpoint(Role::Server, &Config::default(), agreed(15, takeover));
        for _ in 0..2 {
            receive(&mut other, &[&message(Role::Server, &secret)], Some(&mut scratch));
            let wire = message(Role::Server, &hello);
            assert_eq!(receive(&mut connection, &[&wire], Some(&mut scratch)), Received::binary(&[b"Hello"]));
        }
        receive(&mut other, &[&message(Role::Server, &secret)], Some(&mut scratch));
        let distance = if takeover { 11 } else { 1 };
        let wire = message(Role::Server, &copy_of_3(distance));
        let received = receive(&mut connection, &[&wire], Some(&mut scratch));
        assert_eq!(received.error, Some(Error::Protocol(ProtocolError::DeflateInvalid)), "{takeover} {beyond:x?}");
    }
}
