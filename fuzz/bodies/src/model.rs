//! A slow and obvious receiver of frames: it has all bytes at once, and follows RFC 6455 sentence by sentence.

use sansocket::{Config, Error, ProtocolError, Role};

use crate::wire::{self, CLOSE, CONTINUATION, Head, PING, PONG, TEXT};

/// An event for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReceivedEvent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// The expected results of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) events: Vec<ReceivedEvent>,
    pub(crate) error: Option<Failure>,
    /// Code and reason of the peer's Close frame.
    pub(crate) close: Option<(u16, String)>,
    /// Whether the frame that broke a rule was complete.
    pub(crate) is_whole: bool,
}

/// Why a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Rule(ProtocolError),
    /// A limit is exceeded: its name, its value and the size.
    Limit(&'static str, u64, u64),
}

impl From<ProtocolError> for Failure {
    fn from(rule: ProtocolError) -> Self {
        Self::Rule(rule)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(rule) => Self::Rule(rule),
            Error::Limit(exceeded) => Self::Limit(exceeded.name(), exceeded.limit(), exceeded.size()),
            error => panic!("{error}"),
        }
    }
}

impl Failure {
    /// 7.4.1: the status code of the Close frame.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Rule(ProtocolError::Utf8Invalid) => 1007,
            Self::Rule(_) => 1002,
            Self::Limit("max_empty_fragments", ..) => 1008,
            Self::Limit(..) => 1009,
        }
    }

    /// The reason in the Close frame.
    pub(crate) fn reason(&self) -> String {
        let (name, limit, size) = match self {
            Self::Rule(rule) => return rule.to_string(),
            Self::Limit(name, limit, size) => (*name, grouped(*limit), grouped(*size)),
        };
        match name {
            "max_empty_fragments" => {
                format!("{size} empty fragments in a row exceed the limit of {limit} (`{name}`)")
            }
            "max_frame_payload" => format!("a frame of {size} bytes exceeds the limit of {limit} bytes (`{name}`)"),
            _ => format!("a message of {size} bytes exceeds the limit of {limit} bytes (`{name}`)"),
        }
    }
}

/// The digits of a number, grouped by thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

/// A message in progress.
struct Message {
    is_text: bool,
    payload: Vec<u8>,
    /// The sum of the lengths in its frame heads.
    announced: u64,
    empty_fragments: u32,
}

/// Receives all of `bytes`, as `role`.
pub(crate) fn receive(role: Role, config: &Config, bytes: &[u8]) -> Verdict {
    let mut verdict = Verdict { is_whole: true, ..Verdict::default() };
    let mut message = None;
    let mut rest = bytes;
    while let Some(head) = wire::head(rest) {
        let after_head = &rest[head.size..];
        let is_whole = head.length <= after_head.len() as u64;
        let payload = if is_whole { &after_head[..head.length as usize] } else { after_head };
        let payload = wire::xor(payload, head.key);
        if let Err(error) = frame(role, config, &head, payload, is_whole, &mut message, &mut verdict) {
            return Verdict { error: Some(error), is_whole, ..verdict };
        }
        if !is_whole || verdict.close.is_some() {
            break;
        }
        rest = &after_head[head.length as usize..];
    }
    verdict
}

fn frame(
    role: Role,
    config: &Config,
    head: &Head,
    payload: Vec<u8>,
    is_whole: bool,
    message: &mut Option<Message>,
    verdict: &mut Verdict,
) -> Result<(), Failure> {
    check_head(role, config, head, message.is_some())?;
    match head.opcode {
        // a control frame has no effect before it is complete
        PING if is_whole => verdict.events.push(ReceivedEvent::Ping(payload)),
        PONG if is_whole => verdict.events.push(ReceivedEvent::Pong(payload)),
        CLOSE if is_whole => verdict.close = Some(close(&payload)?),
        PING | PONG | CLOSE => {}
        opcode => {
            let current = match (opcode, message.take()) {
                (CONTINUATION, Some(current)) => current,
                _ => Message { is_text: opcode == TEXT, payload: vec![], announced: 0, empty_fragments: 0 },
            };
            let message = message.insert(current);
            check_limits(message, head, config)?;
            message.payload.extend(payload);
            check_text(message, is_whole && head.fin)?;
        }
    }
    if head.opcode < CLOSE
        && is_whole
        && head.fin
        && let Some(whole) = message.take()
    {
        verdict.events.push(match String::from_utf8(whole.payload) {
            Ok(text) if whole.is_text => ReceivedEvent::Text(text),
            Ok(text) => ReceivedEvent::Binary(text.into_bytes()),
            Err(error) => ReceivedEvent::Binary(error.into_bytes()),
        });
    }
    Ok(())
}

/// Checks the rules of sections 5.1 to 5.5, in the order in which the core reports them.
fn check_head(role: Role, config: &Config, head: &Head, is_in_message: bool) -> Result<(), Failure> {
    let is_control = matches!(head.opcode, CLOSE | PING | PONG);
    let rules = [
        (!is_control && head.opcode > 2, ProtocolError::OpCodeReserved),
        (is_control && head.length_field > 125, ProtocolError::ControlFrameTooLong),
        (is_control && !head.fin, ProtocolError::ControlFrameFragmented),
        (head.length_field == 127 && head.length >= 1 << 63, ProtocolError::LengthTopBitSet),
        (head.length_field == 127 && head.length < 65_536, ProtocolError::LengthNotMinimal),
        (head.length_field == 126 && head.length < 126, ProtocolError::LengthNotMinimal),
        (head.rsv != 0, ProtocolError::ReservedBitSet),
        (role == Role::Server && head.key.is_none(), ProtocolError::FrameNotMasked),
        (role == Role::Client && head.key.is_some(), ProtocolError::FrameMasked),
        (head.opcode == CONTINUATION && !is_in_message, ProtocolError::ContinuationUnexpected),
        (matches!(head.opcode, 1 | 2) && is_in_message, ProtocolError::ContinuationMissing),
    ];
    if let Some((_, rule)) = rules.into_iter().find(|(is_broken, _)| *is_broken) {
        return Err(Failure::Rule(rule));
    }
    match config.max_frame_payload {
        Some(limit) if !is_control && head.length > limit => {
            Err(Failure::Limit("max_frame_payload", limit, head.length))
        }
        _ => Ok(()),
    }
}

/// Checks the limits on a message, which apply to the length in the head.
fn check_limits(message: &mut Message, head: &Head, config: &Config) -> Result<(), Failure> {
    message.announced = message.announced.saturating_add(head.length);
    if message.announced > config.max_message_size as u64 {
        return Err(Failure::Limit("max_message_size", config.max_message_size as u64, message.announced));
    }
    message.empty_fragments = if head.length == 0 && !head.fin { message.empty_fragments + 1 } else { 0 };
    if message.empty_fragments > config.max_empty_fragments {
        let (limit, count) = (config.max_empty_fragments.into(), message.empty_fragments.into());
        return Err(Failure::Limit("max_empty_fragments", limit, count));
    }
    Ok(())
}

/// Checks text (8.1): it fails as soon as it cannot become valid, or if it ends in the middle of a character.
fn check_text(message: &Message, is_over: bool) -> Result<(), ProtocolError> {
    match std::str::from_utf8(&message.payload) {
        Err(error) if message.is_text && (is_over || error.error_len().is_some()) => Err(ProtocolError::Utf8Invalid),
        _ => Ok(()),
    }
}

/// Parses the body of a Close frame (5.5.1, 7.4).
fn close(body: &[u8]) -> Result<(u16, String), ProtocolError> {
    match body {
        [] => Ok((1005, String::new())),
        [_] => Err(ProtocolError::CloseBodyTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(ProtocolError::CloseCodeInvalid);
            }
            let reason = String::from_utf8(reason.to_vec()).map_err(|_| ProtocolError::Utf8Invalid)?;
            Ok((code, reason))
        }
    }
}
