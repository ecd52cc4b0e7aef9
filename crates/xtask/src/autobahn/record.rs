//! `--record`: writes what the suite sent and expected in each case, as text that a test can replay.
//!
//! The frames are those of the suite, as a relay recorded them. The expected replies are those that the suite reported
//! as received and correct. `testdata/autobahn/README.md` describes the files.

mod frame;
mod notation;

use std::collections::{BTreeMap, HashMap};
use std::fs;

use anyhow::{Context, Result, ensure};

use super::case::CaseId;
use super::details::{Details, ReportEvent};
use super::endpoint::Role;
use super::report::Report;
use crate::relay::Relay;
use crate::workspace;
use frame::Frame;
use notation::{hex, token, write_run};

/// A reply of an endpoint to frames that it received.
#[derive(Debug, Eq, PartialEq)]
enum Reply {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
}

/// Writes the file for the role of our endpoint, from the report of a run and the records of its relay.
pub(crate) fn write(role: Role, report: &Report, relay: &Relay) -> Result<()> {
    let mut pending = HashMap::new();
    for (id, case) in report.cases() {
        let details = report.details(case)?;
        pending.insert(details.http_request.clone().into_bytes(), (id, details));
    }
    let mut records = BTreeMap::new();
    while !pending.is_empty() {
        let conversation =
            relay.next().with_context(|| format!("{} cases did not pass through the relay", pending.len()))?;
        if let Some((id, details)) = pending.remove(&conversation.request) {
            // The suite is the peer.
            let sent = match role {
                Role::Server => &conversation.from_client,
                Role::Client => &conversation.from_server,
            };
            let record = record(id, &details, sent).with_context(|| format!("cannot record {id}"))?;
            records.insert(id, record);
        }
    }
    let name = role.name();
    let title =
        format!("# What the Autobahn testsuite sends to a {name}, and the replies that it expects: see README.md.\n");
    let text = title + &records.into_values().collect::<String>();
    fs::write(workspace::root().join(format!("testdata/autobahn/{name}.txt")), text)?;
    Ok(())
}

/// Returns the record of a case that passed.
fn record(id: &CaseId, details: &Details, sent: &[u8]) -> Result<String> {
    let (mut frames, rest) = Frame::read_all(sent);
    ensure!(rest.is_empty() || !details.closed_by_me, "{} bytes follow frame {}", rest.len(), frames.len());
    if !details.closed_by_me {
        // It is a race whether the suite answers our Close frame before it sees the end of TCP.
        frames.pop_if(|last| last.is_close());
    }
    let replies = replies(details, &frames)?;

    let mut text = format!("\ncase: {id}\nverdict: {}\n", details.behavior);
    Frame::write_all(&frames, &mut text)?;
    if !rest.is_empty() {
        text += &format!("cut: {}\n", hex(rest));
    }
    for run in replies.chunk_by(PartialEq::eq) {
        write_run(&mut text, "reply", run, Reply::line)?;
    }
    text += &close(details)?;
    Ok(text)
}

/// Returns the replies that the suite received and found correct, without the Close frame.
fn replies(details: &Details, frames: &[Frame]) -> Result<Vec<Reply>> {
    let Details { behavior, expected, received, .. } = details;
    let answers = answers(frames);
    if expected.is_empty() {
        // Cases 9: the suite counts echoes, and checks their kind and length.
        return Ok(answers);
    }
    let is_expected = behavior == "INFORMATIONAL" || expected.get(behavior) == Some(received);
    ensure!(is_expected, "the received events differ from the expected ones");
    // The report shows only the beginning of a long payload.
    let mut answers = answers.into_iter();
    let caused = received.iter().filter(|event| !event.is_timeout());
    caused
        .map(|event| {
            answers.find(|answer| answer.report_event() == *event).with_context(|| format!("no frame causes {event:?}"))
        })
        .collect()
}

/// Returns the replies to these frames if all are valid: the echo of each whole message, and a Pong at once.
fn answers(frames: &[Frame]) -> Vec<Reply> {
    let mut answers = Vec::new();
    let mut message = None;
    for frame in frames {
        match (frame.opcode(), &mut message) {
            (1, _) => message = Some(Reply::Text(frame.payload().to_vec())),
            (2, _) => message = Some(Reply::Binary(frame.payload().to_vec())),
            (0, Some(Reply::Text(payload) | Reply::Binary(payload))) => payload.extend_from_slice(frame.payload()),
            (9, _) => answers.push(Reply::Pong(frame.payload().to_vec())),
            _ => {}
        }
        if frame.is_final() && frame.opcode() < 8 {
            answers.extend(message.take());
        }
    }
    answers
}

/// Returns the lines about the end of the connection.
fn close(details: &Details) -> Result<String> {
    let Details { expected_close, closed_by_me, remote_close_code, .. } = details;
    ensure!(
        remote_close_code.is_none_or(|code| expected_close.close_code.contains(&code)),
        "closed with the wrong code {remote_close_code:?}"
    );
    let code = remote_close_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    let mut allowed: Vec<_> = expected_close.close_code.iter().map(ToString::to_string).collect();
    allowed.dedup();
    let key = if *closed_by_me { "answers" } else { "fails" };
    Ok(format!("{key}: {code}\nallowed: {}\n", allowed.join(" ")))
}

impl Reply {
    /// Returns the event as the suite's report shows it.
    fn report_event(&self) -> ReportEvent {
        match self {
            Self::Text(payload) => ReportEvent::text(payload),
            Self::Binary(payload) => ReportEvent::binary(payload),
            Self::Pong(payload) => ReportEvent::pong(payload),
        }
    }

    fn line(&self) -> Result<String> {
        Ok(match self {
            Self::Text(payload) => format!("text {}", token(payload)?),
            Self::Binary(payload) => format!("binary {}", token(payload)?),
            Self::Pong(payload) => format!("pong {}", token(payload)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records a case from a report in which the suite received what it expected, changed by `change`, and its frames.
    fn record_of(change: &[(&str, serde_json::Value)], sent: &[u8]) -> Result<String> {
        let mut details = serde_json::json!({
            "behavior": "OK",
            "httpRequest": "GET / HTTP/1.1\r\n\r\n",
            "expected": { "OK": [["pong", "1"], ["timeout", "A"], ["message", "ab", false]], "NON-STRICT": [] },
            "received": [["pong", "1"], ["timeout", "A"], ["message", "ab", false]],
            "expectedClose": { "closeCode": [1000, 1000, 1001] },
            "closedByMe": true,
            "remoteCloseCode": 1001,
        });
        for (key, value) in change {
            details[key] = value.clone();
        }
        record(&"5.3".parse()?, &serde_json::from_value(details)?, sent)
    }

    const SENT: &[u8] = b"\x01\x01a\x89\x011\x80\x01b\x88\x02\x03\xe9";

    #[test]
    fn a_record_has_frames_and_replies() {
        let frames = "sent: 01 - 61\nsent: 89 - 31\nsent: 80 - 62\n";
        let replies = "reply: pong 31\nreply: text 6162\n";
        let expected =
            format!("\ncase: 5.3\nverdict: OK\n{frames}sent: 88 - 03e9\n{replies}answers: 1001\nallowed: 1000 1001\n");
        assert_eq!(record_of(&[], SENT).unwrap(), expected);

        // The suite's answer to our Close frame is omitted.
        let failed = [("closedByMe", false.into())];
        let expected = format!("\ncase: 5.3\nverdict: OK\n{frames}{replies}fails: 1001\nallowed: 1000 1001\n");
        assert_eq!(record_of(&failed, SENT).unwrap(), expected);
        // An incomplete frame is recorded.
        let unfinished = [&SENT[..SENT.len() - 4], b"\x81\x05"].concat();
        let expected = expected.replace(replies, &format!("cut: 8105\n{replies}"));
        assert_eq!(record_of(&failed, &unfinished).unwrap(), expected);
    }

    #[test]
    fn without_expected_events_every_message_is_a_reply() {
        let counted = [("expected", serde_json::json!({})), ("received", serde_json::json!([]))];
        let record = record_of(&counted, SENT).unwrap();
        assert!(record.contains("reply: pong 31\nreply: text 6162\n"), "{record}");
    }

    #[test]
    fn inconsistent_reports_are_refused() {
        let message = serde_json::json!([["message", "ba", false]]);
        let table = [
            (vec![("received", message.clone())], SENT, "the received events differ from the expected ones"),
            (vec![("received", message), ("behavior", "INFORMATIONAL".into())], SENT, "no frame causes"),
            (vec![("remoteCloseCode", 1002.into())], SENT, "wrong code"),
            (vec![], &SENT[..SENT.len() - 1], "3 bytes follow frame 3"),
        ];
        for (change, sent, reason) in table {
            let error = record_of(&change, sent).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
