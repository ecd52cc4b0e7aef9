//! One end of the connection: the core, driven as a correct driver does it, and the model that watches every step.

use std::io::IoSlice;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::SeedableRng;
use sansocket::{ClientRequest, Config, Error, Input, Instant, ReadyState, Role, Scratch, TransportAction, WebSocket};

use crate::application::Application;
use crate::choices::Choices;
use crate::model::{Model, Phase, Timer};
use crate::network::{Break, Link};
use crate::reading::Whole;
use crate::trace::{Short, Trace};

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

/// A client or a server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: &'static str,
    pub(crate) ws: WebSocket,
    pub(crate) model: Model,
    pub(crate) application: Application,
    /// Whole messages that the application was given.
    pub(crate) received: Vec<Whole>,
    /// The chunks of a message that has not ended.
    pub(crate) pieces: Option<Whole>,
    /// What the model expects to be told in chunks, and whether that ends the message.
    pub(crate) expected: Option<(Whole, bool)>,
    pub(crate) is_told_open: bool,
    /// Frames have come with the request, and wait for `receive`.
    has_early: bool,
    /// How the connection closed, once it has.
    pub(crate) closed: Option<u16>,
    pub(crate) state: ReadyState,
    pub(crate) has_shut: bool,
    /// The driver has closed the socket.
    pub(crate) is_done: bool,
    /// Whether `receive` is to be called although nothing has arrived.
    pub(crate) is_poked: bool,
    /// Memory that is lent to the output now and then.
    memory: Scratch,
    /// Whether the latest reading of the clock has been looked at.
    pub(crate) is_clock_read: bool,
}

impl Endpoint {
    pub(crate) fn new(role: Role, config: Config, choices: &mut Choices<'_>, now: u64) -> Self {
        let config = Arc::new(config);
        let start = Instant::from_nanos(now);
        let model = Model::new(role, Arc::clone(&config), now);
        let (name, ws) = match role {
            Role::Server => ("server", WebSocket::server(config, start)),
            Role::Client => {
                let mut request: ClientRequest = "ws://sim.example/chat".parse().expect("a URI");
                if choices.once_in(4) {
                    request = request.protocol("first").protocol("second");
                }
                let rng = ChaCha12Rng::seed_from_u64(choices.number());
                ("client", WebSocket::client(request, config, rng, start).expect("a good request"))
            }
        };
        let mut endpoint = Self {
            name,
            ws,
            application: Application::new(choices, now),
            received: Vec::new(),
            pieces: None,
            expected: None,
            is_told_open: false,
            has_early: false,
            closed: None,
            state: ReadyState::Connecting,
            has_shut: false,
            is_done: false,
            is_poked: false,
            memory: Scratch::new(),
            is_clock_read: true,
            model,
        };
        endpoint.model.writing.push_handshake(endpoint.ws.output().remaining());
        endpoint.inspect();
        endpoint
    }

    /// The clock, which is wrong now and then: it goes backwards. (Not after a call that may not have looked at it.)
    pub(crate) fn clock(&mut self, cx: &mut Context<'_, '_>) -> Instant {
        let was_read = std::mem::replace(&mut self.is_clock_read, true);
        let late = if cx.choices.once_in(64) && was_read { cx.choices.number() } else { 0 };
        let now = cx.now.saturating_sub(late);
        self.model.advance(now);
        Instant::from_nanos(now)
    }

    /// How many bytes wait, by the core's own word.
    pub(crate) fn waiting(&mut self) -> usize {
        self.ws.output().remaining()
    }

    /// Writes as much as the transport takes, which may be nothing.
    pub(crate) fn write(&mut self, link: &mut Link, cx: &mut Context<'_, '_>) -> Option<Break> {
        let room = link.room(cx.now);
        let most = match cx.choices.below(4) {
            0 | 1 => room,
            2 => cx.choices.below(20),
            _ => cx.choices.below(room + 1),
        };
        let taken = if cx.choices.once_in(3) { self.take_vectored(most, cx) } else { self.take(most, cx) };
        cx.trace.line(self.name, format_args!("writes {}", Short(&taken)));
        if taken.is_empty() {
            link.stall(cx.now + link.latency() + 1);
            return None;
        }
        self.model.leave(&taken);
        if cx.choices.once_in(4) {
            self.ws.detach_scratch(&mut self.memory);
        }
        self.inspect();
        link.write(&taken, cx.now)
    }

    fn take(&mut self, most: usize, cx: &mut Context<'_, '_>) -> Vec<u8> {
        let mut taken = Vec::new();
        let output = self.ws.output();
        while output.has_remaining() && taken.len() < most {
            let chunk = output.chunk();
            assert!(!chunk.is_empty(), "bytes remain, but the chunk is empty");
            let count = chunk.len().min(most - taken.len());
            taken.extend_from_slice(&chunk[..count]);
            output.advance(count);
            if cx.choices.once_in(8) {
                break;
            }
        }
        taken
    }

    /// As `writev` does: from several chunks at once.
    fn take_vectored(&mut self, most: usize, cx: &mut Context<'_, '_>) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 5];
        let room = cx.choices.between(1, slices.len());
        let output = self.ws.output();
        let count = output.chunks_vectored(&mut slices[..room]);
        let mut taken: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        assert!(!taken.is_empty() || !output.has_remaining(), "bytes remain, but every chunk is empty");
        assert!(taken.len() <= output.remaining(), "there is more in the chunks than remains");
        taken.truncate(most);
        // to advance by more than there is takes all there is
        let beyond = if taken.len() == output.remaining() { cx.choices.pick(&[0, 1, usize::MAX / 2]) } else { 0 };
        output.advance(taken.len() + beyond);
        taken
    }

    /// Reads some of what has arrived.
    pub(crate) fn read(&mut self, link: &mut Link, cx: &mut Context<'_, '_>) {
        let arrived = link.arrived();
        let count = match cx.choices.below(4) {
            0 | 1 => arrived,
            2 => cx.choices.between(1, 16).min(arrived),
            _ => cx.choices.below(arrived + 1).max(arrived / 16),
        };
        let mut bytes = link.read(count);
        cx.trace.line(self.name, format_args!("reads {}", Short(&bytes)));
        self.is_poked = false;
        self.receive(&mut bytes, cx);
    }

    fn receive(&mut self, bytes: &mut [u8], cx: &mut Context<'_, '_>) {
        self.model.reading.push(bytes);
        let mut input = Input::new(bytes);
        loop {
            let now = self.clock(cx);
            self.hear(!input.is_empty());
            let mut result = Ok(None);
            let given = input.remaining().len();
            let peak = (cx.meter)(&mut || result = self.ws.receive(&mut input, now));
            self.check_memory(given, peak);
            match result {
                Ok(Some(event)) => self.see(event, cx),
                Ok(None) => {
                    assert!(input.is_empty(), "input was left");
                    self.see_no_more();
                    break;
                }
                Err(error) => {
                    assert!(input.is_empty(), "a failed connection left input");
                    cx.trace.line(self.name, format_args!("fails: {error}"));
                    self.see_failure(error);
                    break;
                }
            }
            self.inspect();
            // the application reacts while the event still borrows the input
            if cx.choices.once_in(6) {
                self.act(cx);
            }
        }
        self.inspect();
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

    /// Bytes come to an open connection; those that came too early come when it has been told that it is open.
    fn hear(&mut self, has_input: bool) {
        if self.is_told_open && (has_input || self.has_early) {
            self.has_early = false;
            self.model.hear();
        }
    }

    /// The stream has ended, or is lost.
    pub(crate) fn end(&mut self, cx: &mut Context<'_, '_>) {
        cx.trace.line(self.name, format_args!("is told that the stream has ended"));
        loop {
            let now = self.clock(cx);
            self.hear(false);
            match self.ws.receive_eof(now) {
                Ok(Some(event)) => self.see(event, cx),
                Ok(None) => break,
                Err(error) => {
                    cx.trace.line(self.name, format_args!("fails: {error}"));
                    assert_eq!(self.model.phase, Phase::Connecting, "the end is no error of an open connection");
                    self.model.refuse(Some(error), 0);
                    break;
                }
            }
            self.inspect();
        }
        if self.model.phase == Phase::Opened {
            assert!(self.closed.is_some(), "Close did not come at the end");
        }
        self.inspect();
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, cx: &mut Context<'_, '_>) {
        let now = self.clock(cx);
        let result = self.ws.handle_timeout(now);
        let timer = self.model.pop_expired();
        cx.trace.line(self.name, format_args!("handles its timeout: {timer:?}, {result:?}"));
        match (timer, result) {
            (None, result) => assert_eq!(result, Ok(None), "a timer fired early"),
            (Some(Timer::Opening), result) => {
                let error = result.expect_err("the opening timer did not fire");
                let response = self.waiting();
                assert_eq!(response > 0, self.model.role == Role::Server, "a server says so, a client leaves");
                self.model.refuse(Some(error), response);
            }
            (Some(Timer::Ping), result) => {
                assert_eq!(result, Ok(None));
                self.model.keep_alive();
            }
            (Some(Timer::Pong), result) => {
                assert_eq!(result, self.model.miss_pong().map(|()| None).map_err(Error::from));
            }
            (Some(Timer::Closing), result) => {
                if !self.is_told_open {
                    // it was out of time before it could be told of anything
                    self.model.reading.discard();
                }
                match result.expect("to close is no error") {
                    Some(event) => self.see(event, cx),
                    None => assert!(self.closed.is_some() || self.model.phase != Phase::Opened, "Close did not come"),
                }
                self.model.writing.abandon();
            }
        }
        let deadline = self.ws.poll_timeout().map(Instant::as_nanos);
        assert!(deadline.is_none_or(|at| at > self.model.now()), "a driver that waits for this deadline spins");
        self.inspect();
    }

    /// Does with TCP what the core asks for.
    pub(crate) fn obey(&mut self, out: &mut Link, back: &mut Link, cx: &mut Context<'_, '_>) {
        match self.ws.transport() {
            TransportAction::Open => {}
            TransportAction::ShutdownWrite if self.has_shut => {}
            TransportAction::ShutdownWrite => {
                cx.trace.line(self.name, format_args!("closes its direction"));
                self.has_shut = true;
                out.shut(cx.now);
            }
            TransportAction::Close => self.leave(out, back, cx),
        }
    }

    /// Closes the socket.
    pub(crate) fn leave(&mut self, out: &mut Link, back: &mut Link, cx: &mut Context<'_, '_>) {
        if !self.is_done {
            cx.trace.line(self.name, format_args!("closes its socket"));
            self.is_done = true;
            out.shut(cx.now);
            back.leave();
            self.end(cx);
            assert_eq!(self.ws.ready_state(), ReadyState::Closed, "the end of TCP is the end");
        }
    }

    /// Lends memory to the output, or takes it back.
    pub(crate) fn attach_scratch(&mut self, cx: &mut Context<'_, '_>) {
        match cx.choices.below(8) {
            5 => self.ws.attach_scratch(&mut self.memory),
            6 => self.ws.detach_scratch(&mut self.memory),
            _ => {}
        }
    }

    /// The server has accepted: frames that came with the request wait for `receive`.
    pub(crate) fn accepted(&mut self) {
        let head = self.waiting();
        self.model.writing.push_handshake(head);
        self.model.open();
        self.has_early = self.model.reading.has_bytes();
        self.is_poked = true;
    }
}
