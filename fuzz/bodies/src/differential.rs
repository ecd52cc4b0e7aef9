//! `differential`: sends the same bytes from a client to our server and to tungstenite's. Both deliver the same
//! messages and come to the same verdict, except for the differences listed in `Difference`.

use std::io::{self, Read, Write};
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sansocket::{Config, ProtocolError, Role};
use tungstenite::protocol::{Role as TheirRole, WebSocketConfig};
use tungstenite::{Error as TheirError, Message, WebSocket};

use crate::drive::{self, Cuts};
use crate::model::{self, Failure, ReceivedEvent};
use crate::wire;

/// The maximum message size of both.
const MAX_SIZE: usize = 1 << 20;

/// A difference between tungstenite and this library, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length". tungstenite accepts any
    /// encoding.
    LengthNotMinimal,
    /// Section 7.4: a status code that must not be sent. tungstenite reports a close with 1002, its answer; here it is
    /// a protocol error, answered with 1002.
    CloseCodeInvalid,
    /// The IANA registry of section 11.7 defines 1014. tungstenite treats it as reserved.
    CloseCode1014,
    /// Section 7.1.7 allows an endpoint to fail a connection at once; tungstenite checks a frame when it is complete.
    FrameNotWhole,
}

/// The results of a server.
#[derive(Debug)]
struct Outcome {
    events: Vec<ReceivedEvent>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    /// The stream ended while the connection was open.
    Ended,
    Closed(u16, String),
    Failed,
}

/// Input: cuts (4 bytes), then a stream (see `wire`).
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let cuts = Cuts::choose(u)?;
    let stream = wire::stream(u, Role::Server)?;
    let theirs = theirs(&stream);
    let (ours, error) = ours(&stream, cuts);
    match difference(&stream, error, &ours) {
        // the events before that frame are equal
        Some(Difference::LengthNotMinimal) => assert!(theirs.events.starts_with(&ours.events), "{ours:?}\n{theirs:?}"),
        Some(Difference::CloseCodeInvalid) => {
            assert_eq!(ours.events, theirs.events);
            // the reason may be invalid UTF-8 too
            assert!(matches!(theirs.verdict, Verdict::Closed(1002, _) | Verdict::Failed), "{theirs:?}");
        }
        Some(Difference::CloseCode1014) => {
            assert_eq!(ours.events, theirs.events);
            assert!(matches!(theirs.verdict, Verdict::Closed(1002 | 1014, _)), "{theirs:?}");
        }
        Some(Difference::FrameNotWhole) => {
            assert_eq!(ours.events, theirs.events);
            assert_ne!(theirs.verdict, Verdict::Closed(1000, String::new()), "{ours:?}\n{theirs:?}");
        }
        None => {
            assert_eq!(ours.events, theirs.events, "{stream:x?}");
            assert_eq!(ours.verdict, theirs.verdict, "{error:?}: {stream:x?}");
        }
    }
    Ok(())
}

/// Returns the difference that applies to these bytes, if any.
fn difference(stream: &[u8], error: Option<Failure>, ours: &Outcome) -> Option<Difference> {
    match error {
        // a Ping with the length 5 in 16 bits: too long here, because 16 bits mean more than 125; accepted by
        // tungstenite
        Some(Failure::Rule(ProtocolError::LengthNotMinimal | ProtocolError::ControlFrameTooLong)) => {
            Some(Difference::LengthNotMinimal)
        }
        Some(Failure::Rule(ProtocolError::CloseCodeInvalid)) => Some(Difference::CloseCodeInvalid),
        Some(_) if !model::receive(Role::Server, &config(), stream).is_whole => Some(Difference::FrameNotWhole),
        None if matches!(ours.verdict, Verdict::Closed(1014, _)) => Some(Difference::CloseCode1014),
        _ => None,
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.max_message_size = MAX_SIZE;
    // tungstenite does not limit empty fragments
    config.max_empty_fragments = u32::MAX;
    config
}

fn ours(stream: &[u8], cuts: Cuts) -> (Outcome, Option<Failure>) {
    let outcome = drive::outcome(Role::Server, &Arc::new(config()), stream, cuts);
    let verdict = match (&outcome.error, outcome.close.was_clean) {
        (Some(_), _) => Verdict::Failed,
        (None, true) => Verdict::Closed(outcome.close.code.as_u16(), outcome.close.reason.into()),
        (None, false) => Verdict::Ended,
    };
    (Outcome { events: outcome.events, verdict }, outcome.error)
}

/// A stream that delivers these bytes and ends; it discards what is written.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(stream: &[u8]) -> Outcome {
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .max_frame_size(Some(MAX_SIZE))
        .max_message_size(Some(MAX_SIZE));
    let mut server = WebSocket::from_raw_socket(Wire(stream), TheirRole::Server, Some(config));
    let mut events = Vec::new();
    loop {
        let verdict = match server.read() {
            Ok(Message::Text(text)) => {
                events.push(ReceivedEvent::Text(text.to_string()));
                continue;
            }
            Ok(Message::Binary(bytes)) => {
                events.push(ReceivedEvent::Binary(bytes.to_vec()));
                continue;
            }
            Ok(Message::Ping(bytes)) => {
                events.push(ReceivedEvent::Ping(bytes.to_vec()));
                continue;
            }
            Ok(Message::Pong(bytes)) => {
                events.push(ReceivedEvent::Pong(bytes.to_vec()));
                continue;
            }
            Ok(Message::Close(frame)) => frame.map_or(Verdict::Closed(1005, String::new()), |frame| {
                Verdict::Closed(frame.code.into(), frame.reason.to_string())
            }),
            Ok(Message::Frame(frame)) => panic!("{frame:?}"),
            Err(TheirError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                Verdict::Ended
            }
            Err(TheirError::Protocol(_) | TheirError::Capacity(_) | TheirError::Utf8(_)) => Verdict::Failed,
            Err(error) => panic!("{error:?}"),
        };
        return Outcome { events, verdict };
    }
}
