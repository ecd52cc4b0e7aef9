//! A run: two ends, two links, and a clock that jumps to the next thing that happens.

use sansocket::{ReadyState, Role};

use crate::adversary::Adversary;
use crate::choices::Choices;
use crate::endpoint::{Context, Endpoint, Meter};
use crate::model::Phase;
use crate::network::{Break, Link};
use crate::settings::{self, MILLISECOND};
use crate::trace::Trace;

/// A run that takes more steps than this goes round in circles.
const STEPS_MAX: usize = 100_000;

/// What is at one end of the connection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are two of them")]
enum End {
    Endpoint(Endpoint),
    Adversary(Adversary),
}

/// What an end can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Write,
    Read,
    EndOfStream,
    Lost,
    Timeout,
    Act,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// How many steps it took.
    pub steps: usize,
    /// Endpoints that opened.
    pub opened: usize,
    /// Those that were told of the end by a Close frame.
    pub told: usize,
    /// Those that failed, or gave up a silent peer.
    pub failed: usize,
    /// Messages that arrived whole.
    pub messages: usize,
}

/// Everything there is.
#[derive(Debug)]
struct World {
    ends: [End; 2],
    /// `links[i]` leads from end `i` to the other.
    links: [Link; 2],
    /// When each end is told that the connection was reset.
    resets: [Option<u64>; 2],
    /// Until when each end does nothing, as a busy process.
    asleep: [u64; 2],
    is_disturbed: bool,
}

/// Runs a connection from its opening handshake to its end.
///
/// # Panics
///
/// If the core does anything that the model does not.
pub fn run(choices: &mut Choices<'_>, trace: Trace) -> Outcome {
    run_metered(choices, trace, |call| {
        call();
        0
    })
}

/// The same, by a program whose allocator counts: what each call of `receive` takes is held against what has come.
///
/// # Panics
///
/// If the core does anything that the model does not, or takes too much memory for it.
pub fn run_metered(choices: &mut Choices<'_>, trace: Trace, meter: Meter) -> Outcome {
    let now = choices.pick(&[0, 1, 1_000_000_000_000]);
    let mut world = World::new(choices, trace, now);
    let mut cx = Context { choices, trace, now, meter };
    for step in 0..STEPS_MAX {
        if !world.step(&mut cx) {
            world.check_end();
            return world.outcome(step);
        }
    }
    panic!("{STEPS_MAX} steps, and no end");
}

impl World {
    fn new(choices: &mut Choices<'_>, trace: Trace, now: u64) -> Self {
        let can_break = choices.once_in(2);
        let links = [Link::new(choices, can_break), Link::new(choices, can_break)];
        let adversary = choices.pick(&[None, Some(Role::Client), None, Some(Role::Server)]);
        let ends = [Role::Client, Role::Server].map(|role| {
            if adversary == Some(role) {
                return End::Adversary(Adversary::new(role, choices, now));
            }
            let config = settings::config(choices);
            trace.line("", format_args!("{role:?} with {config:?}"));
            let mut endpoint = Endpoint::new(role, config, choices, now);
            // a message takes a bounded number of frames and of writes
            let capacity = links[0].capacity.min(links[1].capacity);
            let frame = endpoint.model.config.max_sent_frame_payload.get();
            endpoint.application.longest = frame.saturating_mul(32).min(capacity * 16);
            End::Endpoint(endpoint)
        });
        trace.line("", format_args!("{links:?}"));
        Self { ends, links, resets: [None; 2], asleep: [now; 2], is_disturbed: false }
    }

    /// One step, or a jump in time; false if nothing will ever happen again.
    fn step(&mut self, cx: &mut Context<'_, '_>) -> bool {
        self.links.iter_mut().for_each(|link| link.advance(cx.now));
        let mut moves = Vec::with_capacity(8);
        for index in 0..2 {
            if self.asleep[index] <= cx.now {
                self.moves(index, cx.now, &mut moves);
            }
        }
        if moves.is_empty() {
            let Some(next) = self.next(cx.now) else { return false };
            assert!(next > cx.now, "time goes on");
            // a driver may also wake up too early
            let is_early = next - 1 > cx.now && cx.choices.once_in(10);
            cx.now = if is_early { next - 1 } else { next };
            cx.trace.advance(cx.now);
            if is_early {
                self.wake_all(cx);
            }
            return true;
        }
        let (index, action) = moves[cx.choices.below(moves.len())];
        self.perform(index, action, cx);
        if cx.choices.once_in(40) {
            self.asleep[index] = cx.now + cx.choices.below(60) as u64 * MILLISECOND;
        }
        true
    }

    /// Calls `handle_timeout`, although no deadline may have come.
    fn wake_all(&mut self, cx: &mut Context<'_, '_>) {
        for index in 0..2 {
            if matches!(&self.ends[index], End::Endpoint(end) if !end.is_done) {
                self.perform(index, Move::Timeout, cx);
            }
        }
    }

    /// What an end can do now.
    fn moves(&mut self, index: usize, now: u64, moves: &mut Vec<(usize, Move)>) {
        let has_room = self.links[index].room(now) > 0;
        let incoming = &self.links[1 - index];
        let is_lost = self.resets[index].is_some_and(|at| at <= now);
        let mut can = |is_possible: bool, action: Move| {
            if is_possible {
                moves.push((index, action));
            }
        };
        match &mut self.ends[index] {
            End::Endpoint(end) if !end.is_done => {
                let wants_read = end.ws.wants_read();
                can(end.waiting() > 0 && !end.has_shut && has_room, Move::Write);
                can(wants_read && (incoming.arrived() > 0 || end.is_poked), Move::Read);
                can(wants_read && incoming.is_at_end(now), Move::EndOfStream);
                can(end.ws.poll_timeout().is_some_and(|at| at.as_nanos() <= now), Move::Timeout);
                can(end.application.next_at.is_some_and(|at| at <= now), Move::Act);
                can(is_lost, Move::Lost);
            }
            End::Adversary(end) if !end.is_done => {
                can(end.has_outgoing() && has_room, Move::Write);
                can(incoming.arrived() > 0 && end.listens(), Move::Read);
                can(end.next_at.is_some_and(|at| at <= now), Move::Act);
                can(is_lost, Move::Lost);
            }
            _ => {}
        }
    }

    /// When something happens next.
    fn next(&self, now: u64) -> Option<u64> {
        let ends = self.ends.iter().zip(self.asleep).zip(self.resets).filter_map(|((end, asleep), reset)| {
            let moments = match end {
                End::Endpoint(end) if !end.is_done => {
                    [end.ws.poll_timeout().map(|at| at.as_nanos()), end.application.next_at, reset, Some(asleep)]
                }
                End::Adversary(end) if !end.is_done => [None, end.next_at, reset, Some(asleep)],
                _ => [None; 4],
            };
            moments.into_iter().flatten().map(|at| at.max(asleep)).filter(|at| *at > now).min()
        });
        ends.chain(self.links.iter().filter_map(|link| link.next(now))).min()
    }

    fn perform(&mut self, index: usize, action: Move, cx: &mut Context<'_, '_>) {
        let [first, second] = &mut self.links;
        let (out, back) = if index == 0 { (first, second) } else { (second, first) };
        let broke = match &mut self.ends[index] {
            End::Endpoint(end) => {
                let broke = match action {
                    Move::Write => end.write(out, cx),
                    Move::Read => {
                        end.read(back, cx);
                        None
                    }
                    Move::EndOfStream => {
                        end.end(cx);
                        None
                    }
                    Move::Lost => {
                        end.leave(out, back, cx);
                        None
                    }
                    Move::Timeout => {
                        end.timeout(cx);
                        None
                    }
                    Move::Act => {
                        end.act(cx);
                        None
                    }
                };
                end.obey(out, back, cx);
                broke
            }
            End::Adversary(end) => match action {
                Move::Write => end.write(out, cx),
                Move::Act => {
                    end.act(out, cx);
                    None
                }
                Move::Lost => {
                    end.is_done = true;
                    None
                }
                _ => {
                    end.read(back, cx);
                    None
                }
            },
        };
        if let Some(broke) = broke {
            self.break_link(index, broke, cx);
        }
    }

    fn break_link(&mut self, index: usize, broke: Break, cx: &Context<'_, '_>) {
        cx.trace.line("network", format_args!("{broke:?} from end {index}"));
        self.is_disturbed = true;
        if broke == Break::Reset {
            let latency = self.links[index].latency();
            self.resets[index].get_or_insert(cx.now + latency);
            self.resets[1 - index].get_or_insert(cx.now + 2 * latency);
        }
    }

    fn outcome(&self, steps: usize) -> Outcome {
        let mut outcome = Outcome { steps, ..Outcome::default() };
        for end in &self.ends {
            let End::Endpoint(end) = end else { continue };
            outcome.opened += usize::from(end.closed.is_some());
            outcome.told += usize::from(end.closed.is_some_and(|code| code != 1006));
            outcome.failed += usize::from(end.model.failure.is_some());
            outcome.messages += end.received.len();
        }
        outcome
    }

    /// What must hold when nothing will happen any more.
    fn check_end(&self) {
        let mut endpoints = Vec::new();
        for end in &self.ends {
            let End::Endpoint(end) = end else { continue };
            assert!(end.is_done, "{} waits for ever", end.name);
            assert_eq!(end.ws.ready_state(), ReadyState::Closed, "{}", end.name);
            assert_eq!(
                end.closed.is_some(),
                end.model.phase == Phase::Opened,
                "{}: one Close, if it was open",
                end.name
            );
            endpoints.push(end);
        }
        let [client, server] = endpoints[..] else { return };
        for (from, to) in [(client, server), (server, client)] {
            let (sent, received) = (&from.application.sent, &to.received);
            assert!(sent.starts_with(received), "{} got what was not sent, or in another order", to.name);
            let was_told = to.closed.is_some_and(|code| code != 1006);
            assert!(!was_told || sent == received, "{} was told of the end, but not of all before it", to.name);
        }
        let is_disturbed = self.is_disturbed || client.model.is_disturbed || server.model.is_disturbed;
        if !is_disturbed {
            let were_told = [client, server].map(|end| end.closed.is_some_and(|code| code != 1006));
            assert_eq!(were_told, [true; 2], "nothing went wrong, but the end was not clean");
        }
    }
}
