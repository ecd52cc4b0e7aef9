//! Line 12 of the contract (`contract.rs`): every accepted message is delivered. Each test replays, in simulated time,
//! an input that once lost data.

use std::time::Duration;

use sansocket::bytes::Bytes;
use sansocket::{CloseCode, Config, Initiator, Instant, MessageKind, ReadyState, Role, TransportAction};

use crate::support::transport::{Arrival, DrivenConnection, TICK, Transport, run};
use crate::support::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Bytes in the kernel buffers of both ends.
const KERNEL: usize = 5 * MIB / 2;

/// Returns a sender with this role, and a peer that reads `rate` bytes per second.
fn pair(role: Role, config: &Config, rate: usize, capacity: usize) -> [DrivenConnection; 2] {
    let peer = DrivenConnection::new(endpoint(other(role), config), Transport::new(100 * MIB, 0));
    [DrivenConnection::new(endpoint(role, config), Transport::new(rate, capacity)), peer]
}

/// Checks that the peer received messages of these lengths and then the Close frame with code 1000, and that both ends
/// closed cleanly.
#[track_caller]
fn check_all_delivered(ends: &[DrivenConnection; 2], lengths: &[usize], name: &str) {
    let [sender, peer] = ends;
    assert!(peer.lengths() == lengths, "{name}: {:?} messages of {}", peer.lengths().len(), lengths.len());
    let [.., received, end] = &peer.events[..] else { panic!("{name}: {} events", peer.events.len()) };
    assert_eq!((received, end), (&close_received(1000, ""), &close_event(1000, "", true, Initiator::Peer)), "{name}");
    assert_eq!(sender.last(), Some(&close_event(1000, "", true, Initiator::Local)), "{name}");
    for end in ends {
        assert_eq!((end.connection.transport(), &end.error), (TransportAction::Close, &None), "{name}");
        assert_eq!(end.connection.ready_state(), ReadyState::Closed);
        assert_eq!(end.connection.buffered_amount(), 0);
    }
}

/// An input: the sender accepts `count` messages of `size` bytes and closes at t = 0.
struct Input {
    name: &'static str,
    role: Role,
    count: usize,
    size: usize,
    rate: usize,
    /// How often the peer sends a Ping.
    pings_every: Option<Duration>,
}

const INPUTS: &[Input] = &[
    Input { name: "20 x 1 MiB", role: Role::Server, count: 20, size: MIB, rate: MIB, pings_every: None },
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

/// Runs an input at a rate, and returns the time at which both ends had ended.
fn run_input(input: &Input, rate: usize, capacity: usize) -> Instant {
    let name = format!("{} at {rate} bytes per second, {capacity} bytes in the kernel", input.name);
    let mut ends = pair(input.role, &Config::default(), rate, capacity);
    let payload = Bytes::from(vec![b'x'; input.size]);
    for _ in 0..input.count {
        ends[0].connection.send_shared(MessageKind::Binary, payload.clone()).unwrap();
    }
    ends[0].connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
    let mut next_ping = Instant::EPOCH;
    let ended = run(&mut ends, seconds(400), |[_, peer], now| {
        if let Some(interval) = input.pings_every
            && now >= next_ping
        {
            next_ping = now + interval;
            // refused once the peer has received our Close
            let _ = peer.connection.ping(b"still here");
        }
    });
    check_all_delivered(&ends, &vec![input.size; input.count], &name);
    let transfer = Duration::from_secs((input.count * input.size / rate) as u64);
    assert!(ended - Instant::EPOCH >= transfer, "{name}: ended at {ended:?}");
    assert!(ended - Instant::EPOCH <= transfer + Duration::from_secs(5), "{name}: ended at {ended:?}");
    ended
}

// `close` at t = 0 drops nothing, for slow and fast peers, with and without kernel buffers and Pings.
#[test]
fn close_delivers_what_was_accepted_at_the_rates_of_the_reports() {
    for input in INPUTS {
        for capacity in [0, KERNEL] {
            run_input(input, input.rate, capacity);
        }
    }
}

#[test]
fn close_delivers_what_was_accepted_at_100_kib_per_second() {
    for input in INPUTS {
        for capacity in [0, KERNEL] {
            run_input(input, 100 * KIB, capacity);
        }
    }
}

// The same if the messages and the Close reply to a message of the peer, while another one of its messages is in
// flight.
#[test]
fn close_in_answer_to_a_message_delivers_what_was_accepted() {
    for role in BOTH {
        let mut ends = pair(role, &Config::default(), 2 * MIB, 64 * KIB);
        ends[1].connection.send("all, please").unwrap();
        ends[1].connection.send("and more").unwrap();
        let mut is_answered = false;
        run(&mut ends, seconds(100), |[sender, _], now| {
            if !is_answered && !sender.events.is_empty() {
                is_answered = true;
                for _ in 0..24 {
                    sender.connection.send(vec![7; MIB]).unwrap();
                }
                sender.connection.close(CloseCode::NORMAL, "", now).unwrap();
            }
        });
        check_all_delivered(&ends, &[MIB; 24], "answered");
        assert_eq!(ends[0].lengths(), ["all, please".len(), "and more".len()]);
    }
}

// If both ends close at the same time, each sends its output, and delivers messages until the other's Close arrives.
// Neither answers the other's Close. Both report `Local` as the initiator and a clean close.
#[test]
fn both_ends_deliver_what_was_accepted_if_they_close_at_the_same_time() {
    for (rate, other_rate) in [(MIB, MIB), (100 * KIB, 2 * MIB), (2 * MIB, 100 * KIB)] {
        for capacity in [0, 64 * KIB] {
            let client = DrivenConnection::new(open(Role::Client), Transport::new(rate, capacity));
            let server = DrivenConnection::new(open(Role::Server), Transport::new(other_rate, capacity));
            let mut ends = [client, server];
            for (end, code) in ends.iter_mut().zip([4001, 4002]) {
                for _ in 0..3 {
                    end.connection.send(vec![7; MIB]).unwrap();
                }
                close(&mut end.connection, code, "");
            }
            run(&mut ends, seconds(400), |_, _| {});
            for (end, code) in ends.iter().zip([4002, 4001]) {
                assert_eq!(end.lengths(), [MIB; 3]);
                let closes = [close_received(code, ""), close_event(code, "", true, Initiator::Local)];
                assert_eq!(end.events[3..], closes);
                assert_eq!(end.connection.transport(), TransportAction::Close);
            }
        }
    }
}

/// The peer of `role` sends `size` bytes and then FIN, without a Close frame, and starts to read the echo at 1 s.
/// Returns the frames that it read, and the connection.
fn echo_after_fin(role: Role, size: usize, rate: usize, capacity: usize) -> (Vec<Frame>, DrivenConnection) {
    let mut end = DrivenConnection::new(open(role), Transport::new(0, capacity));
    let message = wire(role, &[Frame::binary(vec![7; size])]);
    let arrival = Arrival { bytes: message, fin: false, reset: false };
    end.receive(&arrival, Instant::EPOCH);
    let Some(OwnedEvent::Binary(received)) = end.events.pop() else { panic!("no message") };
    end.connection.send(received).unwrap();
    let fin = Arrival { fin: true, ..Default::default() };
    end.receive(&fin, Instant::EPOCH);
    assert_eq!(end.connection.ready_state(), ReadyState::Closing);

    let (mut now, mut bytes, mut fin) = (Instant::EPOCH, vec![], false);
    while !fin && now < seconds(400) {
        if now == seconds(1) {
            end.transport.set_rate(rate);
        }
        let arrival = end.tick(now);
        assert!(!arrival.reset, "{size} bytes, {rate} bytes per second: reset at {now:?}");
        bytes.extend(arrival.bytes);
        fin = arrival.fin;
        now = now + TICK;
    }
    assert!(fin, "the end of TCP follows the last byte");
    (Frame::parse_unmasked(&bytes), end)
}

// The peer's FIN drops nothing, and causes no Close frame.
#[test]
fn fin_delivers_what_was_accepted() {
    for role in BOTH {
        for size in [3_600_000, 4_000_000, 4_400_000, 4_800_000, 5_200_000] {
            for rate in [MIB, 100 * KIB] {
                for capacity in [0, KERNEL] {
                    let (frames, end) = echo_after_fin(role, size, rate, capacity);
                    let data: Vec<_> = frames.iter().flat_map(|frame| &frame.payload).collect();
                    assert!(data.len() == size && frames.iter().all(|frame| frame.opcode < 8), "{size} at {rate}");
                    assert_eq!(end.events, [abnormal(Initiator::Peer)]);
                    assert_eq!(end.action, TransportAction::Close);
                }
            }
        }
    }
}

// A keepalive Ping is queued behind the backlog of a slow reader, in the kernel's buffer.
#[test]
fn keepalive_does_not_end_the_connection_of_a_slow_reader() {
    let mut config = Config::default();
    config.keepalive = sansocket::Keepalive::Every(Duration::from_secs(30));
    config.pong_timeout = Duration::from_secs(30);
    for role in BOTH {
        for (rate, capacity) in [(30 * KIB, KERNEL), (30 * KIB, 4 * MIB), (100 * KIB, KERNEL), (30 * KIB, 0)] {
            let mut ends = pair(role, &config, rate, capacity);
            ends[0].connection.send(vec![7; 3_400_000]).unwrap();
            // the reader can answer a Ping only when it has read it, and sends nothing else
            let mut closed = false;
            run(&mut ends, seconds(400), |[sender, peer], now| {
                if !closed && !peer.events.is_empty() {
                    closed = true;
                    sender.connection.close(CloseCode::NORMAL, "", now).unwrap();
                }
            });
            check_all_delivered(&ends, &[3_400_000], "slow reader");
        }
    }
}

// A reader that stops acknowledges nothing any more, and keepalive ends the connection.
#[test]
fn keepalive_ends_the_connection_of_a_reader_that_stops() {
    let mut config = Config::default();
    config.keepalive = sansocket::Keepalive::Every(Duration::from_secs(30));
    config.pong_timeout = Duration::from_secs(30);
    let mut ends = pair(Role::Server, &config, 0, KERNEL);
    ends[0].connection.send(vec![7; 2_000_000]).unwrap();
    let mut now = Instant::EPOCH;
    while ends[0].ended_at.is_none() && now < seconds(400) {
        ends[0].tick(now);
        now = now + TICK;
    }
    assert_eq!((ends[0].last(), ends[0].action), (Some(&abnormal(Initiator::Local)), TransportAction::Abort));
    assert!(now <= seconds(91), "{now:?}");
}
