//! `receive`: receives any bytes, in any pieces, under any limits, in either role. The results do not depend on the
//! pieces and equal those of the model. Memory is bounded by the limits, work by the number of bytes. Failures are
//! permanent.

use std::sync::Arc;

use allocation_counter::measure;
use arbitrary::{Result, Unstructured};
use sansocket::{Config, Delivery, Initiator, Role, TransportAction};

use crate::drive::{self, Cuts, NOW, Outcome};
use crate::model::{self, ReceivedEvent, Verdict};
use crate::wire::{CLOSE, Frame, PONG};
use crate::{limits, wire};

/// The memory that any connection may own besides payload: boxes, the text of an error.
const SMALL: u64 = 2_048;
/// The memory of a pending control frame and its slot in the queue.
const CONTROL: u64 = 144;

/// Input: role, limits, cuts (9 bytes), then a stream (see `wire`).
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let role = drive::role(u.arbitrary()?);
    let config = Arc::new(limits::receiving(u)?);
    let cuts = Cuts::choose(u)?;
    let stream = wire::stream(u, role)?;

    let verdict = model::receive(role, &config, &stream);
    let whole = drive::outcome(role, &config, &stream, Cuts::NONE);
    assert_eq!(whole, expected(role, &config, &verdict), "{role:?}, {config:?}: {stream:x?}");
    let pieces = drive::outcome(role, &config, &stream, cuts);
    assert_eq!(pieces, whole, "{role:?}, {config:?}, {cuts:?}: {stream:x?}");
    check_cost(role, &config, &stream, cuts);
    check_failure(role, &config, &stream);
    Ok(())
}

/// Returns the outcome that the model's verdict predicts.
fn expected(role: Role, config: &Config, verdict: &Verdict) -> Outcome {
    let mut output: Vec<_> = verdict
        .events
        .iter()
        .filter_map(|event| match event {
            ReceivedEvent::Ping(payload) => Some(Frame::new(PONG, payload.clone())),
            _ => None,
        })
        .collect();
    // 5.5.3: if too many Pongs are pending, the new one replaces the latest
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
    // only the core creates a `Close`: take one from a connection that ended at once, and fill it in
    let Ok(Some(sansocket::Event::Close(mut closed))) = connection.receive_eof(NOW) else { panic!("no Close") };
    closed.code = sansocket::CloseCode::new(code).unwrap_or(match code {
        1005 => sansocket::CloseCode::NO_STATUS,
        _ => sansocket::CloseCode::ABNORMAL,
    });
    closed.reason = reason.into();
    closed.was_clean = verdict.close.is_some();
    closed.initiator = initiator;
    Outcome { events: verdict.events.clone(), error: verdict.error, output, close: closed }
}

/// Checks that memory is bounded by the limits and work by the number of bytes, even if the output is not taken.
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
    // while a buffer grows, the old one exists beside the new one, which is up to twice as large as its content, or four
    // times if a message and the longest head of a frame have 64 KiB or more
    let growth = if assembled + 14 < 64 * 1024 { 3 } else { 5 };
    let max = growth * assembled + 3 * controls * CONTROL + SMALL;
    assert!(cost.bytes_max <= max, "{} bytes of memory, more than {max}: {role:?}, {config:?}", cost.bytes_max);
    let work = 256 * stream.len() as u64 + SMALL;
    assert!(
        cost.bytes_total <= work,
        "{} bytes allocated in total for {} bytes received",
        cost.bytes_total,
        stream.len()
    );
    assert!(events + calls <= stream.len() as u64 + count, "{events} events in {calls} calls");
}

/// Checks that a failure is permanent: the same error for every call, no event, and no output after the Close frame.
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
