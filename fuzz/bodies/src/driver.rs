//! `driver`: a [`Driver`] receives reports of its transport in any order, true or not. It does not panic, reports
//! `Close` once and last, and reports one failure at most. It asks neither to write after writing has ended nor to read
//! after reading has. It reaches its end when the transport has ended, or when enough time has passed.

use arbitrary::{Result, Unstructured};
use sansocket::bytes::Buf;
use sansocket::{Accept, CloseCode, Config, Event, HttpResponse, Instant, OriginPolicy, ReadyState, Role, WebSocket};
use sansocket_drive::{Action, Driver, LayerScratch};
use std::io::{Error, ErrorKind};
use std::time::Duration;

use crate::drive::NOW;
use crate::{drive, limits, response, wire};

/// The maximum number of deadlines until a connection with a silent peer ends: those of the opening handshake,
/// keepalive and the closing handshake together.
const DEADLINES_MAX: usize = 40;

#[derive(Debug)]
struct Run {
    driver: Driver,
    scratch: LayerScratch,
    now: Instant,
    is_opened: bool,
    closes: usize,
    failures: usize,
    has_read_ended: bool,
    has_write_ended: bool,
    has_lost_write: bool,
}

/// Input: role, configuration (12 bytes), then reports and calls, each a byte and its arguments.
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let choice: u8 = u.arbitrary()?;
    let config = limits::all(u)?;
    let mut run = Run::new(drive::role(choice), config);
    while !u.is_empty() {
        run.perform(u)?;
        run.check();
    }
    run.finish(choice & 2 != 0);
    Ok(())
}

impl Run {
    fn new(role: Role, config: Config) -> Self {
        let ws = match role {
            Role::Server => WebSocket::server(config, NOW),
            Role::Client => response::client(config),
        };
        Self {
            driver: Driver::new(ws),
            scratch: LayerScratch::new(),
            now: NOW,
            is_opened: false,
            closes: 0,
            failures: 0,
            has_read_ended: false,
            has_write_ended: false,
            has_lost_write: false,
        }
    }

    fn perform(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 24 {
            0..3 => {
                let frame = wire::frame(u, self.driver.websocket().role())?;
                self.fetch(frame);
            }
            3 => {
                let bytes = wire::payload(u, wire::BINARY)?;
                self.fetch(bytes);
            }
            4 => self.fetch(self.handshake().to_vec()),
            5 => {
                self.has_read_ended = true;
                self.driver.eof();
            }
            6 => {
                (self.has_read_ended, self.has_write_ended, self.has_lost_write) = (true, true, true);
                self.driver.read_lost(error(u.arbitrary()?), self.now);
            }
            7 => {
                (self.has_write_ended, self.has_lost_write) = (true, true);
                self.driver.write_lost(error(u.arbitrary()?), self.now);
            }
            8 => self.driver.timeout(outstanding(u)?, self.now),
            9 => self.driver.acknowledged(u.arbitrary::<u16>()?.into(), self.now),
            10 | 11 => {
                let count = usize::from(u.arbitrary::<u16>()?);
                let mut outgoing = self.driver.to_write();
                outgoing.advance(count);
            }
            12 => drop(self.driver.take_bytes(u.arbitrary::<u16>()?.into())),
            13 => self.driver.delivered(u.arbitrary::<u16>()?.into()),
            14 => {
                self.has_write_ended = true;
                self.driver.write_shut_down();
            }
            15 => self.now = self.now + Duration::from_millis(u.arbitrary::<u8>()?.into()),
            16 => {
                if let Action::Wait { until: Some(until), .. } = self.driver.next_action() {
                    self.now = self.now.max(until);
                    self.driver.timeout(outstanding(u)?, self.now);
                }
            }
            17 | 18 => _ = self.driver.websocket_mut().send(vec![0; usize::from(u.arbitrary::<u16>()?) % 5_000]),
            19 => _ = self.driver.websocket_mut().ping(b"ping"),
            20 => _ = self.driver.websocket_mut().close(CloseCode::NORMAL, "done", self.now),
            21 => self.driver.websocket_mut().abort(self.now),
            22 => self.accept(),
            _ => _ = self.driver.respond(HttpResponse::new(u.arbitrary()?), self.now),
        }
        self.fetch(Vec::new());
        Ok(())
    }

    fn handshake(&self) -> &'static [u8] {
        match self.driver.websocket().role() {
            Role::Server => wire::REQUEST,
            Role::Client => wire::RESPONSE,
        }
    }

    fn accept(&mut self) {
        if self.driver.accept(Accept::new().origin(OriginPolicy::Any), self.now).is_ok() {
            self.is_opened = true;
        }
    }

    /// Fetches events until there are none.
    fn fetch(&mut self, mut bytes: Vec<u8>) {
        let mut input = self.driver.open(&mut bytes, &mut self.scratch);
        loop {
            match self.driver.next_event(&mut input, self.now) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    assert_eq!(self.closes, 0, "{event:?} after Close");
                    self.is_opened |= matches!(event, Event::Open(_));
                    self.closes += usize::from(matches!(event, Event::Close(_)));
                }
                Err(error) => {
                    self.failures += 1;
                    assert_eq!(self.failures, 1, "a second failure: {error}");
                }
            }
        }
        assert!(input.is_empty(), "the driver left input");
    }

    /// Checks what must hold after every report, when all events were fetched.
    fn check(&mut self) {
        let state = self.driver.websocket().ready_state();
        assert!(
            !self.has_lost_write || state != ReadyState::Open,
            "the connection is open, although writing has failed"
        );
        match self.driver.next_action() {
            Action::Again => panic!("Action::Again, but all events were fetched"),
            Action::Wait { read, write, .. } => {
                assert!(!read || !self.has_read_ended, "the driver waits to read after the end");
                assert!(!write || !self.has_write_ended, "the driver waits to write after the end");
                assert!(
                    !write || self.driver.to_write().has_remaining(),
                    "the driver waits to write, but there is no output"
                );
            }
            Action::ShutdownWrite => {
                assert!(!self.driver.to_write().has_remaining(), "the shutdown would cut off output")
            }
            Action::Close | Action::Abort => {
                assert_eq!(self.closes, usize::from(self.is_opened), "the number of Close events");
            }
        }
    }

    /// Reaches the end: the transport is lost, or the application closes and only deadlines follow.
    fn finish(&mut self, is_lost: bool) {
        if is_lost {
            self.driver.read_lost(ErrorKind::ConnectionReset.into(), self.now);
        } else {
            let _ = self.driver.websocket_mut().close(CloseCode::NORMAL, "", self.now);
        }
        self.fetch(Vec::new());
        for _ in 0..DEADLINES_MAX {
            match self.driver.next_action() {
                Action::Wait { until, .. } => {
                    assert!(!is_lost, "the driver waits, although the transport is lost");
                    self.now = until.expect("a closing connection has a deadline").max(self.now);
                    self.driver.timeout(None, self.now);
                }
                Action::ShutdownWrite => self.driver.write_shut_down(),
                Action::Again => {}
                Action::Close | Action::Abort => {
                    assert_eq!(self.closes, usize::from(self.is_opened), "the number of Close events");
                    return;
                }
            }
            self.fetch(Vec::new());
        }
        panic!("the driver did not end: {:?}", self.driver);
    }
}

fn outstanding(u: &mut Unstructured<'_>) -> Result<Option<usize>> {
    Ok(Some(usize::from(u.arbitrary::<u16>()?)).filter(|outstanding| outstanding % 4 != 3))
}

/// Returns an error that means a disconnect, or one that the driver must report.
fn error(choice: bool) -> Error {
    if choice { ErrorKind::BrokenPipe.into() } else { ErrorKind::TimedOut.into() }
}
