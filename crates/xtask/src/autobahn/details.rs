//! The details of a case in the testsuite's report: what it expected and received.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The details of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    /// The verdict of the suite.
    pub(crate) behavior: String,
    /// The client's request, which is unique.
    pub(crate) http_request: String,
    /// For each verdict, the events that must be received. Empty if the suite counts and measures events.
    pub(crate) expected: BTreeMap<String, Vec<ReportEvent>>,
    pub(crate) received: Vec<ReportEvent>,
    pub(crate) expected_close: ExpectedClose,
    /// Whether the suite was the first to send a Close frame.
    pub(crate) closed_by_me: bool,
    /// The status code in our endpoint's Close frame, if it had one.
    pub(crate) remote_close_code: Option<u16>,
}

/// What the suite expects of the closing handshake.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExpectedClose {
    /// The valid status codes. A Close frame without a code is valid too.
    pub(crate) close_code: Vec<u16>,
}

/// An event in the report, with its payload in the format of [`format_payload`].
#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
pub(crate) enum ReportEvent {
    /// `message`, the payload, and whether it is binary.
    Message(String, String, bool),
    /// `pong` and its payload, or `timeout` and the name of a timer.
    Other(String, String),
}

impl ReportEvent {
    pub(crate) fn text(payload: &[u8]) -> Self {
        Self::Message("message".into(), format_payload(payload), false)
    }

    pub(crate) fn binary(payload: &[u8]) -> Self {
        Self::Message("message".into(), format_payload(payload), true)
    }

    pub(crate) fn pong(payload: &[u8]) -> Self {
        Self::Other("pong".into(), format_payload(payload))
    }

    /// Returns whether the event is a timeout, which no frame causes.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Other(kind, _) if kind == "timeout")
    }
}

/// Formats up to 60 bytes, or the first 64 of a longer payload, as text or else in hexadecimal.
fn format_payload(payload: &[u8]) -> String {
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
            (ReportEvent::text(b"pongme 1!"), r#"["message", "pongme 1!", false]"#.to_owned()),
            (ReportEvent::text(b""), r#"["message", "", false]"#.to_owned()),
            (ReportEvent::text(&[b'*'; 60]), format!(r#"["message", "{}", false]"#, "*".repeat(60))),
            (ReportEvent::text(&[b'*'; 61]), format!(r#"["message", "{} ...", false]"#, "*".repeat(61))),
            (ReportEvent::binary(&[0xfe; 126]), format!(r#"["message", "0x{} ...", true]"#, "fe".repeat(64))),
            (ReportEvent::pong(&[0, 0xff]), r#"["pong", "0x00ff"]"#.to_owned()),
        ];
        for (event, json) in table {
            assert_eq!(event, serde_json::from_str(&json).unwrap());
            assert!(!event.is_timeout());
        }
        assert!(serde_json::from_str::<ReportEvent>(r#"["timeout", "A"]"#).unwrap().is_timeout());
    }
}
