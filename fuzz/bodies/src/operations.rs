//! `operations`: the public calls of `WebSocket` and `Connection` in any order, at any time. None panics, and after each the
//! contract holds: states only go forward, `Close` comes once and last, a failure is for good, timers are quiet until they
//! are due and then fire, and what leaves is what was accepted.

mod endpoint;
mod run;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::{drive, limits};
use endpoint::Endpoint;
use run::Run;

/// One call, or a few that belong together.
#[derive(Arbitrary, Clone, Debug)]
enum Operation {
    /// Bytes from the peer: frames, or anything.
    Frame,
    Bytes,
    /// The opening handshake of the peer, whole.
    Handshake,
    Eof,
    Wait {
        millis: u8,
    },
    GoBack {
        millis: u8,
    },
    Timeout,
    /// Time passes until the deadline.
    TimeoutWhenDue,
    Send {
        is_text: bool,
        is_owned: bool,
    },
    SendShared {
        is_text: bool,
    },
    SendEncoded {
        is_text: bool,
    },
    SendFragment {
        is_text: bool,
        last: bool,
    },
    Ping {
        length: u8,
    },
    Pong {
        length: u8,
    },
    Close {
        code: u16,
        reason: u8,
    },
    Take {
        count: u16,
    },
    TakeAll,
    /// The driver lends memory, or takes it back.
    Lend,
    GiveBack,
    Accept {
        offered: bool,
    },
    Reject {
        status: u16,
    },
}

/// Which endpoint (a byte), its configuration (12 bytes), then operations, each with what it needs.
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let choice: u8 = u.arbitrary()?;
    let config = limits::all(u)?;
    let endpoint = Endpoint::new(drive::role(choice), choice & 2 != 0, config.clone());
    let mut run = Run::new(endpoint, config);
    while !u.is_empty() {
        let operation = u.arbitrary()?;
        run.perform(operation, u)?;
        run.check();
    }
    run.finish();
    Ok(())
}
