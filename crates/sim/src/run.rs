//! A run: two ends, a network, and a clock that jumps to the next moment at which something happens.

use sansocket::Role;

use crate::adversary::Adversary;
use crate::choices::Choices;
use crate::context::{Context, Meter, Trace};
use crate::endpoint::Endpoint;
use crate::engine::Layering;
use crate::fixed_tls::{self, Version};
use crate::layer::LayerSettings;
use crate::model::Phase;
use crate::network::Network;
use crate::settings::{self, MILLISECOND};

/// The maximum number of steps: a longer run counts as endless.
const STEPS_MAX: usize = 200_000;
/// The maximum number of steps in a row without a byte moved or time passed: more are a busy loop.
const IDLE_STEPS_MAX: usize = 300;

/// One end of the connection.
#[derive(Debug)]
enum End {
    Endpoint(Box<Endpoint>),
    Adversary(Adversary),
}

/// A step of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Write,
    Read,
    Report,
    Timeout,
    Act,
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The number of steps.
    pub steps: usize,
    /// The number of endpoints that opened.
    pub opened: usize,
    /// The number of endpoints that received a Close frame.
    pub got_close: usize,
    /// The number of endpoints that failed the connection.
    pub failed: usize,
    /// The number of endpoints whose closing a deadline ended.
    pub timed_out: usize,
    /// The number of endpoints whose stream ended too early for TLS.
    pub truncated: usize,
    /// The number of messages received whole.
    pub messages: usize,
    /// The number of compressed messages.
    pub compressed: usize,
}

/// The state of a run.
#[derive(Debug)]
struct World {
    ends: [End; 2],
    network: Network,
    /// Until when each end sleeps, as a busy process does.
    asleep: [u64; 2],
    /// Steps since time passed or a byte moved.
    idle_steps: usize,
}

/// Runs a connection from its opening handshake to its end.
///
/// # Panics
///
/// If an endpoint differs from the model.
pub fn run(choices: &mut Choices<'_>, trace: Trace) -> Outcome {
    run_metered(choices, trace, unmetered)
}

fn unmetered(call: &mut dyn FnMut()) -> u64 {
    call();
    0
}

/// Runs a connection of two endpoints over TLS. The ciphertext is different in each run of the same choices, but its
/// length, and therefore all that happens, is not.
///
/// # Panics
///
/// If an endpoint differs from the model.
pub fn run_over_tls(choices: &mut Choices<'_>, trace: Trace) -> Outcome {
    fixed_tls::seed(choices.number());
    let version = choices.pick(&[Version::Tls13, Version::Tls13, Version::Tls12]);
    run_with(choices, trace, unmetered, Some(version))
}

/// Runs a connection like [`run`], and checks the memory that each call of `receive` allocates against the bytes
/// received.
///
/// # Panics
///
/// If an endpoint differs from the model, or allocates too much memory.
pub fn run_metered(choices: &mut Choices<'_>, trace: Trace, meter: Meter) -> Outcome {
    run_with(choices, trace, meter, None)
}

fn run_with(choices: &mut Choices<'_>, trace: Trace, meter: Meter, tls: Option<Version>) -> Outcome {
    let now = choices.pick(&[0, 1, 1_000_000_000_000]);
    let mut world = World::new(choices, trace, now, tls);
    let mut cx = Context { choices, trace, now, meter };
    for step in 0..STEPS_MAX {
        if !world.step(&mut cx) {
            world.check_end();
            return world.outcome(step);
        }
    }
    panic!("the run did not end within {STEPS_MAX} steps");
}

impl World {
    fn new(choices: &mut Choices<'_>, trace: Trace, now: u64, tls: Option<Version>) -> Self {
        let network = Network::new(choices);
        let (adversary, layering) = match tls {
            Some(version) => (None, Layering::Tls(version)),
            None => choose_peer(choices),
        };
        let ends = [Role::Client, Role::Server].map(|role| {
            if adversary == Some(role) {
                return End::Adversary(Adversary::new(role, choices, now));
            }
            let config = settings::config(choices);
            trace.line("", format_args!("{role:?} with {config:?}"));
            let incoming = network.pipes[if role == Role::Client { 1 } else { 0 }].receive_capacity;
            let (layering, unit) = match layering {
                Layering::Stalling(settings) => {
                    let fails_after = choices.once_in(16).then(|| choices.below(20));
                    let unit = settings.max_record.min(settings.max_plaintext).saturating_mul(64);
                    (Layering::Stalling(LayerSettings { fails_after, ..settings }), unit)
                }
                other => (other, usize::MAX),
            };
            let mut endpoint = Endpoint::new(role, config, layering, incoming, choices, now);
            // bounds the number of frames, records and writes of a message
            let capacity = network.pipes[0].capacity().min(network.pipes[1].capacity());
            let frame = endpoint.model.config.max_sent_frame_payload.get();
            let pace = endpoint.pace.map_or(usize::MAX, |(count, _)| count.saturating_mul(64));
            endpoint.application.max_message = frame.saturating_mul(32).min(capacity * 16).min(unit).min(pace);
            trace.line(endpoint.name, format_args!("{:?}, {:?}", endpoint.write_mode, endpoint.pace));
            End::Endpoint(Box::new(endpoint))
        });
        trace.line("", format_args!("{network:?}, {layering:?}"));
        Self { ends, network, asleep: [now; 2], idle_steps: 0 }
    }

    /// Performs a step, or moves the clock. Returns false if all endpoints are done, or nothing will happen any more.
    fn step(&mut self, cx: &mut Context<'_, '_>) -> bool {
        if self.endpoints().all(|end| end.is_done) {
            return false;
        }
        self.network.advance(cx.now);
        for end in &mut self.ends {
            if let End::Endpoint(end) = end {
                end.observe_acks(&self.network);
            }
        }
        let mut moves = Vec::with_capacity(8);
        for index in 0..2 {
            if self.asleep[index] <= cx.now {
                self.collect_moves(index, cx.now, &mut moves);
            }
        }
        if moves.is_empty() {
            return self.pass_time(cx);
        }
        let (index, action) = moves[cx.choices.below(moves.len())];
        let has_moved = self.perform(index, action, cx);
        self.idle_steps = if has_moved { 0 } else { self.idle_steps + 1 };
        assert!(self.idle_steps <= IDLE_STEPS_MAX, "a busy loop: no byte moved in {IDLE_STEPS_MAX} steps");
        if cx.choices.once_in(40) {
            self.asleep[index] = cx.now + cx.choices.below(60) as u64 * MILLISECOND;
        }
        true
    }

    /// Moves the clock to the next moment at which something happens. Returns false if there is none.
    fn pass_time(&mut self, cx: &mut Context<'_, '_>) -> bool {
        for (end, asleep) in self.ends.iter().zip(self.asleep) {
            if let End::Endpoint(end) = end
                && !end.is_done
                && asleep <= cx.now
            {
                end.deadlines.check_overdue(&end.model, end.acked, cx.now);
            }
        }
        let Some(next) = self.next_moment(cx.now) else { return false };
        self.idle_steps = 0;
        // a driver sometimes wakes up too early
        let is_early = next - 1 > cx.now && cx.choices.once_in(10);
        cx.now = if is_early { next - 1 } else { next };
        cx.trace.advance(cx.now);
        if is_early {
            self.network.advance(cx.now);
            for end in &mut self.ends {
                if let End::Endpoint(end) = end
                    && !end.is_done
                {
                    end.observe_acks(&self.network);
                    end.timeout(true, &mut self.network, cx);
                }
            }
        }
        true
    }

    /// Collects the steps that an end can perform now.
    fn collect_moves(&self, index: usize, now: u64, moves: &mut Vec<(usize, Move)>) {
        let is_writable = self.network.is_writable(index, now);
        let is_readable = self.network.is_readable(index, now);
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now);
        let mut can = |is_possible: bool, action: Move| {
            if is_possible {
                moves.push((index, action));
            }
        };
        match &self.ends[index] {
            End::Endpoint(end) if !end.is_done => {
                can(end.has_outgoing() && is_writable, Move::Write);
                can(end.wait.read && is_readable && end.reads_at <= now, Move::Read);
                can(is_due(end.reports_at()), Move::Report);
                can(is_due(end.wait.until), Move::Timeout);
                can(is_due(end.application.next_at), Move::Act);
            }
            End::Adversary(end) if !end.is_done => {
                can(is_due(end.writes_at()) && is_writable, Move::Write);
                can(is_readable && end.is_reading() && end.reads_at <= now, Move::Read);
                can(is_due(end.next_at), Move::Act);
            }
            _ => {}
        }
    }

    /// Returns the next moment at which something happens.
    fn next_moment(&self, now: u64) -> Option<u64> {
        let ends = self.ends.iter().zip(self.asleep).filter_map(|(end, asleep)| {
            let moments = match end {
                End::Endpoint(end) if !end.is_done => {
                    let reads_at = Some(end.reads_at).filter(|_| end.wait.read);
                    [end.wait.until, end.application.next_at, end.reports_at(), reads_at, Some(asleep)]
                }
                End::Adversary(end) if !end.is_done => {
                    [end.writes_at(), end.next_at, Some(end.reads_at), Some(asleep), None]
                }
                _ => [None; 5],
            };
            moments.into_iter().flatten().map(|at| at.max(asleep)).filter(|at| *at > now).min()
        });
        ends.chain(self.network.next_moment(now)).min()
    }

    /// Performs a step. Returns whether anything moved.
    fn perform(&mut self, index: usize, action: Move, cx: &mut Context<'_, '_>) -> bool {
        let network = &mut self.network;
        match (&mut self.ends[index], action) {
            (End::Endpoint(end), Move::Write) => return end.write(false, network, cx),
            (End::Endpoint(end), Move::Read) => return end.read(network, cx),
            (End::Endpoint(end), Move::Report) => end.report(false, network, cx),
            (End::Endpoint(end), Move::Timeout) => {
                end.timeout(false, network, cx);
                return false;
            }
            (End::Endpoint(end), Move::Act) => {
                end.act(cx);
                end.run_actions(network, cx);
            }
            (End::Adversary(end), Move::Write) => end.write(index, network, cx),
            (End::Adversary(end), Move::Act) => end.act(index, network, cx),
            (End::Adversary(end), _) => end.read(index, network, cx),
        }
        true
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.ends.iter().filter_map(|end| match end {
            End::Endpoint(end) => Some(&**end),
            End::Adversary(_) => None,
        })
    }

    fn outcome(&self, steps: usize) -> Outcome {
        let mut outcome = Outcome { steps, ..Outcome::default() };
        for end in self.endpoints() {
            outcome.opened += usize::from(end.closed.is_some());
            outcome.got_close += usize::from(end.model.received.is_some());
            outcome.failed += usize::from(end.model.has_failed);
            outcome.timed_out += usize::from(end.deadlines.has_timed_out);
            outcome.truncated += usize::from(end.is_truncated);
            outcome.messages += end.received.len();
            outcome.compressed += end.model.receive.compressed_messages();
        }
        outcome
    }

    /// Checks what must hold at the end of a run.
    fn check_end(&self) {
        for end in self.endpoints() {
            assert!(end.is_done, "{} never closes its transport", end.name);
            let is_opened = end.model.phase == Phase::Opened;
            assert_eq!(end.closed.is_some(), is_opened, "{}: whether Close was reported", end.name);
        }
        let both: Vec<_> = self.endpoints().collect();
        let [client, server] = both[..] else { return };
        if client.has_opened {
            let (client, server) = (&client.model, &server.model);
            assert_eq!(client.agreed, server.agreed, "the ends agreed about compression");
            let has_settings = client.config.compression.is_some() && server.config.compression.is_some();
            assert!(client.agreed.is_none() || has_settings, "an end without compression agreed to it");
        }
        for (from, to) in [(client, server), (server, client)] {
            let (sent, received) = (&from.application.sent, &to.received);
            assert!(sent.starts_with(received), "{} received messages that differ from those sent", to.name);
            let got_close = to.model.received.is_some();
            assert!(!got_close || sent == received, "{} received Close, but not every message before it", to.name);
        }
        let is_disturbed = self.network.is_disturbed || both.iter().any(|end| end.model.is_disturbed);
        let has_timed_out = both.iter().any(|end| end.deadlines.has_timed_out);
        let is_prompt = self.network.is_prompt()
            && both.iter().all(|end| end.is_prompt(self.network.pipes[1 - end.index].receive_capacity));
        assert!(is_disturbed || !is_prompt || !has_timed_out, "a deadline ended a connection without delays or faults");
        if !is_disturbed && !has_timed_out {
            for (from, to) in [(client, server), (server, client)] {
                let code = to.closed.map(|(code, _)| code);
                assert_eq!(to.closed, code.map(|code| (code, true)), "nothing failed, but the close was not clean");
                assert!(from.application.sent == to.received, "nothing failed, but a message was lost");
                let is_lost = to.has_missed_close_message && !from.has_cut_close_message;
                assert!(!is_lost, "nothing failed, but the close message of the layer was lost");
            }
        }
    }
}

/// Chooses the role of an adversary, or else a layer under both endpoints.
fn choose_peer(choices: &mut Choices<'_>) -> (Option<Role>, Layering) {
    let adversary = choices.pick(&[None, Some(Role::Client), None, Some(Role::Server)]);
    if adversary.is_some() || !choices.once_in(3) {
        return (adversary, Layering::Plain);
    }
    let settings = LayerSettings {
        handshake_records: choices.pick(&[2, 0, 1]),
        max_record: choices.pick(&[16_384, 1, 100, 1000]),
        max_plaintext: choices.pick(&[16_384, 1000, 50, 7]),
        fails_after: None,
    };
    (None, Layering::Stalling(settings))
}
