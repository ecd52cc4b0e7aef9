//! `receive`: any bytes, in any pieces, from a buffer that is refilled or is not, under any limits, in either role.
//! What comes of them does not depend on the pieces, is what a plain reading of the RFC says, takes no more memory than
//! the limits allow and no more work than the bytes are worth; and a failure is for good.

use std::sync::Arc;

use allocation_counter::measure;
use arbitrary::{Result, Unstructured};
use sansocket::{Config, Delivery, Initiator, Role, TransportAction};

use crate::drive::{self, Cuts, NOW, Outcome};
use crate::model::{self, Seen, Verdict};
use crate::wire::{CLOSE, Frame, PONG};
use crate::{limits, wire};

/// What any connection may own beside payload: a box here, the text of an error there.
const SMALL: u64 = 2_048;
/// A waiting control frame, with room for its place in the queue.
const CONTROL: u64 = 144;

/// Role, limits, cuts (9 bytes), then a stream (see `wire`).
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let role = drive::role(u.arbitrary()?);
    let config = Arc::new(limits::receiving(u)?);
    let cuts = Cuts::choose(u)?;
    let stream = wire::stream(u, role)?;

    let verdict = model::receive(role, &config, &stream);
    let whole = drive::outcome(role, &config, &stream, Cuts::NONE, 0);
    assert_eq!(whole, expected(role, &config, &verdict), "{role:?}, {config:?}: {stream:x?}");
    for capacity in [0, cuts.capacity()] {
        let pieces = drive::outcome(role, &config, &stream, cuts, capacity);
        assert_eq!(pieces, whole, "{role:?}, {config:?}, {cuts:?}, {capacity}: {stream:x?}");
    }
    check_cost(role, &config, &stream, cuts);
    check_failure(role, &config, &stream);
    Ok(())
}

/// What a connection shows when the model's verdict is right.
fn expected(role: Role, config: &Config, verdict: &Verdict) -> Outcome {
    let mut output: Vec<_> = verdict
        .events
        .iter()
        .filter_map(|event| match event {
            Seen::Ping(payload) => Some(Frame::new(PONG, payload.clone())),
            _ => None,
        })
        .collect();
    // 5.5.3: beyond some Pongs, only the one for the latest Ping is sent
    while output.len() > config.max_pending_controls.max(1) {
        output.remove(output.len() - 2);
    }
    let close = |code: u16, reason: &str| Frame::new(CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    match (&verdict.close, &verdict.error) {
        (Some((1005, _)), _) => output.push(Frame::new(CLOSE, [])),
        (Some((code, _)), _) => output.push(close(*code, "")),
        (None, Some(error)) => output.push(close(error.code(), &error.reason())),
        (None, None) => {}
    }
    if role == Role::Client {
        output.iter_mut().for_each(|frame| frame.key = Some([0; 4]));
    }
    let (code, reason) = verdict.close.clone().unwrap_or((1006, String::new()));
    let initiator = if verdict.error.is_some() { Initiator::Local } else { Initiator::Peer };
    let mut connection = drive::connection(role, &Arc::new(Config::default()));
    // `Close` is made by the core alone: one of a connection that did nothing but end
    let Ok(Some(sansocket::Event::Close(mut told))) = connection.receive_eof(NOW) else { panic!("no Close") };
    told.code = sansocket::CloseCode::new(code).unwrap_or(match code {
        1005 => sansocket::CloseCode::NO_STATUS,
        _ => sansocket::CloseCode::ABNORMAL,
    });
    told.reason = reason.into();
    told.was_clean = verdict.close.is_some();
    told.initiator = initiator;
    Outcome { events: verdict.events.clone(), error: verdict.error, output, close: told }
}

/// Memory by the limits, work by the bytes, though nobody takes the output.
fn check_cost(role: Role, config: &Arc<Config>, stream: &[u8], cuts: Cuts) {
    let mut bytes = stream.to_vec();
    let pieces = cuts.of(&mut bytes);
    let count = pieces.len() as u64;
    let mut connection = drive::connection(role, config);
    let mut events = 0;
    let mut calls = 0_u64;
    let cost = measure(|| {
        for piece in pieces {
            let _ = drive::receive(&mut connection, piece, |_| events += 1);
            calls += 1;
        }
    });
    let assembled = match config.delivery {
        Delivery::Chunks => 0,
        _ => stream.len().min(config.max_message_size) as u64,
    };
    let controls = events.min(config.max_pending_controls.max(1) as u64) + 4;
    // while a buffer grows, the old one is there beside one that is up to twice as large as what it holds
    let most = 3 * (assembled + controls * CONTROL) + SMALL;
    assert!(cost.bytes_max <= most, "{} bytes, more than {most}: {role:?}, {config:?}", cost.bytes_max);
    let work = 256 * stream.len() as u64 + SMALL;
    assert!(cost.bytes_total <= work, "{} bytes in all for {} bytes", cost.bytes_total, stream.len());
    assert!(events + calls <= stream.len() as u64 + count, "{events} events and {calls} calls");
}

/// After a failure nothing changes any more: the same error, no event, no output but what tells the peer.
fn check_failure(role: Role, config: &Arc<Config>, stream: &[u8]) {
    let mut connection = drive::connection(role, config);
    let Err(error) = drive::receive(&mut connection, &mut stream.to_vec(), |_| {}) else { return };
    let output = sansocket::bytes::Buf::remaining(connection.output());
    for mut again in [stream.to_vec(), vec![], vec![0x88, 0x00]] {
        let result = drive::receive(&mut connection, &mut again, |event| panic!("{event:?} after a failure"));
        assert_eq!(result.as_ref(), Err(&error), "failure is sticky");
    }
    assert_eq!(sansocket::bytes::Buf::remaining(connection.output()), output);
    sansocket::bytes::Buf::advance(connection.output(), output);
    assert_eq!(connection.transport(), TransportAction::ShutdownWrite);
    assert!(connection.send("more").is_err());
}
