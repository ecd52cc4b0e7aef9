//! The operations of a run.

use arbitrary::{Result, Unstructured};

/// A call, or several that belong together.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// A frame from the peer, or random bytes.
    Frame,
    Bytes,
    /// The peer's whole opening handshake.
    Handshake,
    Eof,
    Wait {
        millis: u8,
    },
    GoBack {
        millis: u8,
    },
    Timeout,
    /// Time passes until the deadline, which is handled.
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
    /// The driver attaches scratch, or detaches it.
    AttachScratch,
    DetachScratch,
    Accept {
        offered: bool,
    },
    HttpResponse {
        status: u16,
    },
    /// The driver takes bytes that it reports as delivered later.
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
    /// Chooses an operation. One byte selects its kind, so a mutation of that byte changes the operation.
    pub(super) fn choose(u: &mut Unstructured<'_>) -> Result<Self> {
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
            24 => Self::AttachScratch,
            25 => Self::DetachScratch,
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
