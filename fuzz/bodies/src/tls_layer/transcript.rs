//! Two honest ends of TLS, between which bytes are cut anywhere, changed, inserted or lost. What an end receives is a
//! prefix of what the other has sent. It is all of it if nothing was damaged, or if the end of the stream is accepted.

use arbitrary::{Result, Unstructured};
use sansocket::Role;
use sansocket_sim::fixed_tls::Version;

use super::end::End;
use super::wire::Wire;

/// The most rounds until two ends have nothing more to write: those of a handshake, data, alerts, tickets.
const ROUNDS_MAX: usize = 12;

struct Transcript {
    ends: [End; 2],
    /// `wires[i]` leads from end `i` to the other.
    wires: [Wire; 2],
}

/// Input: the damage of both directions, then calls, each a byte and its arguments.
pub(super) fn check(version: Version, u: &mut Unstructured<'_>) -> Result<()> {
    let wires = [Wire::choose(u)?, Wire::choose(u)?];
    let ends = [Role::Client, Role::Server].map(|role| End::new(role, version));
    let mut transcript = Transcript { ends, wires };
    while !u.is_empty() {
        transcript.perform(u)?;
        transcript.check_received();
    }
    transcript.exchange();
    transcript.check_end();
    Ok(())
}

/// Returns an end with this role after a handshake.
pub(super) fn open(role: Role, version: Version) -> End {
    let undamaged = || Wire::choose(&mut Unstructured::new(&[])).expect("zeros");
    let ends = [Role::Client, Role::Server].map(|role| End::new(role, version));
    let mut transcript = Transcript { ends, wires: [undamaged(), undamaged()] };
    transcript.exchange();
    let [client, server] = transcript.ends;
    assert!(client.tls.is_open() && server.tls.is_open(), "a handshake");
    if role == Role::Client { client } else { server }
}

impl Transcript {
    fn perform(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let choice: u8 = u.arbitrary()?;
        let index = usize::from(choice & 1);
        match choice >> 1 & 15 {
            0..3 => {
                let count = u.arbitrary::<u16>()? % 2_000;
                self.send(index, count.into());
            }
            3 => self.send(index, 40_000),
            4..7 => {
                let count = usize::from(u.arbitrary::<u8>()?);
                let bytes = self.ends[index].take(count);
                self.wires[index].write(bytes);
            }
            7..10 => {
                let max = u.arbitrary::<u8>()?.into();
                self.deliver(index, max);
            }
            10 => self.ends[index].close(),
            _ => self.exchange(),
        }
        Ok(())
    }

    /// Sends bytes that differ from those sent before.
    fn send(&mut self, index: usize, count: usize) {
        let start = self.ends[index].sent.len();
        let data: Vec<u8> = (start..start + count).map(|at| (at ^ at >> 8) as u8).collect();
        self.ends[index].send(&data);
    }

    /// Carries bytes in both directions until there are none.
    fn exchange(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut has_moved = false;
            for index in [0, 1] {
                let bytes = self.ends[index].written();
                has_moved |= !bytes.is_empty();
                self.wires[index].write(bytes);
                has_moved |= self.deliver(1 - index, usize::MAX);
            }
            if !has_moved {
                return;
            }
        }
        panic!("the ends do not stop writing");
    }

    /// Delivers up to `max` bytes to an end. Returns whether there were any.
    fn deliver(&mut self, index: usize, max: usize) -> bool {
        let (end, wire) = (&mut self.ends[index], &mut self.wires[1 - index]);
        let bytes = wire.read(max);
        if !wire.would_panic(end.has_closed) {
            end.receive(&bytes);
        }
        !bytes.is_empty()
    }

    fn check_received(&self) {
        for (from, to) in self.directions() {
            assert!(from.sent.starts_with(&to.received), "the plaintext differs from what was sent");
        }
    }

    fn check_end(&self) {
        self.check_received();
        let is_damaged = self.wires.iter().any(|wire| wire.is_damaged);
        for (from, to) in self.directions() {
            if !is_damaged {
                assert!(to.error.is_none(), "{:?}", to.error);
                assert_eq!(to.tls.has_received_close(), from.has_closed, "whether a close_notify arrived");
            }
            let is_complete = to.error.is_none() && (to.tls.check_eof().is_ok() || !is_damaged);
            assert!(!is_complete || to.received == from.sent, "bytes are missing, and no error says so");
            let is_clean = to.error.is_none() && to.tls.check_eof().is_ok();
            assert!(!is_clean || from.has_closed, "the end of the stream is accepted without a close_notify");
        }
    }

    fn directions(&self) -> [(&End, &End); 2] {
        let [client, server] = &self.ends;
        [(client, server), (server, client)]
    }
}
