//! Parses the records of `testdata/autobahn/`.

use sansocket::Role;

use crate::frame::{self, BINARY, CLOSE, PONG, Reply, TEXT};

/// A case: what the suite sent to an endpoint, and the expected replies and end.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    sent: Vec<Run>,
    /// The encoded beginning of another frame.
    cut: Vec<u8>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) ending: Ending,
    /// The status codes that the suite permits in the endpoint's Close frame. A Close frame without one is always
    /// permitted.
    pub(crate) permitted: Vec<u16>,
}

/// The reason for the endpoint's Close frame, and its status code.
pub(crate) enum Ending {
    /// The endpoint fails the connection; the suite has sent no Close frame.
    Fails(Option<u16>),
    /// The endpoint answers a Close frame.
    Answers(Option<u16>),
}

/// Consecutive frames that are equal except for their keys.
struct Run {
    /// FIN, RSV and opcode.
    first: u8,
    /// The masking key of the first frame.
    key: Option<[u8; 4]>,
    payload: Vec<u8>,
    count: usize,
}

/// Returns the cases for an endpoint with this role.
pub(crate) fn read(role: Role) -> Vec<Case> {
    let text = match role {
        Role::Client => include_str!("../../../../testdata/autobahn/client.txt"),
        Role::Server => include_str!("../../../../testdata/autobahn/server.txt"),
    };
    let records = text.split("\n\n").map(|record| record.lines().filter_map(|line| line.split_once(": ")));
    let records = records.map(Iterator::collect::<Vec<_>>);
    records.filter(|fields| fields.iter().any(|field| field.0 == "case")).map(|fields| Case::parse(&fields)).collect()
}

impl Case {
    fn parse(fields: &[(&'static str, &'static str)]) -> Self {
        let all = |name| fields.iter().filter(move |field| field.0 == name).map(|field| field.1);
        let one = |name| all(name).next();
        let code = |text: &str| (text != "-").then(|| text.parse().unwrap());
        Self {
            id: one("case").unwrap(),
            sent: all("sent").map(Run::parse).collect(),
            cut: one("cut").map(bytes).unwrap_or_default(),
            replies: all("reply").flat_map(replies).collect(),
            ending: match (one("fails"), one("answers")) {
                (Some(fails), None) => Ending::Fails(code(fails)),
                (None, Some(answers)) => Ending::Answers(code(answers)),
                ends => panic!("not exactly one of `fails` and `answers`: {ends:?}"),
            },
            permitted: one("allowed").unwrap().split(' ').map(|code| code.parse().unwrap()).collect(),
        }
    }

    /// Returns all bytes that the suite sent.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut wire = write(&self.sent);
        wire.extend_from_slice(&self.cut);
        wire
    }

    /// Returns the bytes before its first Close frame.
    pub(crate) fn wire_before_close(&self) -> Vec<u8> {
        let end = self.sent.iter().position(Run::is_close).unwrap_or(self.sent.len());
        write(&self.sent[..end])
    }

    /// Returns the status code in its first Close frame.
    pub(crate) fn close_sent(&self) -> Option<u16> {
        let close = self.sent.iter().find(|run| run.is_close())?;
        close.payload.first_chunk().map(|code| u16::from_be_bytes(*code))
    }
}

impl Run {
    fn parse(line: &str) -> Self {
        let (line, count) = count(line);
        let [first, key, payload] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Self {
            first: u8::from_str_radix(first, 16).unwrap(),
            key: bytes(key).first_chunk().copied(),
            payload: bytes(payload),
            count,
        }
    }

    fn is_close(&self) -> bool {
        self.first & 0x0f == CLOSE
    }
}

fn write(runs: &[Run]) -> Vec<u8> {
    let mut wire = Vec::new();
    for Run { first, key, payload, count } in runs {
        let mut key = *key;
        for _ in 0..*count {
            frame::write(&mut wire, *first, key, payload);
            key = key.map(next_key);
        }
    }
    wire
}

/// Returns a key for the next frame of a run: only the first key was recorded.
fn next_key(key: [u8; 4]) -> [u8; 4] {
    u32::from_be_bytes(key).wrapping_mul(1_664_525).wrapping_add(1_013_904_223).to_be_bytes()
}

fn replies(line: &str) -> impl Iterator<Item = Reply> {
    let (line, count) = count(line);
    let (kind, payload) = line.split_once(' ').unwrap();
    let opcode = match kind {
        "text" => TEXT,
        "binary" => BINARY,
        "pong" => PONG,
        _ => panic!("unknown reply: {kind}"),
    };
    let payload = bytes(payload);
    (0..count).map(move |_| Reply { opcode, payload: payload.clone() })
}

/// Splits the count, `xN` at the end, from a line.
fn count(line: &str) -> (&str, usize) {
    match line.rsplit_once(" x") {
        Some((line, count)) => (line, count.parse().unwrap()),
        None => (line, 1),
    }
}

/// Parses a token: hex digits, `N*HEX` for N bytes of HEX repeated, or `-` for none.
fn bytes(token: &str) -> Vec<u8> {
    let hex = |digits: &str| -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    match token.split_once('*') {
        Some((count, period)) => {
            let (count, period): (usize, _) = (count.parse().unwrap(), hex(period));
            let mut bytes = period.repeat(count.div_ceil(period.len()));
            bytes.truncate(count);
            bytes
        }
        None if token == "-" => vec![],
        None => hex(token),
    }
}
