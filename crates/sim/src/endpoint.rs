//! One end of the connection: a [`sansocket_drive::Driver`], its owner, and the model that checks every step.
//!
//! The owner does exactly what the driver's documentation asks for: it reports what the transport did, fetches events
//! until there are none, and performs `next_action`. [transfers](crate::transfers) reads and writes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::SeedableRng;
use sansocket::{ClientRequest, Config, Input, Instant, ReadyState, Role, Scratch, WebSocket};
use sansocket_drive::{Action, LayerScratch};

use crate::application::Application;
use crate::choices::Choices;
use crate::context::Context;
use crate::deadline_model::DeadlineModel;
use crate::engine::{Engine, Layering};
use crate::model::{ClosingPhase, Model, Phase};
use crate::network::Network;
use crate::receive_model::WholeMessage;
use crate::settings::MILLISECOND;

/// A driver that returns `Action::Again` this many times in a row without progress is in a busy loop.
const IDLE_ROUNDS_MAX: usize = 4;

/// How bytes get from the driver to the transport.
#[derive(Debug)]
pub(crate) enum WriteMode {
    /// Bytes count as delivered as soon as the transport accepts them.
    Direct,
    /// Bytes are taken first, written later, and reported as delivered after that.
    Taking(TakenBytes),
}

/// Bytes taken from the driver.
#[derive(Debug, Default)]
pub(crate) struct TakenBytes {
    /// Bytes not written yet.
    pub(crate) queue: VecDeque<Bytes>,
    /// The number of bytes written and not yet reported.
    pub(crate) unreported: usize,
    /// When to report them.
    pub(crate) report_at: u64,
}

/// What the driver waits for: the content of `Action::Wait`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) until: Option<u64>,
}

/// A client or a server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: &'static str,
    /// The index of its end of the network.
    pub(crate) index: usize,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) is_layered: bool,
    /// Whether the bytes on the wire differ between runs of the same choices.
    pub(crate) is_encrypted: bool,
    pub(crate) model: Model,
    pub(crate) deadlines: DeadlineModel,
    pub(crate) application: Application,
    pub(crate) write_mode: WriteMode,
    /// The maximum number of bytes that it reads at a time, and the pause after that, in nanoseconds.
    pub(crate) pace: Option<(usize, u64)>,
    pub(crate) reads_at: u64,
    /// Whether its operating system reports how many bytes are unacknowledged.
    pub(crate) knows_acks: bool,
    /// The time of the latest acknowledgement, if known, and the number of outstanding bytes.
    pub(crate) acked: Option<u64>,
    pub(crate) outstanding: usize,
    pub(crate) wait: Wait,
    /// Whole messages that the application received.
    pub(crate) received: Vec<WholeMessage>,
    /// The chunks of an unfinished message, joined.
    pub(crate) pieces: Option<WholeMessage>,
    /// Payload that further chunks must deliver, and whether it ends the message.
    pub(crate) expected: Option<(WholeMessage, bool)>,
    pub(crate) has_opened: bool,
    /// The code of the `Close` event, and whether it was clean.
    pub(crate) closed: Option<(u16, bool)>,
    pub(crate) state: ReadyState,
    /// The owner has closed or dropped the socket.
    pub(crate) is_done: bool,
    /// A deadline was handled since events were last fetched.
    pub(crate) is_timed_out: bool,
    /// A failure of the transport that the driver must report.
    pub(crate) unreported_io_failure: Option<io::ErrorKind>,
    pub(crate) has_reported_failure: bool,
    /// The stream has ended without the close message of the layer, if the layer has one.
    pub(crate) has_missed_close_message: bool,
    /// The transport has not taken all of the close message of this end.
    pub(crate) has_cut_close_message: bool,
    /// The stream has ended too early for the layer, which is a failure that the driver must report.
    pub(crate) is_truncated: bool,
    /// Scratch that is attached to the connection at some steps.
    pub(crate) scratch: Scratch,
    pub(crate) layer_scratch: LayerScratch,
}

impl Endpoint {
    pub(crate) fn new(
        role: Role,
        config: Config,
        layering: Layering,
        receive_capacity: usize,
        choices: &mut Choices<'_>,
        now: u64,
    ) -> Self {
        let config = Arc::new(config);
        let start = Instant::from_nanos(now);
        let model = Model::new(role, Arc::clone(&config));
        let deadlines = DeadlineModel::new(&config, now);
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
        let engine = layering.drive(ws, role);
        let is_plain = matches!(layering, Layering::Plain);
        let pace = match choices.below(8) {
            6 => Some((receive_capacity / 4 + 1, 50 * MILLISECOND)),
            7 => Some(choices.pick(&[(100, 5 * MILLISECOND), (1, 100 * MILLISECOND), (1000, 100 * MILLISECOND)])),
            _ => None,
        };
        let takes = is_plain && choices.once_in(3);
        // Two choices of a feature that was removed. Without them, the inputs in the corpus would give other runs.
        let has_unused_choice = is_plain && choices.once_in(4);
        let application = Application::new(choices, now);
        if has_unused_choice {
            choices.below(4);
        }
        let mut endpoint = Self {
            name,
            index,
            engine,
            is_layered: !is_plain,
            is_encrypted: matches!(layering, Layering::Tls(_)),
            application,
            write_mode: if takes { WriteMode::Taking(TakenBytes::default()) } else { WriteMode::Direct },
            pace,
            reads_at: now,
            knows_acks: !choices.once_in(4),
            acked: None,
            outstanding: 0,
            wait: Wait::default(),
            received: Vec::new(),
            pieces: None,
            expected: None,
            has_opened: false,
            closed: None,
            state: ReadyState::Connecting,
            is_done: false,
            is_timed_out: false,
            unreported_io_failure: None,
            has_reported_failure: false,
            has_missed_close_message: false,
            has_cut_close_message: false,
            is_truncated: false,
            scratch: Scratch::new(),
            layer_scratch: LayerScratch::new(),
            model,
            deadlines,
        };
        let request = endpoint.pending_len();
        endpoint.model.send.push_handshake(request);
        endpoint.wait = Wait { read: true, write: role == Role::Client, until: Some(now) };
        endpoint
    }

    pub(crate) fn ws(&mut self) -> &mut WebSocket {
        self.engine.websocket_mut()
    }

    /// Returns whether it reads soon after bytes arrive, knows acknowledgements, and has generous time limits.
    pub(crate) fn is_prompt(&self, receive_capacity: usize) -> bool {
        self.knows_acks
            && self.deadlines.are_generous()
            && self.pace.is_none_or(|(count, pause)| pause <= 50 * MILLISECOND && count > receive_capacity / 4)
    }

    /// Reads from the operating system how much of what was sent is acknowledged.
    pub(crate) fn observe_acks(&mut self, network: &Network) {
        let pipe = &network.pipes[self.index];
        self.outstanding = pipe.outstanding();
        self.acked = self.knows_acks.then_some(pipe.acked_at);
    }

    /// Returns the time, which sometimes goes backwards, but not when a deadline is handled.
    pub(crate) fn clock(&self, cx: &mut Context<'_, '_>) -> Instant {
        let late = if !self.is_timed_out && cx.choices.once_in(64) {
            cx.choices.below(MILLISECOND as usize) as u64
        } else {
            0
        };
        Instant::from_nanos(cx.now.saturating_sub(late))
    }

    /// Returns how many bytes of output are pending, according to the core.
    pub(crate) fn pending_len(&mut self) -> usize {
        self.ws().output().remaining()
    }

    /// Passes received bytes to the driver, fetches all events, and performs the driver's actions. Called after a
    /// report.
    pub(crate) fn turn(&mut self, bytes: Vec<u8>, network: &mut Network, cx: &mut Context<'_, '_>) {
        self.receive(bytes, cx);
        self.run_actions(network, cx);
    }

    /// Performs the driver's actions until it waits or the transport is closed.
    pub(crate) fn run_actions(&mut self, network: &mut Network, cx: &mut Context<'_, '_>) {
        let mut idle_rounds = 0;
        while !self.is_done {
            self.check_state(cx.now);
            let action = self.engine.next_action();
            self.note_layer(cx.now);
            match action {
                Action::Again => {
                    // The close message of TLS, for which the driver asks for one attempt. The stand-in for TLS does
                    // without it: the inputs in the corpus would give other runs.
                    if self.is_encrypted && self.engine.has_closed_layer() && !self.engine.has_write_ended() {
                        self.write_and_report(usize::MAX, network, cx);
                        self.has_cut_close_message = self.engine.to_write().has_remaining();
                    }
                    idle_rounds = if self.receive(Vec::new(), cx) { 0 } else { idle_rounds + 1 };
                    assert!(idle_rounds < IDLE_ROUNDS_MAX, "the driver is in a busy loop");
                }
                Action::ShutdownWrite => {
                    cx.trace.line(self.name, format_args!("shuts down its direction"));
                    assert_eq!(self.model.closing_phase(), ClosingPhase::AwaitingEof, "shutdown before delivery");
                    network.shut(self.index, cx.now);
                    self.engine.write_shut_down();
                }
                Action::Close | Action::Abort => self.close_transport(action, network, cx),
                Action::Wait { read, write, until } => {
                    self.wait = Wait { read, write, until: until.map(Instant::as_nanos) };
                    return self.check_wait();
                }
            }
        }
    }

    /// Closes or aborts the transport.
    fn close_transport(&mut self, action: Action, network: &mut Network, cx: &mut Context<'_, '_>) {
        cx.trace.line(self.name, format_args!("is done: {action:?}"));
        self.is_done = true;
        assert_eq!(self.ws().ready_state(), ReadyState::Closed);
        match self.model.phase {
            Phase::Opened => assert!(self.closed.is_some(), "the driver closes the transport before the Close event"),
            Phase::Refused(_) if self.model.closing_phase() != ClosingPhase::Finished => {
                self.deadlines.check_closing_timeout(self.acked, cx.now);
            }
            Phase::Refused(_) => {}
            Phase::Connecting => panic!("the driver closes the transport during the opening handshake"),
        }
        if action == Action::Abort {
            network.abort(self.index, cx.now);
        } else {
            network.close(self.index, cx.now);
        }
    }

    /// Passes received bytes to the driver and fetches events until there are none. Returns whether there was progress.
    fn receive(&mut self, mut bytes: Vec<u8>, cx: &mut Context<'_, '_>) -> bool {
        let mut scratch = std::mem::take(&mut self.layer_scratch);
        let mut input = self.engine.open(&mut bytes, &mut scratch);
        let wire = input.remaining().to_vec();
        if self.engine.has_read_ended() && self.is_layered {
            self.note_layer_failure();
        }
        let mut has_progress = !input.is_empty();
        while !self.fetch_event(&mut input, &wire, &mut has_progress, cx) {
            self.check_state(cx.now);
            // the application reacts while the event still borrows the input
            if cx.choices.once_in(6) {
                self.act(cx);
            }
        }
        assert!(input.is_empty(), "the driver left {} bytes of input", input.remaining().len());
        self.layer_scratch = scratch;
        self.check_state(cx.now);
        has_progress
    }

    /// Fetches one event. Returns whether there was none.
    fn fetch_event(
        &mut self,
        input: &mut Input<'_>,
        wire: &[u8],
        has_progress: &mut bool,
        cx: &mut Context<'_, '_>,
    ) -> bool {
        let given = input.remaining().len();
        if given > 0 {
            self.deadlines.note_received(&self.model, cx.now);
        }
        let now = self.clock(cx);
        let mut result = Ok(None);
        let engine = &mut self.engine;
        let peak = (cx.meter)(&mut || result = engine.next_event(input, now));
        self.check_memory(given, peak);
        let (from, to) = (wire.len() - given, wire.len() - input.remaining().len());
        self.model.receive.push(&wire[from..to]);
        *has_progress |= !matches!(result, Ok(None));
        match result {
            Ok(Some(event)) => self.check_event(event, cx),
            Ok(None) => {
                self.check_no_more_events(cx);
                return true;
            }
            Err(error) => {
                cx.trace.line(self.name, format_args!("fails: {error}"));
                self.check_failure(error, cx.now);
            }
        }
        false
    }

    /// Checks that memory is in proportion to the bytes received and the output pending, not to a length that the peer
    /// claims. While a buffer grows, the old one exists too.
    fn check_memory(&self, given: usize, peak: u64) {
        let held = given + self.model.receive.held();
        // the opening handshake parses a head into a table of lines
        let table = if self.model.phase == Phase::Connecting { 64 * self.model.config.max_header_lines } else { 0 };
        // data frames up to 16 KiB share one buffer that grows
        let pending = 400 * (self.model.send.controls() + 4) + 3 * self.model.send.len().min(16 * 1024);
        // an inflater and the buffers of a step, and what the received bytes inflate to at most
        let inflated = if self.model.receive.is_compressed() {
            160 * 1024 + 6 * (1032 * held).min(self.model.config.max_message_size)
        } else {
            0
        };
        let max = 6 * held + pending + table + inflated + 2048;
        assert!(peak <= max as u64, "{peak} bytes of memory for {held} bytes received");
    }

    /// Attaches scratch to the connection, detaches it, or does neither.
    pub(crate) fn attach_scratch(&mut self, cx: &mut Context<'_, '_>) {
        match cx.choices.below(8) {
            5 => self.engine.websocket_mut().attach_scratch(&mut self.scratch),
            6 => self.engine.websocket_mut().detach_scratch(&mut self.scratch),
            _ => {}
        }
    }

    /// Notes that the server has accepted the request.
    pub(crate) fn note_accept(&mut self) {
        let head = self.pending_len();
        self.model.send.push_handshake(head);
        let agreed = self.ws().compression();
        self.model.open(agreed);
    }
}
