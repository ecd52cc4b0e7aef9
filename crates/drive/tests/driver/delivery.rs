//! Every accepted message is delivered. Each test replays, in simulated time, an input that once lost data.

use std::time::Duration;

use sansocket::bytes::Bytes;
use sansocket::{CloseCode, Config, Initiator, Instant, MessageKind, ReadyState, Role};
use sansocket_drive::{Action, Driver, with_keepalive};

use crate::support::{
    BOTH, End, KIB, MIB, Pipe, Seen, TICK, closed, frame, masked_frames, opened, other, run, run_alone, seconds,
};

/// The bytes that the kernels of both ends hold.
const KERNEL: usize = 5 * MIB / 2;

/// The sender accepts `count` messages of `size` bytes at t = 0, and closes.
struct Input {
    name: &'static str,
    role: Role,
    count: usize,
    size: usize,
    /// Bytes per second that the peer reads.
    rate: usize,
    /// The time between two Pings of the peer.
    pings_every: Option<Duration>,
}

const INPUTS: &[Input] = &[
    Input { name: "20 x 1 MiB", role: Role::Server, count: 20, size: MIB, rate: MIB, pings_every: None },
    Input { name: "20 x 1 MiB, client", role: Role::Client, count: 20, size: MIB, rate: MIB, pings_every: None },
    Input { name: "24 x 1 MiB", role: Role::Server, count: 24, size: MIB, rate: 2 * MIB, pings_every: None },
    Input {
        name: "4 MiB, pings",
        role: Role::Server,
        count: 1,
        size: 4 * MIB,
        rate: 300 * KIB,
        pings_every: Some(Duration::from_millis(500)),
    },
    Input {
        name: "3 MiB of lines, pings",
        role: Role::Client,
        count: 3 * MIB / 64,
        size: 64,
        rate: 300 * KIB,
        pings_every: Some(Duration::from_secs(1)),
    },
];

/// Queues messages, and closes.
fn send_and_close(driver: &mut Driver, count: usize, size: usize, now: Instant) {
    let payload = Bytes::from(vec![b'x'; size]);
    for _ in 0..count {
        driver.websocket_mut().send_shared(MessageKind::Binary, payload.clone()).unwrap();
    }
    crate::support::close(driver, now);
}

/// Returns a sender that does this once the connection is open, and its peer.
fn pair(input: &Input, rate: usize, capacity: usize, knows_outstanding: bool) -> [End; 2] {
    let (config, count, size) = (Config::default(), input.count, input.size);
    let mut sender = End::new(input.role, &config, Pipe::new(rate, capacity)).on_event(move |driver, seen, now| {
        if *seen == Seen::Open {
            send_and_close(driver, count, size, now);
        }
    });
    sender.knows_outstanding = knows_outstanding;
    [sender, End::new(other(input.role), &config, Pipe::fast())]
}

/// Runs an input, and returns the time at which both ends have ended.
fn run_input(input: &Input, ends: &mut [End; 2]) -> Instant {
    let [sender, peer] = ends;
    let mut next_ping = Instant::EPOCH;
    run(sender, peer, seconds(400.0), |_, peer, now| {
        if let Some(interval) = input.pings_every
            && now >= next_ping
        {
            next_ping = now + interval;
            // refused before the connection is open, and once the peer has received our Close
            let _ = peer.driver.websocket_mut().ping(b"still here");
        }
    })
}

/// Checks that the peer received these messages and then the Close frame with code 1000, and that both ends are clean.
#[track_caller]
fn check_all_delivered(sender: &End, peer: &End, lengths: &[usize], name: &str) {
    assert!(peer.lengths() == lengths, "{name}: {} messages of {}", peer.lengths().len(), lengths.len());
    let [.., received, end] = &peer.seen[..] else { panic!("{name}: {:?}", peer.seen.len()) };
    assert_eq!((received, end), (&Seen::CloseReceived(1000), &closed(1000, true, Initiator::Peer)), "{name}");
    assert_eq!(sender.last(), Some(&closed(1000, true, Initiator::Local)), "{name}");
    for end in [sender, peer] {
        assert_eq!(end.ended.unwrap().0, Action::Close, "{name}");
        assert_eq!(end.driver.websocket().ready_state(), ReadyState::Closed, "{name}");
        assert_eq!(end.driver.websocket().buffered_amount(), 0, "{name}");
        assert!(!end.seen.iter().any(|seen| matches!(seen, Seen::Io(_) | Seen::Peer(_))), "{name}");
    }
}

fn check_input(input: &Input, rate: usize, capacity: usize) {
    let name = format!("{} at {rate} bytes per second, {capacity} bytes in the kernel", input.name);
    let mut ends = pair(input, rate, capacity, true);
    let ended = run_input(input, &mut ends);
    check_all_delivered(&ends[0], &ends[1], &vec![input.size; input.count], &name);
    let transfer = Duration::from_secs((input.count * input.size / rate) as u64);
    assert!(ended - Instant::EPOCH >= transfer, "{name}: ended at {ended:?}");
    assert!(ended - Instant::EPOCH <= transfer + Duration::from_secs(5), "{name}: ended at {ended:?}");
}

// For any speed of the peer and any size of the kernel's buffer.
#[test]
fn close_delivers_all_accepted_messages() {
    for input in INPUTS {
        for capacity in [0, 64 * KIB, KERNEL] {
            check_input(input, input.rate, capacity);
        }
    }
}

#[test]
fn close_delivers_all_accepted_messages_at_100_kib_per_second() {
    for input in INPUTS {
        for capacity in [64 * KIB, KERNEL] {
            check_input(input, 100 * KIB, capacity);
        }
    }
}

// If the transport does not report acknowledgements, a byte counts as delivered when the kernel has accepted it, and
// the peer then has `closing_timeout` to answer our Close. Bytes that the kernel does not hold are delivered in any
// case, the rest if the peer reads it within `closing_timeout`, or sends anything meanwhile.
#[test]
fn without_acknowledgements_close_delivers_the_bytes_that_the_peer_reads_in_time() {
    for input in INPUTS {
        for (rate, capacity) in [(input.rate, 64 * KIB), (100 * KIB, 64 * KIB), (input.rate, KERNEL)] {
            let name = format!("{} at {rate} bytes per second, {capacity} bytes in the kernel", input.name);
            let mut ends = pair(input, rate, capacity, false);
            run_input(input, &mut ends);
            check_all_delivered(&ends[0], &ends[1], &vec![input.size; input.count], &name);
        }
    }
}

// The cost, as in the guide: a silent peer that needs more than `closing_timeout` for the bytes that the kernel holds
// (26 s here) loses the rest of them. The sender reports 1006, not clean.
#[test]
fn without_acknowledgements_a_peer_that_reads_its_last_megabytes_too_slowly_loses_them() {
    let input = &INPUTS[0];
    let mut ends = pair(input, 100 * KIB, KERNEL, false);
    run_input(input, &mut ends);
    let [sender, peer] = &ends;
    assert_eq!(sender.last(), Some(&closed(1006, false, Initiator::Local)));
    assert_eq!(sender.ended.unwrap().0, Action::Abort);
    let lost = (20 - peer.lengths().len()) * MIB;
    assert!((MIB..=KERNEL + MIB).contains(&lost), "{lost} bytes lost");
    assert_eq!(peer.last(), Some(&closed(1006, false, Initiator::Peer)));
}

// The sender closes after it has received one of two messages; the peer reads through a kernel that holds 2.5 MiB.
#[test]
fn close_in_answer_to_a_message_delivers_all_accepted_messages() {
    for role in BOTH {
        for (rate, knows_outstanding) in [(2 * MIB, true), (2 * MIB, false), (100 * KIB, true)] {
            let config = Config::default();
            let mut is_answered = false;
            let mut sender = End::new(role, &config, Pipe::new(rate, KERNEL)).on_event(move |driver, seen, now| {
                if matches!(seen, Seen::Message(_)) && !std::mem::replace(&mut is_answered, true) {
                    send_and_close(driver, 24, MIB, now);
                }
            });
            sender.knows_outstanding = knows_outstanding;
            let mut peer = End::new(other(role), &config, Pipe::fast()).on_event(|driver, seen, _| {
                if *seen == Seen::Open {
                    driver.websocket_mut().send("all, please").unwrap();
                    driver.websocket_mut().send("and more").unwrap();
                }
            });
            run(&mut sender, &mut peer, seconds(400.0), |_, _, _| {});
            check_all_delivered(&sender, &peer, &[MIB; 24], "answered");
            assert_eq!(sender.lengths(), ["all, please".len(), "and more".len()]);
        }
    }
}

#[test]
fn both_ends_deliver_all_accepted_messages_if_they_close_at_the_same_time() {
    for (rate, other_rate) in [(MIB, MIB), (100 * KIB, 2 * MIB), (2 * MIB, 100 * KIB)] {
        let end = |role, rate| {
            let mut end = End::over(opened(role, &Config::default()), Pipe::new(rate, 64 * KIB));
            send_and_close(&mut end.driver, 3, MIB, Instant::EPOCH);
            end
        };
        let mut ends = [end(Role::Client, rate), end(Role::Server, other_rate)];
        let [client, server] = &mut ends;
        run(client, server, seconds(400.0), |_, _, _| {});
        for end in ends {
            assert_eq!(end.lengths(), [MIB; 3]);
            let closes = [Seen::CloseReceived(1000), closed(1000, true, Initiator::Local)];
            assert_eq!((&end.seen[3..], end.ended.unwrap().0), (&closes[..], Action::Close));
        }
    }
}

/// The peer of `role` sends a message and FIN without a Close frame. The application echoes, and the peer begins to
/// read at 1 s. Returns the bytes that the peer has read, and the end.
fn echo_after_fin(role: Role, config: &Config, size: usize, rate: usize, knows_outstanding: bool) -> (Vec<u8>, End) {
    let mut end = End::over(opened(role, config), Pipe::new(0, KERNEL)).on_event(|driver, seen, _| {
        if let Seen::Message(message) = seen {
            driver.websocket_mut().send(message.clone()).unwrap();
        }
    });
    end.knows_outstanding = knows_outstanding;
    end.inbox.extend(frame(role, 2, &vec![7; size]));
    end.fin_arrived = true;
    let (mut now, mut bytes) = (Instant::EPOCH, vec![]);
    while end.ended.is_none() || !end.pipe.has_ended() {
        assert!(now < seconds(400.0) && !end.pipe.is_reset, "{size} bytes at {rate}: {now:?}");
        if now >= seconds(1.0) {
            end.pipe.rate = rate;
        }
        end.pipe.begin_tick();
        end.turn(now);
        bytes.extend(end.pipe.read(usize::MAX));
        now = now + TICK;
    }
    (bytes, end)
}

// The connection ends when the kernel has accepted the last byte, which the kernel delivers, whether acknowledgements
// are known or not.
#[test]
fn fin_without_close_delivers_all_accepted_messages() {
    let keeps_reading = Config::default().high_water_mark(usize::MAX); // reads FIN before the output is written
    for role in BOTH {
        for size in [3_600_000, 4_000_000, 4_400_000, 4_800_000, 5_200_000] {
            for (rate, knows) in [(MIB, true), (100 * KIB, true), (MIB, false), (100 * KIB, false)] {
                for config in [&Config::default(), &keeps_reading] {
                    let (bytes, end) = echo_after_fin(role, config, size, rate, knows);
                    let frames = masked_frames(&bytes);
                    let received: usize = frames.iter().map(|(_, _, payload)| payload.len()).sum();
                    let is_data_alone = frames.iter().all(|(opcode, ..)| *opcode < 8);
                    assert!(received == size && is_data_alone, "{received} of {size} bytes at {rate}");
                    assert_eq!(end.last(), Some(&closed(1006, false, Initiator::Peer)));
                    assert_eq!(end.ended.unwrap().0, Action::Close);
                }
            }
        }
    }
}

/// Returns a sender, and a peer that reads slowly, answers a Ping only when it has read it, and sends nothing else.
fn slow_reader(role: Role, rate: usize, capacity: usize, knows_outstanding: bool) -> [End; 2] {
    let mut sender =
        End::new(role, &with_keepalive(Config::default()), Pipe::new(rate, capacity)).on_event(|driver, seen, _| {
            if *seen == Seen::Open {
                driver.websocket_mut().send(vec![7; 3_400_000]).unwrap();
            }
        });
    sender.knows_outstanding = knows_outstanding;
    let peer = End::new(other(role), &Config::default(), Pipe::fast()).on_event(|driver, seen, now| {
        if matches!(seen, Seen::Message(_)) {
            driver.websocket_mut().close(CloseCode::NORMAL, "", now).unwrap();
        }
    });
    [sender, peer]
}

#[test]
fn keepalive_does_not_end_the_connection_of_a_slow_reader() {
    for role in BOTH {
        for (rate, capacity) in [(30 * KIB, KERNEL), (30 * KIB, 4 * MIB), (100 * KIB, KERNEL), (30 * KIB, 64 * KIB)] {
            let mut ends = slow_reader(role, rate, capacity, true);
            let [sender, peer] = &mut ends;
            run(sender, peer, seconds(400.0), |_, _, _| {});
            check_all_delivered(peer, sender, &[], "slow reader");
            assert_eq!(peer.lengths(), [3_400_000]);
        }
    }
}

// Without acknowledgements, bytes that the transport takes count instead. The peer must then read the bytes that the
// kernel holds within `pong_timeout`: here 64 KiB take 2 s, but 2.5 MiB take 85 s.
#[test]
fn without_acknowledgements_keepalive_ends_the_connection_of_a_slow_reader_behind_a_large_kernel_buffer() {
    for role in BOTH {
        for (capacity, is_kept) in [(64 * KIB, true), (KERNEL, false)] {
            let mut ends = slow_reader(role, 30 * KIB, capacity, false);
            let [sender, peer] = &mut ends;
            run(sender, peer, seconds(400.0), |_, _, _| {});
            if is_kept {
                check_all_delivered(peer, sender, &[], "slow reader");
            } else {
                let [.., failure, end] = &sender.seen[..] else { panic!("{:?}", sender.seen) };
                assert!(matches!(failure, Seen::Peer(_)) && *end == closed(1006, false, Initiator::Local));
                assert_eq!(sender.ended.unwrap().0, Action::Abort);
            }
        }
    }
}

#[test]
fn keepalive_ends_the_connection_of_a_reader_that_stops() {
    for knows_outstanding in [true, false] {
        let mut end = End::over(opened(Role::Server, &with_keepalive(Config::default())), Pipe::new(0, KERNEL));
        end.knows_outstanding = knows_outstanding;
        end.driver.websocket_mut().send(vec![7; 2_000_000]).unwrap();
        run_alone(&mut end, seconds(91.0) + TICK, |_, _| {});
        assert_eq!(end.last(), Some(&closed(1006, false, Initiator::Local)));
        assert_eq!(end.ended.unwrap().0, Action::Abort);
        assert!(end.pipe.is_reset, "nothing stays in the kernel");
    }
}
