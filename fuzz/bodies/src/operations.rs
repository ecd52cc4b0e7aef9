//! `operations`: the public calls of `WebSocket` and `Connection` in any order, at any time. None panics, and after
//! each the contract holds: states only go forward, `Close` comes once and last, a failure is for good, timers are
//! quiet until they are due, a connection that is closing ends unless it makes progress, and what leaves is what was
//! accepted: all of it, unless a deadline, a failed write or the application prevents that.

mod endpoint;
mod run;

use arbitrary::{Result, Unstructured};

use crate::{drive, limits};
use endpoint::Endpoint;
use run::Run;

/// One call, or a few that belong together.
#[derive(Clone, Debug)]
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
    HttpResponse {
        status: u16,
    },
    /// The driver takes bytes, and reports them as delivered later.
    TakeBytes {
        count: u16,
    },
    Delivered {
        count: u16,
    },
    WriteLost,
    Progress,
    Abort,
}

impl Operation {
    /// One byte says which, so that to change a byte is to change the operation.
    fn choose(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? % 36 {
            0..4 => Self::Frame,
            4 => Self::Bytes,
            5 => Self::Handshake,
            6 => Self::Eof,
            7 | 8 => Self::Wait { millis: u.arbitrary()? },
            9 => Self::GoBack { millis: u.arbitrary()? },
            10 => Self::Timeout,
            11 | 12 => Self::TimeoutWhenDue,
            13 => Self::Send { is_text: u.arbitrary()?, is_owned: u.arbitrary()? },
            14 => Self::SendShared { is_text: u.arbitrary()? },
            15 => Self::SendEncoded { is_text: u.arbitrary()? },
            16 | 17 => Self::SendFragment { is_text: u.arbitrary()?, last: u.arbitrary()? },
            18 => Self::Ping { length: u.arbitrary()? },
            19 => Self::Pong { length: u.arbitrary()? },
            20 | 21 => Self::Close { code: u.arbitrary()?, reason: u.arbitrary()? },
            22 => Self::Take { count: u.arbitrary()? },
            23 => Self::TakeAll,
            24 => Self::Lend,
            25 => Self::GiveBack,
            26 => Self::Accept { offered: u.arbitrary()? },
            27 => Self::HttpResponse { status: u.arbitrary()? },
            28 | 29 => Self::TakeBytes { count: u.arbitrary()? },
            30 | 31 => Self::Delivered { count: u.arbitrary()? },
            32 => Self::WriteLost,
            33 | 34 => Self::Progress,
            _ => Self::Abort,
        })
    }
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
        let operation = Operation::choose(u)?;
        run.perform(operation, u)?;
        run.check();
    }
    run.finish();
    Ok(())
}
