//! `tls_layer`: TLS receives any bytes in any pieces, and does not panic. Its memory is in proportion to the bytes
//! received. After an error it decrypts nothing more, and its output ends with the alert.
//!
//! An input is one of four conversations. The random numbers of the key exchange differ in each run, so no check
//! depends on the ciphertext.

mod drivers;
mod end;
mod records;
mod transcript;
mod wire;

use arbitrary::{Result, Unstructured};
use sansocket::Role;
use sansocket_sim::fixed_tls::{self, Version};

use crate::drive::Cuts;
use end::End;

/// The choices of `records` and `strangers`, and the bits that choose the version, the role, and whether a handshake precedes.
const RECORDS: u8 = 2;
const STRANGERS: u8 = 3;
const TLS12: u8 = 1 << 2;
const CLIENT: u8 = 1 << 3;
const AFTER_HANDSHAKE: u8 = 1 << 4;

/// Input: a choice of the conversation, the version and the role, then what the conversation takes.
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let choice: u8 = u.arbitrary()?;
    let version = if choice & TLS12 == 0 { Version::Tls13 } else { Version::Tls12 };
    fixed_tls::seed(6455);
    match choice % 4 {
        0 => transcript::check(version, u),
        1 => drivers::check(version, u),
        RECORDS => records::check(role(choice), u),
        _ => strangers(version, choice, u),
    }
}

/// Checks an endpoint that receives bytes that are not TLS, at once or after a handshake.
fn strangers(version: Version, choice: u8, u: &mut Unstructured<'_>) -> Result<()> {
    let role = role(choice);
    let mut end = if choice & AFTER_HANDSHAKE == 0 { End::new(role, version) } else { transcript::open(role, version) };
    let cuts = Cuts::choose(u)?;
    let bytes = u.bytes(u.len())?;
    for piece in cuts.of(&mut bytes.to_vec()) {
        end.receive(piece);
        end.written();
    }
    assert_eq!(end.received, b"", "plaintext from bytes that the peer has not encrypted");
    Ok(())
}

fn role(choice: u8) -> Role {
    if choice & CLIENT == 0 { Role::Server } else { Role::Client }
}

/// Makes inputs of `records`: either end receives a flood of empty records, and a client one of tickets and empty
/// records by turns.
pub(crate) fn floods() -> [Vec<u8>; 3] {
    let flood = |role: u8, records: &[u8]| [&[RECORDS | role][..], &records.repeat(25)].concat();
    [flood(0, &[0, 0, 0, 0]), flood(CLIENT, &[0, 0, 0, 0]), flood(CLIENT, &[2, 0, 0, 0])]
}

/// Makes inputs of `strangers` with the first flight of a client and of a server, in both versions.
pub(crate) fn first_flights() -> impl Iterator<Item = Vec<u8>> {
    [(Version::Tls13, 0), (Version::Tls12, TLS12)].into_iter().flat_map(|(version, choice)| {
        let [mut client, mut server] = [Role::Client, Role::Server].map(|role| End::new(role, version));
        let hello = client.written();
        server.receive(&hello);
        let input = |role: u8, flight: Vec<u8>| [&[STRANGERS | choice | role, 0, 0, 0, 0], &flight[..]].concat();
        [input(0, hello), input(CLIENT, server.written())]
    })
}
