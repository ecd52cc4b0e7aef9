//! Records without data: they do not end the stream, KeyUpdates are answered, and floods are refused.

use rustls::ContentType::{ApplicationData, Handshake};
use sansocket::Role;
use sansocket_tls::{Tls, TlsError, rustls};

use crate::support::{BOTH, Configs, RawSender, receive, written};

const LIMIT: usize = Tls::MAX_RECORDS_WITHOUT_DATA as usize;

/// A NewSessionTicket (RFC 8446 4.6.1) with a lifetime of an hour and a ticket of one byte.
const TICKET: [u8; 19] = [4, 0, 0, 15, 0, 0, 14, 16, 1, 2, 3, 4, 1, 9, 0, 1, 7, 0, 0];

/// Returns an open endpoint and a peer that can send any record.
fn open(role: Role) -> (Tls, RawSender) {
    let (mut tls, mut peer) = Configs::with_secret_extraction().open(role);
    assert_eq!(receive(&mut tls, &peer.send(b"data")).unwrap(), b"data");
    (tls, RawSender::new(peer))
}

fn check_refused(error: &TlsError) {
    assert!(matches!(error, TlsError::TooManyRecordsWithoutData { limit: 32, .. }), "{error:?}");
    assert!(error.to_string().contains("more than 32 records without data"), "{error}");
}

#[test]
fn empty_records_do_not_end_the_stream_and_a_flood_of_them_is_refused() {
    for role in BOTH {
        let (mut tls, mut peer) = open(role);
        for _ in 0..3 {
            for _ in 0..LIMIT {
                assert_eq!(receive(&mut tls, &peer.record(ApplicationData, b"")).unwrap(), b"");
            }
            assert!(!tls.has_received_close() && tls.pending().is_empty());
            assert_eq!(receive(&mut tls, &peer.record(ApplicationData, b"data")).unwrap(), b"data");
        }
        let flood: Vec<u8> = (0..=LIMIT).flat_map(|_| peer.record(ApplicationData, b"")).collect();
        check_refused(&receive(&mut tls, &flood).unwrap_err());
    }
}

#[test]
fn a_flood_of_tickets_is_refused() {
    let (mut client, mut peer) = open(Role::Client);
    for _ in 0..LIMIT {
        assert_eq!(receive(&mut client, &peer.record(Handshake, &TICKET)).unwrap(), b"");
    }
    check_refused(&receive(&mut client, &peer.record(Handshake, &TICKET)).unwrap_err());
}

#[test]
fn a_flood_of_different_records_without_data_is_refused() {
    let (mut client, mut peer) = open(Role::Client);
    let mut record = |index: usize| match index % 2 {
        0 => peer.record(Handshake, &TICKET),
        _ => peer.record(ApplicationData, b""),
    };
    let allowed: Vec<u8> = (0..LIMIT).flat_map(&mut record).collect();
    assert_eq!(receive(&mut client, &allowed).unwrap(), b"");
    check_refused(&receive(&mut client, &record(0)).unwrap_err());
}

#[test]
fn an_endpoint_that_only_reads_answers_key_updates() {
    for role in BOTH {
        let (mut tls, mut peer) = Configs::new().open(role);
        assert_eq!(receive(&mut tls, &peer.send(b"data")).unwrap(), b"data");
        for round in 0..LIMIT {
            peer.0.refresh_traffic_keys().unwrap();
            assert_eq!(receive(&mut tls, &peer.written()).unwrap(), b"");
            let answer = written(&mut tls);
            assert!(!answer.is_empty(), "{role:?}: no answer in round {round}");
            assert_eq!(peer.receive(&answer).unwrap(), b"");
            assert!(peer.written().is_empty(), "an answer is not answered");
        }
        // the new keys work in both directions
        tls.send(b"data").unwrap();
        assert_eq!(peer.receive(&written(&mut tls)).unwrap(), b"data");
        assert_eq!(receive(&mut tls, &peer.send(b"data")).unwrap(), b"data");
    }
}

#[test]
fn a_flood_of_key_updates_is_refused() {
    for role in BOTH {
        let (mut tls, mut peer) = Configs::new().open(role);
        assert_eq!(receive(&mut tls, &peer.send(b"data")).unwrap(), b"data");
        for _ in 0..LIMIT {
            peer.0.refresh_traffic_keys().unwrap();
            receive(&mut tls, &peer.written()).unwrap();
        }
        peer.0.refresh_traffic_keys().unwrap();
        check_refused(&receive(&mut tls, &peer.written()).unwrap_err());
    }
}

#[test]
fn a_handshake_message_in_tiny_records_is_bounded() {
    // a ClientHello that claims 60,000 bytes, one byte for each record
    let record = |byte: u8| [22, 3, 3, 0, 1, byte];
    let message = [1, 0, 0xea, 0x60].into_iter().chain(std::iter::repeat(0));
    let mut server = Configs::new().tls(Role::Server);
    let mut count = 0;
    let error = message
        .take(20_000)
        .find_map(|byte| {
            count += record(byte).len();
            receive(&mut server, &record(byte)).err()
        })
        .expect("no limit");
    assert!(matches!(error, TlsError::HandshakeTooLong { limit: Tls::MAX_HANDSHAKE_BYTES, .. }), "{error:?}");
    assert!((Tls::MAX_HANDSHAKE_BYTES..Tls::MAX_HANDSHAKE_BYTES + 6).contains(&(count - 1)), "{count}");
}
