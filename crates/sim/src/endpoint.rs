//! One end of the connection: a [`sansocket_drive::Driver`], its owner, and the model that watches every step.
//!
//! The owner does what the documentation of the driver asks for, and nothing more: it reports what the transport did,
//! fetches events until there are none, and obeys `next_action`. Reading and writing: [transfers](crate::transfers).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::SeedableRng;
use sansocket::{ClientRequest, Config, Input, Instant, ReadyState, Role, Scratch, WebSocket};
use sansocket_drive::{Action, Driver, LayerScratch};

use crate::application::Application;
use crate::choices::Choices;
use crate::engine::Engine;
use crate::goals::Goals;
use crate::layer::{Settings, StallingLayer};
use crate::model::{Ending, Model, Phase};
use crate::network::Network;
use crate::reading::Whole;
use crate::settings::MILLISECOND;
use crate::trace::Trace;

/// A driver that is told to go on so often in a row, and has nothing to do, spins.
const BARREN_MAX: usize = 4;

/// What every step needs.
#[derive(Debug)]
pub(crate) struct Context<'r, 'c> {
    pub(crate) choices: &'r mut Choices<'c>,
    pub(crate) trace: Trace,
    pub(crate) now: u64,
    pub(crate) meter: Meter,
}

/// Calls the function, and returns how many bytes of the heap were in use at most meanwhile, beyond those before.
pub type Meter = fn(&mut dyn FnMut()) -> u64;

/// How bytes get from the driver to the transport.
#[derive(Debug)]
pub(crate) enum WriteMode {
    /// What the transport accepts counts as delivered at once.
    Direct,
    /// Bytes are taken first, written later, and reported as delivered later still.
    Taking(TakenBytes),
}

/// Bytes that were taken.
#[derive(Debug, Default)]
pub(crate) struct TakenBytes {
    /// Not written.
    pub(crate) queue: VecDeque<Bytes>,
    /// Written, and not reported.
    pub(crate) unreported: usize,
    /// When to report them.
    pub(crate) report_at: u64,
}

/// What the driver waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) until: Option<u64>,
}

/// A buffer that the owner refills, and what is left in it.
#[derive(Debug, Default)]
pub(crate) struct Refill {
    pub(crate) capacity: usize,
    pub(crate) held: Vec<u8>,
    /// The same bytes as they came: the core unmasks them where they lie.
    pub(crate) wire: Vec<u8>,
}

/// A client or a server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: &'static str,
    /// Which end of the network it has.
    pub(crate) index: usize,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) is_layered: bool,
    pub(crate) model: Model,
    pub(crate) goals: Goals,
    pub(crate) application: Application,
    pub(crate) write_mode: WriteMode,
    pub(crate) refill: Option<Refill>,
    /// How many bytes it reads at a time, and how long it waits then, in nanoseconds.
    pub(crate) pace: Option<(usize, u64)>,
    pub(crate) reads_at: u64,
    /// Whether its operating system tells how many bytes are not acknowledged.
    pub(crate) knows_acks: bool,
    /// The latest acknowledgement, if it is known, and how many bytes are outstanding.
    pub(crate) acked: Option<u64>,
    pub(crate) outstanding: usize,
    pub(crate) wait: Wait,
    /// Whole messages that the application was given.
    pub(crate) received: Vec<Whole>,
    /// The chunks of a message that has not ended.
    pub(crate) pieces: Option<Whole>,
    /// What the model expects to be told in chunks, and whether that ends the message.
    pub(crate) expected: Option<(Whole, bool)>,
    pub(crate) is_told_open: bool,
    /// The code of `Close`, and whether it was clean.
    pub(crate) closed: Option<(u16, bool)>,
    pub(crate) state: ReadyState,
    /// The driver's owner has closed or dropped the socket.
    pub(crate) is_done: bool,
    /// A deadline was reported since events were last fetched.
    pub(crate) is_timed_out: bool,
    /// A failure of the transport that the driver has to report.
    pub(crate) io_failure: Option<io::ErrorKind>,
    pub(crate) has_reported_failure: bool,
    /// Memory that is attached to the connection now and then.
    pub(crate) memory: Scratch,
    pub(crate) scratch: LayerScratch,
}

impl Endpoint {
    pub(crate) fn new(
        role: Role,
        config: Config,
        layer: Option<Settings>,
        receive_capacity: usize,
        choices: &mut Choices<'_>,
        now: u64,
    ) -> Self {
        let config = Arc::new(config);
        let start = Instant::from_nanos(now);
        let model = Model::new(role, Arc::clone(&config));
        let goals = Goals::new(&config, now);
        let (name, index, ws) = match role {
            Role::Server => ("server", 1, WebSocket::server(config, start)),
            Role::Client => {
                let mut request: ClientRequest = "ws://sim.example/chat".parse().expect("a URI");
                if choices.once_in(4) {
                    request = request.protocol("first").protocol("second");
                }
                let rng = ChaCha12Rng::seed_from_u64(choices.number());
                ("client", 0, WebSocket::client(request, config, rng, start).expect("a good request"))
            }
        };
        let engine: Box<dyn Engine> = match layer {
            None => Box::new(Driver::new(ws)),
            Some(settings) => Box::new(Driver::with_layer(ws, StallingLayer::new(role, settings))),
        };
        let is_plain = layer.is_none();
        let pace = match choices.below(8) {
            6 => Some((receive_capacity / 4 + 1, 50 * MILLISECOND)),
            7 => Some(choices.pick(&[(100, 5 * MILLISECOND), (1, 100 * MILLISECOND), (1000, 100 * MILLISECOND)])),
            _ => None,
        };
        let takes = is_plain && choices.once_in(3);
        let refills = is_plain && choices.once_in(4);
        let mut endpoint = Self {
            name,
            index,
            engine,
            is_layered: !is_plain,
            application: Application::new(choices, now),
            write_mode: if takes { WriteMode::Taking(TakenBytes::default()) } else { WriteMode::Direct },
            refill: refills.then(|| Refill { capacity: choices.pick(&[4096, 64, 300, 70_000]), ..Refill::default() }),
            pace,
            reads_at: now,
            knows_acks: !choices.once_in(4),
            acked: None,
            outstanding: 0,
            wait: Wait::default(),
            received: Vec::new(),
            pieces: None,
            expected: None,
            is_told_open: false,
            closed: None,
            state: ReadyState::Connecting,
            is_done: false,
            is_timed_out: false,
            io_failure: None,
            has_reported_failure: false,
            memory: Scratch::new(),
            scratch: LayerScratch::new(),
            model,
            goals,
        };
        let request = endpoint.waiting();
        endpoint.model.writing.push_handshake(request);
        endpoint.wait = Wait { read: true, write: role == Role::Client, until: Some(now) };
        endpoint
    }

    pub(crate) fn ws(&mut self) -> &mut WebSocket {
        self.engine.websocket_mut()
    }

    /// Whether it reads soon after bytes have come, and notices acknowledgements.
    pub(crate) fn is_prompt(&self, receive_capacity: usize) -> bool {
        self.knows_acks
            && self.goals.are_generous()
            && self.pace.is_none_or(|(count, pause)| pause <= 50 * MILLISECOND && count > receive_capacity / 4)
    }

    /// Looks at what the operating system knows of the sending direction.
    pub(crate) fn observe(&mut self, network: &Network) {
        let pipe = &network.pipes[self.index];
        self.outstanding = pipe.outstanding();
        self.acked = self.knows_acks.then_some(pipe.acked_at);
    }

    /// The clock, which goes backwards now and then, but not when a deadline is handled.
    pub(crate) fn clock(&self, cx: &mut Context<'_, '_>) -> Instant {
        let late = if !self.is_timed_out && cx.choices.once_in(64) {
            cx.choices.below(MILLISECOND as usize) as u64
        } else {
            0
        };
        Instant::from_nanos(cx.now.saturating_sub(late))
    }

    /// How many bytes wait, by the core's own account.
    pub(crate) fn waiting(&mut self) -> usize {
        self.ws().output().remaining()
    }

    /// After a report: fetches the events of received bytes, and of what was reported; then obeys the driver.
    pub(crate) fn turn(&mut self, bytes: Vec<u8>, network: &mut Network, cx: &mut Context<'_, '_>) {
        self.feed(bytes, cx);
        self.obey(network, cx);
    }

    /// After anything else: does what the driver says is to be done.
    pub(crate) fn obey(&mut self, network: &mut Network, cx: &mut Context<'_, '_>) {
        let mut barren = 0;
        while !self.is_done {
            self.inspect(cx.now);
            let action = self.engine.next_action();
            self.note_layer(cx.now);
            match action {
                Action::Again => {
                    barren = if self.feed(Vec::new(), cx) { 0 } else { barren + 1 };
                    assert!(barren < BARREN_MAX, "the driver spins");
                }
                Action::ShutdownWrite => {
                    cx.trace.line(self.name, format_args!("closes its direction"));
                    assert_eq!(self.model.ending(), Ending::AwaitingEnd, "there is more to write");
                    network.shut(self.index, cx.now);
                    self.engine.write_shut_down();
                }
                Action::Close | Action::Abort => self.leave(action, network, cx),
                Action::Wait { read, write, until } => {
                    self.wait = Wait { read, write, until: until.map(Instant::as_nanos) };
                    return self.check_wait();
                }
            }
        }
    }

    /// Closes or drops the socket.
    fn leave(&mut self, action: Action, network: &mut Network, cx: &mut Context<'_, '_>) {
        cx.trace.line(self.name, format_args!("is done: {action:?}"));
        self.is_done = true;
        assert_eq!(self.ws().ready_state(), ReadyState::Closed);
        match self.model.phase {
            Phase::Opened => assert!(self.closed.is_some(), "the transport is closed, but Close was not reported"),
            Phase::Refused(_) if self.model.ending() != Ending::Over => {
                self.goals.check_given_up(self.acked, cx.now);
            }
            Phase::Refused(_) => {}
            Phase::Connecting => panic!("the transport is closed, but the opening handshake has not ended"),
        }
        if action == Action::Abort {
            network.abort(self.index, cx.now);
        } else {
            network.close(self.index, cx.now);
        }
    }

    /// Gives the driver received bytes, and fetches events until there are none. Returns whether anything came of it.
    fn feed(&mut self, mut bytes: Vec<u8>, cx: &mut Context<'_, '_>) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut wire = Vec::new();
        let capacity = self.refill.as_ref().map_or(0, |refill| refill.capacity);
        let mut input = match &mut self.refill {
            Some(refill) if !bytes.is_empty() => {
                wire = [std::mem::take(&mut refill.wire), bytes.clone()].concat();
                bytes = [std::mem::take(&mut refill.held), bytes].concat();
                Input::refillable(&mut bytes, refill.capacity)
            }
            _ => {
                let input = self.engine.open(&mut bytes, &mut scratch);
                wire.extend_from_slice(input.remaining());
                input
            }
        };
        if self.engine.has_read_ended() && self.is_layered {
            self.note_layer_failure();
        }
        let mut is_fruitful = !input.is_empty();
        loop {
            let is_over = self.fetch(&mut input, &wire, &mut is_fruitful, cx);
            if is_over {
                break;
            }
            self.inspect(cx.now);
            // the application reacts while the event still borrows the input
            if cx.choices.once_in(6) {
                self.act(cx);
            }
        }
        let left = input.remaining().len();
        assert!(left == 0 || (input.missing() > 0 && left + input.missing() <= capacity), "input was left");
        if let Some(refill) = &mut self.refill
            && left > 0
        {
            refill.held = bytes.split_off(bytes.len() - left);
            refill.wire = wire.split_off(wire.len() - left);
        }
        self.scratch = scratch;
        self.inspect(cx.now);
        is_fruitful
    }

    /// Fetches one event. Returns whether it was the last.
    fn fetch(&mut self, input: &mut Input<'_>, wire: &[u8], is_fruitful: &mut bool, cx: &mut Context<'_, '_>) -> bool {
        let given = input.remaining().len();
        if given > 0 {
            self.goals.hear(&self.model, cx.now);
        }
        let now = self.clock(cx);
        let mut result = Ok(None);
        let engine = &mut self.engine;
        let peak = (cx.meter)(&mut || result = engine.next_event(input, now));
        self.check_memory(given, peak);
        let (from, to) = (wire.len() - given, wire.len() - input.remaining().len());
        self.model.reading.push(&wire[from..to]);
        *is_fruitful |= !matches!(result, Ok(None));
        match result {
            Ok(Some(event)) => self.see(event, cx),
            Ok(None) => {
                self.see_no_more(cx);
                return true;
            }
            Err(error) => {
                cx.trace.line(self.name, format_args!("fails: {error}"));
                self.see_failure(error, cx.now);
            }
        }
        false
    }

    /// Nothing is reserved from a length that a peer claims: what is needed follows from what has come, and from what
    /// waits to leave, to which an answer may be added. A buffer that grows is there twice for a moment.
    fn check_memory(&self, given: usize, peak: u64) {
        let held = given + self.model.reading.held();
        // a head of the opening handshake is read into a table of its lines
        let table = if self.model.phase == Phase::Connecting { 64 * self.model.config.max_header_lines } else { 0 };
        // of the data lane, what is not longer than this grows as one
        let waits = 400 * (self.model.writing.controls() + 4) + 3 * self.model.writing.len().min(16 * 1024);
        let most = 6 * held + waits + table + 2048;
        assert!(peak <= most as u64, "{peak} bytes of memory for {held} bytes that came");
    }

    /// Attaches memory to the connection, or detaches it.
    pub(crate) fn attach_scratch(&mut self, cx: &mut Context<'_, '_>) {
        match cx.choices.below(8) {
            5 => self.engine.websocket_mut().attach_scratch(&mut self.memory),
            6 => self.engine.websocket_mut().detach_scratch(&mut self.memory),
            _ => {}
        }
    }

    /// The server has accepted.
    pub(crate) fn accepted(&mut self) {
        let head = self.waiting();
        self.model.writing.push_handshake(head);
        self.model.open();
    }
}
