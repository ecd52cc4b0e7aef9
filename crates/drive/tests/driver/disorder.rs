//! Connections that random faults break at either end at random times. The loop asserts that it does not busy-loop,
//! that nothing follows Close, and that nothing is written after the sending direction has ended.

use std::io::ErrorKind;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sansocket::{Config, Instant, Role};
use sansocket_drive::{Action, Driver, Layer};

use crate::support::{End, KIB, Pipe, Records, Seen, close, run, seconds, websocket};

/// What happens to an end.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Close,
    Abort,
    /// Its transport sends FIN without a request of the connection.
    HalfClose,
    /// Its writes fail, though the peer's bytes still arrive.
    WriteError(ErrorKind),
    /// The network resets its transport.
    Reset,
    /// The peer does not read any more.
    Stall,
    /// Invalid bytes arrive.
    Garbage,
}

const FAULTS: &[Fault] = &[
    Fault::Close,
    Fault::Abort,
    Fault::HalfClose,
    Fault::WriteError(ErrorKind::BrokenPipe),
    Fault::WriteError(ErrorKind::TimedOut),
    Fault::Reset,
    Fault::Stall,
    Fault::Garbage,
];

fn inflict<L: Layer>(fault: Fault, end: &mut End<L>, now: Instant) {
    match fault {
        Fault::Close => close(&mut end.driver, now),
        Fault::Abort => end.driver.websocket_mut().abort(now),
        Fault::HalfClose => {
            end.pipe.is_shut_down = true;
            end.driver.write_lost(ErrorKind::BrokenPipe.into(), now);
        }
        Fault::WriteError(kind) => end.pipe.write_error = Some(kind),
        Fault::Reset => {
            end.pipe.reset();
            end.reset_arrived = true;
        }
        Fault::Stall => end.pipe.rate = 0,
        Fault::Garbage => end.inbox.extend([0xff; 30]),
    }
}

/// Runs two ends that send to each other, until two faults have ended them.
fn break_connection<L: Layer>(seed: u64, driver: impl Fn(Role) -> Driver<L>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = move |limit: usize| rng.next_u32() as usize % limit;
    let end = |role, below: &mut dyn FnMut(usize) -> usize| {
        let pipe = Pipe::new((below(100) + 20) * KIB, below(3) * 20 * KIB);
        let (count, size) = (below(4), below(40_000));
        let mut end = End::over(driver(role), pipe).on_event(move |driver, seen, _| match seen {
            // refused once the connection closes
            Seen::Open => (0..count).for_each(|_| _ = driver.websocket_mut().send(vec![7; size])),
            Seen::Message(message) if message.len() > 100 => _ = driver.websocket_mut().send(message[..99].to_vec()),
            _ => {}
        });
        end.knows_outstanding = below(2) == 0;
        end.seed = (below(3) == 0).then_some(seed);
        end
    };
    let (mut client, mut server) = (end(Role::Client, &mut below), end(Role::Server, &mut below));
    let faults = [(); 2].map(|()| (FAULTS[below(FAULTS.len())], below(300) as f64 / 100.0, below(2) == 0));
    let mut is_inflicted = [false; 2];
    let ended = run(&mut client, &mut server, seconds(400.0), |client, server, now| {
        for (&(fault, at, is_client), is_inflicted) in faults.iter().zip(&mut is_inflicted) {
            if now >= seconds(at) && !std::mem::replace(is_inflicted, true) {
                match is_client {
                    true if client.ended.is_none() => inflict(fault, client, now),
                    false if server.ended.is_none() => inflict(fault, server, now),
                    _ => {}
                }
            }
        }
        // after the faults, the application of each end closes
        if now == seconds(5.0) {
            close(&mut client.driver, now);
            close(&mut server.driver, now);
        }
    });
    assert!(ended <= seconds(30.0), "seed {seed}: {faults:?} until {ended:?}");
    check(seed, &client);
    check(seed, &server);
}

/// Checks the events of an end.
fn check<L: Layer>(seed: u64, end: &End<L>) {
    let count = |is: fn(&Seen) -> bool| end.seen.iter().filter(|seen| is(seen)).count();
    let opened = count(|seen| *seen == Seen::Open);
    let closed = count(|seen| matches!(seen, Seen::Close { .. }));
    assert_eq!(opened, closed, "seed {seed}: {:?}", end.seen);
    assert!(count(|seen| matches!(seen, Seen::Io(_) | Seen::Peer(_))) <= 1, "seed {seed}: {:?}", end.seen);
    if let Some(Seen::Close { was_clean: true, .. }) = end.last() {
        assert!(count(|seen| matches!(seen, Seen::CloseReceived(_))) == 1, "seed {seed}: {:?}", end.seen);
    }
    assert!(matches!(end.ended, Some((Action::Close | Action::Abort, _))));
}

#[test]
fn a_broken_connection_ends_in_time_and_reports_the_end_once() {
    for seed in 0..400 {
        break_connection(seed, |role| Driver::new(websocket(role, &Config::default())));
    }
}

#[test]
fn a_broken_connection_through_a_layer_ends_in_time_and_reports_the_end_once() {
    for seed in 0..400 {
        break_connection(seed, |role| Driver::with_layer(websocket(role, &Config::default()), Records::new(role)));
    }
}
