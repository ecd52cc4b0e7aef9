//! The details of one case in the testsuite's report: what it expected and received.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the suite tells of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    /// The suite's word for how the endpoint did.
    pub(crate) behavior: String,
    /// The client's request: no two connections have the same.
    pub(crate) http_request: String,
    /// For each verdict what must have been received. Empty where the suite counts and measures by itself.
    pub(crate) expected: BTreeMap<String, Vec<Shown>>,
    pub(crate) received: Vec<Shown>,
    pub(crate) expected_close: ExpectedClose,
    /// Whether the suite was the first to send a Close frame.
    pub(crate) closed_by_me: bool,
    /// The status code in our endpoint's Close frame, if it had one.
    pub(crate) remote_close_code: Option<u16>,
}

/// What the suite has to say about the closing handshake.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExpectedClose {
    /// The status codes that are right. None at all is never wrong.
    pub(crate) close_code: Vec<u16>,
}

/// Something that happened to the suite, its payload as [`shown`] shows it.
#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
pub(crate) enum Shown {
    /// `message`, the payload, and whether it is binary.
    Message(String, String, bool),
    /// `pong` and its payload, or `timeout` and the name of a timer.
    Other(String, String),
}

impl Shown {
    pub(crate) fn text(payload: &[u8]) -> Self {
        Self::Message("message".into(), shown(payload), false)
    }

    pub(crate) fn binary(payload: &[u8]) -> Self {
        Self::Message("message".into(), shown(payload), true)
    }

    pub(crate) fn pong(payload: &[u8]) -> Self {
        Self::Other("pong".into(), shown(payload))
    }

    /// Whether the endpoint did not cause it.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Other(what, _) if what == "timeout")
    }
}

/// Up to 60 bytes as text, or else in hex; of more than 60 bytes the first 64.
fn shown(payload: &[u8]) -> String {
    let (begin, dots) = if payload.len() > 60 { (&payload[..payload.len().min(64)], " ...") } else { (payload, "") };
    match str::from_utf8(begin) {
        Ok(text) => format!("{text}{dots}"),
        Err(_) => {
            let digits: String = begin.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{digits}{dots}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_shown_as_in_a_report() {
        let table = [
            (Shown::text(b"pongme 1!"), r#"["message", "pongme 1!", false]"#.to_owned()),
            (Shown::text(b""), r#"["message", "", false]"#.to_owned()),
            (Shown::text(&[b'*'; 60]), format!(r#"["message", "{}", false]"#, "*".repeat(60))),
            (Shown::text(&[b'*'; 61]), format!(r#"["message", "{} ...", false]"#, "*".repeat(61))),
            (Shown::binary(&[0xfe; 126]), format!(r#"["message", "0x{} ...", true]"#, "fe".repeat(64))),
            (Shown::pong(&[0, 0xff]), r#"["pong", "0x00ff"]"#.to_owned()),
        ];
        for (shown, json) in table {
            assert_eq!(shown, serde_json::from_str(&json).unwrap());
            assert!(!shown.is_timeout());
        }
        assert!(serde_json::from_str::<Shown>(r#"["timeout", "A"]"#).unwrap().is_timeout());
    }
}
