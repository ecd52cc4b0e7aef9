//! Line 7 of the contract (`contract.rs`): a model predicts the deadlines of a connection.

use std::time::Duration;

use proptest::prelude::*;
use sansocket::{CloseCode, Config, Error, Initiator, Instant, TimeoutKind};

use crate::keepalive::{receive, timeout};
use crate::support::*;

/// A step of the driver.
#[derive(Clone, Debug)]
enum Step {
    /// The clock moves by this many nanoseconds, forwards or backwards.
    Tick(i64),
    Wake,
    Receive(usize),
    Drain,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (-20_i64..60).prop_map(Step::Tick),
        4 => Just(Step::Wake),
        2 => (0_usize..4).prop_map(Step::Receive),
        1 => Just(Step::Drain),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    // Contract 7: deadlines are neither early nor late, and never spin. The model predicts each deadline of keepalive.
    // A closing connection ends once `closing_timeout` has passed since its driver last saw progress, or
    // `closing_limit` since it began to close, and not before.
    #[test]
    fn deadlines_are_those_of_a_model(
        steps in steps(),
        interval in 0_u64..40,
        wait in 0_u64..40,
        closing in 0_u64..40,
        limit in 0_u64..120,
        role in proptest::sample::select(&BOTH[..]),
    ) {
        let mut config = Config::default();
        config.keepalive = sansocket::Keepalive::Every(Duration::from_nanos(interval));
        config.pong_timeout = Duration::from_nanos(wait);
        config.closing_timeout = Duration::from_nanos(closing);
        config.closing_limit = Duration::from_nanos(limit);
        // a timer fires at least a nanosecond after it was set
        let [interval, wait] = [interval, wait].map(|nanos| nanos.max(1));

        #[derive(PartialEq, Clone, Copy, Debug)]
        enum Model { Ping(u64), Pong(u64), Closing { progress: u64, limit: u64 }, Failed, Closed }
        let mut connection = endpoint(role, &config);
        let mut model = Model::Ping(interval);
        let mut clock = 0_i64;
        let mut latest = 0_u64;
        // whether output is pending, whether some was taken since the Ping was queued, and whether the Pong is excused
        let (mut is_pending, mut has_progress, mut is_excused) = (false, false, false);
        for step in steps {
            if let Step::Tick(nanos) = step {
                clock = (clock + nanos).max(0);
                continue;
            }
            let now = Instant::from_nanos(clock as u64);
            // draining does not pass the time
            if !matches!(step, Step::Drain) {
                latest = latest.max(clock as u64);
            }
            match step {
                Step::Tick(_) => {}
                Step::Drain => {
                    has_progress |= !take_output(&mut connection).is_empty();
                    is_pending = false;
                }
                Step::Wake => {
                    let is_due = connection.poll_timeout().is_some_and(|due| due.as_nanos() <= latest);
                    let got = timeout(&mut connection, now);
                    if let Model::Closing { progress, .. } = &mut model
                        && is_due && std::mem::take(&mut has_progress)
                    {
                        *progress = latest;
                    }
                    let expected = match model {
                        Model::Ping(due) if due <= latest => {
                            model = Model::Pong(latest + wait);
                            (is_excused, is_pending, has_progress) = (is_pending, true, false);
                            Ok(None)
                        }
                        Model::Pong(due) if due <= latest && is_excused && has_progress => {
                            model = Model::Pong(latest + wait);
                            (is_excused, has_progress) = (is_pending, false);
                            Ok(None)
                        }
                        Model::Pong(due) if due <= latest => {
                            model = Model::Failed;
                            Err(Error::Timeout(TimeoutKind::Pong))
                        }
                        Model::Closing { progress, limit } if is_due && limit.min(progress + closing) <= latest => {
                            model = Model::Closed;
                            Ok(Some(abnormal(Initiator::Local)))
                        }
                        Model::Failed => {
                            model = Model::Closed;
                            Ok(Some(abnormal(Initiator::Local)))
                        }
                        _ => Ok(None),
                    };
                    prop_assert_eq!(got, expected);
                }
                Step::Receive(count) => {
                    let _ = receive(&mut connection, &wire(role, &[Frame::pong("")]).repeat(count), now);
                    match &mut model {
                        Model::Ping(_) | Model::Pong(_) if count > 0 => model = Model::Ping(latest + interval),
                        // phase `AwaitingClose`
                        Model::Closing { progress, .. } if count > 0 && !is_pending => *progress = latest,
                        // the Close event
                        Model::Failed => model = Model::Closed,
                        _ => {}
                    }
                }
                Step::Close => {
                    prop_assert_eq!(connection.close(CloseCode::NORMAL, "", now), Ok(()));
                    if matches!(model, Model::Ping(_) | Model::Pong(_)) {
                        model = Model::Closing { progress: latest, limit: latest + limit };
                        (is_pending, has_progress) = (true, false);
                    }
                }
            }
            let expected = match model {
                Model::Ping(due) | Model::Pong(due) => Some(Instant::from_nanos(due)),
                Model::Closing { limit, .. } => {
                    // the driver is woken often enough to notice progress, and no later than at the limit
                    let next = connection.poll_timeout().expect("a closing connection has a deadline").as_nanos();
                    prop_assert!(next <= latest + (closing / 4).max(1) && next <= limit.max(latest + 1));
                    continue;
                }
                Model::Failed | Model::Closed => None,
            };
            prop_assert_eq!(connection.poll_timeout(), expected);
        }
    }
}
