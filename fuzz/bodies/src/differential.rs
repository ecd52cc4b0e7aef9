//! `differential`: the same bytes from a client to our server and to tungstenite's. Both tell the same messages and
//! come to the same verdict, but for the differences that are listed here by name.

use std::io::{self, Read, Write};
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sansocket::{Config, ProtocolError, Role};
use tungstenite::protocol::{Role as TheirRole, WebSocketConfig};
use tungstenite::{Error as TheirError, Message, WebSocket};

use crate::drive::{self, Cuts};
use crate::model::{self, Failure, Seen};
use crate::wire;

/// The most that either takes.
const MAX_SIZE: usize = 1 << 20;

/// Where tungstenite and this library differ, and what decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length". tungstenite takes any.
    LengthNotMinimal,
    /// Section 7.4: a status code that may not travel. tungstenite tells the application that it was closed with 1002,
    /// which it answers; here it is an error of the peer's, answered with 1002.
    CloseCodeInvalid,
    /// The IANA registry of section 11.7 has given 1014 a meaning. tungstenite still takes it for reserved.
    CloseCode1014,
    /// Section 7.1.7 lets an endpoint fail a connection as soon as it knows; tungstenite judges a frame when it is
    /// whole.
    FrameNotWhole,
}

/// What a server made of the bytes.
#[derive(Debug)]
struct Outcome {
    events: Vec<Seen>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    /// The bytes ended, and more could have come.
    Ended,
    Closed(u16, String),
    Failed,
}

/// Cuts (4 bytes), then a stream (see `wire`).
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let cuts = Cuts::choose(u)?;
    let stream = wire::stream(u, Role::Server)?;
    let theirs = theirs(&stream);
    let (ours, error) = ours(&stream, cuts);
    match difference(&stream, error, &ours) {
        // what came before the frame in question is still the same
        Some(Difference::LengthNotMinimal) => assert!(theirs.events.starts_with(&ours.events), "{ours:?}\n{theirs:?}"),
        Some(Difference::CloseCodeInvalid) => {
            assert_eq!(ours.events, theirs.events);
            // the reason behind the code may be no text besides
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

/// The difference that these bytes show, if they show one.
fn difference(stream: &[u8], error: Option<Failure>, ours: &Outcome) -> Option<Difference> {
    match error {
        // a Ping whose 16 bits say 5 is too long here, since they announce more than 125, and fine there
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
    // tungstenite counts no empty fragments
    config.max_empty_fragments = u32::MAX;
    config
}

fn ours(stream: &[u8], cuts: Cuts) -> (Outcome, Option<Failure>) {
    let outcome = drive::outcome(Role::Server, &Arc::new(config()), stream, cuts, 0);
    let verdict = match (&outcome.error, outcome.close.was_clean) {
        (Some(_), _) => Verdict::Failed,
        (None, true) => Verdict::Closed(outcome.close.code.as_u16(), outcome.close.reason.into()),
        (None, false) => Verdict::Ended,
    };
    (Outcome { events: outcome.events, verdict }, outcome.error)
}

/// A stream that gives these bytes, then ends, and forgets what is written.
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
                events.push(Seen::Text(text.to_string()));
                continue;
            }
            Ok(Message::Binary(bytes)) => {
                events.push(Seen::Binary(bytes.to_vec()));
                continue;
            }
            Ok(Message::Ping(bytes)) => {
                events.push(Seen::Ping(bytes.to_vec()));
                continue;
            }
            Ok(Message::Pong(bytes)) => {
                events.push(Seen::Pong(bytes.to_vec()));
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
