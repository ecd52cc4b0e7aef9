//! `utf8`: text in fragments, cut anywhere, is valid, invalid from a certain byte on, or incomplete exactly as `std`
//! finds for the whole (RFC 6455 section 8.1). The target checks receiving, sending, and the reason of a Close frame.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sansocket::bytes::Buf;
use sansocket::{Config, Delivery, MessageKind, ProtocolError, Role, SendError};

use crate::drive::{self, Cuts};
use crate::model::{self, ReceivedEvent};
use crate::wire::{self, CLOSE, CONTINUATION, Frame, TEXT};

/// Input: role, delivery, cuts between fragments, cuts between pieces of input (10 bytes), then the text.
pub fn run(data: &[u8]) {
    let _ = check(Unstructured::new(data));
}

fn check(mut u: Unstructured<'_>) -> Result<()> {
    let role = drive::role(u.arbitrary()?);
    let mut config = Config::default();
    if u.arbitrary::<u8>()? % 2 == 1 {
        config.delivery = Delivery::Chunks;
    }
    let (fragments, pieces) = (Cuts::choose(&mut u)?, Cuts::choose(&mut u)?);
    let mut text = u.take_rest().to_vec();
    let reason = close_reason(role, &text);
    let fragments = fragments.of(&mut text);
    let fragments: Vec<&[u8]> = fragments.iter().map(|fragment| &**fragment).collect();
    config.max_empty_fragments = u32::MAX;
    let config = Arc::new(config);
    receive(role, &config, &fragments, pieces);
    send(role, &config, &fragments);
    reason.check(role, &config, pieces);
    Ok(())
}

/// Returns whether text is valid, or may become valid with more bytes.
fn may_be_valid(text: &[u8]) -> bool {
    std::str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn receive(role: Role, config: &Arc<Config>, fragments: &[&[u8]], pieces: Cuts) {
    let mut connection = drive::connection(role, config);
    let mut text = Vec::new();
    let mut events = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        let fin = index + 1 == fragments.len();
        let mut bytes = Frame { fin, ..Frame::new(opcode, *fragment) }.to(role, [0x37, 0xFA, 0x21, 0x3D]);
        text.extend_from_slice(fragment);
        let expected = if fin { std::str::from_utf8(&text).is_ok() } else { may_be_valid(&text) };
        for piece in pieces.of(&mut bytes) {
            let _ = drive::receive(&mut connection, piece, |event| events.push(event.into_owned()));
        }
        let failed = drive::receive(&mut connection, &mut [], |_| {}).err();
        let error = (!expected).then_some(ProtocolError::Utf8Invalid.into());
        assert_eq!(failed, error, "{text:x?}, {role:?}");
        if !expected {
            return;
        }
    }
    let payload: Vec<u8> = events
        .into_iter()
        .flat_map(|event| match event {
            sansocket::Event::Message(message) => message.into_bytes(),
            sansocket::Event::Chunk(chunk) => chunk.payload.into_owned(),
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(payload, text);
}

fn send(role: Role, config: &Arc<Config>, fragments: &[&[u8]]) {
    let mut connection = drive::connection(role, config);
    let mut text = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        let last = index + 1 == fragments.len();
        text.extend_from_slice(fragment);
        let expected = if last { std::str::from_utf8(&text).is_ok() } else { may_be_valid(&text) };
        let sent = connection.send_fragment(MessageKind::Text, *fragment, last);
        assert_eq!(sent, if expected { Ok(()) } else { Err(SendError::Utf8Invalid) }, "{text:x?}");
        if !expected {
            return;
        }
    }
    let output = connection.output();
    let bytes = output.copy_to_bytes(output.remaining());
    let payloads = wire::frames(&bytes).into_iter().map(|frame| frame.payload);
    assert_eq!(payloads.collect::<Vec<_>>().concat(), text);
    // the peer receives it as one message
    let peer = if role == Role::Client { Role::Server } else { Role::Client };
    let verdict = model::receive(peer, config, &bytes);
    assert_eq!(verdict.events, [ReceivedEvent::Text(String::from_utf8(text).expect("checked"))]);
}

/// A Close frame with the text as its reason, if that is short enough.
struct Reason(Option<Vec<u8>>);

fn close_reason(role: Role, text: &[u8]) -> Reason {
    let body = [&1000_u16.to_be_bytes(), text].concat();
    Reason((text.len() <= 123).then(|| Frame::new(CLOSE, body).to(role, [9, 8, 7, 6])))
}

impl Reason {
    fn check(self, role: Role, config: &Arc<Config>, pieces: Cuts) {
        let Some(frame) = self.0 else { return };
        let outcome = drive::outcome(role, config, &frame, pieces);
        let verdict = model::receive(role, config, &frame);
        assert_eq!(outcome.error, verdict.error);
        let reason = verdict.close.map(|(_, reason)| reason).unwrap_or_default();
        assert_eq!(*outcome.close.reason, *reason);
    }
}
