//! Simulates the publications of an event loop: many connections, some of them slow, that join and leave groups, are
//! sent messages directly and close, while messages are published.
//!
//! The model is the obvious implementation, which queues each message at once for each member: a connection gets what
//! was published to its groups, and what it was sent, in the order in which it happened.

use std::collections::BTreeSet;

use sansocket::bytes::Buf;
use sansocket::{
    Agreement, CloseCode, Compress, Config, Connection, EncodedMessage, Event, Input, Instant, PermessageDeflate,
    ReadyState, SendError, WebSocket,
};
use sansocket_drive::{Group, Publications, SlowMembers};

use crate::choices::Choices;
use crate::settings;
use crate::strict_inflater::StrictInflater;

/// Groups of each policy.
const GROUPS: usize = 5;
const CONNECTIONS_MAX: usize = 12;
/// A connection with more pending payload is slow.
const HIGH_WATER_MARK: usize = 2_000;
const NOW: Instant = Instant::EPOCH;

/// One event loop, its connections by index, and what the model expects.
struct Loop {
    publications: Publications,
    groups: Vec<Group>,
    connections: Vec<Option<Simulated>>,
    config: Config,
    /// The number of messages so far; a message's payload begins with its number.
    messages: usize,
}

/// A connection, and the numbers of the messages that it must get.
struct Simulated {
    ws: WebSocket,
    agreed: Option<PermessageDeflate>,
    groups: BTreeSet<usize>,
    /// The bytes that the peer has read.
    read: Vec<u8>,
    expected: Vec<usize>,
    /// Messages that the connection may miss, because it was slow.
    optional: BTreeSet<usize>,
    is_aborted: bool,
}

impl Simulated {
    fn new(config: &Config, agreed: Option<PermessageDeflate>) -> Self {
        Self {
            ws: opened(config, agreed),
            agreed,
            groups: BTreeSet::new(),
            read: Vec::new(),
            expected: Vec::new(),
            optional: BTreeSet::new(),
            is_aborted: false,
        }
    }

    fn is_open(&self) -> bool {
        self.ws.ready_state() == ReadyState::Open
    }

    /// Reads up to `max` bytes of the output.
    fn read(&mut self, max: usize) {
        let output = self.ws.output();
        let count = output.remaining().min(max);
        self.read.extend(output.copy_to_bytes(count));
    }

    /// Checks what the peer has read against the model.
    fn check(&self, index: usize) {
        let (numbers, is_closed) = parse(&self.read, self.agreed);
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "connection {index} got messages twice or in disorder: {numbers:?}"
        );
        let expected: Vec<_> = self.expected.iter().copied().filter(|number| !self.optional.contains(number)).collect();
        let got: Vec<_> = numbers.iter().copied().filter(|number| !self.optional.contains(number)).collect();
        if self.is_aborted {
            assert!(
                expected.starts_with(&got),
                "connection {index} got {got:?} before it was aborted, not {expected:?}"
            );
        } else {
            assert_eq!(got, expected, "connection {index}");
            assert_eq!(is_closed, !self.is_open(), "connection {index}");
        }
        let surplus = numbers.iter().find(|number| !self.expected.contains(number));
        assert_eq!(surplus, None, "connection {index} got a message that is not for it");
    }
}

/// Performs a run, whose choices come from `choices`.
///
/// # Panics
///
/// If a connection gets other messages than the model says.
pub fn run_groups(choices: &mut Choices<'_>) {
    let mut config = Config::default();
    config.max_sent_frame_payload = choices.pick(&[1 << 20, 50]).try_into().expect("not zero");
    config.compression = settings::compression(choices);
    let policies = [SlowMembers::Queue, SlowMembers::Skip, SlowMembers::Abort];
    let mut simulated = Loop {
        publications: Publications::new(choices.below(100) as u16),
        groups: (0..GROUPS).map(|_| Group::with_slow_members(choices.pick(&policies))).collect(),
        connections: Vec::new(),
        config,
        messages: 0,
    };
    for _ in 0..choices.between(1, 30) {
        for _ in 0..choices.between(1, 20) {
            simulated.step(choices);
        }
        simulated.finish_turn(choices);
    }
    simulated.finish();
}

impl Loop {
    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..=4 => self.publish(choices),
            5 => self.publish_to_all(choices),
            6 => self.publish_to_others(choices),
            7 => self.insert(choices),
            8..=9 => self.join(choices),
            10 => self.leave(choices),
            11..=12 => self.send(choices),
            13 => self.read(choices),
            14 if choices.once_in(3) => self.close(choices),
            15 if choices.once_in(3) => self.receive_close(choices),
            _ => self.remove(choices),
        }
    }

    /// Makes a message whose payload begins with its number.
    fn message(&mut self, choices: &mut Choices<'_>) -> (usize, EncodedMessage) {
        let number = self.messages;
        self.messages += 1;
        let length = choices.pick(&[0, 20, 128, 300, 1_000]);
        let payload = format!("{number:08}{}", "x".repeat(length));
        let compress = choices.pick(&[Compress::AsConfigured, Compress::Yes, Compress::No]);
        (number, EncodedMessage::new_with(payload.as_bytes(), compress, &self.config))
    }

    /// Notes that a message was published to a group, or to all connections.
    fn expect(&mut self, group: Option<usize>, except: Option<usize>, number: usize) {
        let policy = group.map_or(SlowMembers::Queue, |group| self.groups[group].slow_members());
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let Some(connection) = connection else { continue };
            let is_member = group.is_none_or(|group| connection.groups.contains(&group));
            if is_member && connection.is_open() && Some(index) != except {
                connection.expected.push(number);
                if policy == SlowMembers::Skip {
                    connection.optional.insert(number);
                }
            }
        }
    }

    fn publish(&mut self, choices: &mut Choices<'_>) {
        let group = choices.below(GROUPS);
        for _ in 0..choices.pick(&[1, 1, 2, 16]) {
            let (number, message) = self.message(choices);
            self.expect(Some(group), None, number);
            self.publications.publish(&self.groups[group], message);
        }
    }

    fn publish_to_all(&mut self, choices: &mut Choices<'_>) {
        let (number, message) = self.message(choices);
        self.expect(None, None, number);
        self.publications.publish_to_all(message);
    }

    fn publish_to_others(&mut self, choices: &mut Choices<'_>) {
        let group = choices.below(GROUPS);
        let Some(index) = self.any(choices) else { return };
        self.take(index);
        let (number, message) = self.message(choices);
        self.expect(Some(group), Some(index), number);
        self.publications.publish(&self.groups[group], message);
        self.publications.skip(index as u32);
    }

    fn insert(&mut self, choices: &mut Choices<'_>) {
        let index = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
        if index == CONNECTIONS_MAX {
            return;
        }
        if index == self.connections.len() {
            self.connections.push(None);
        }
        self.publications.insert(index as u32);
        self.connections[index] = Some(Simulated::new(&self.config, settings::agreement(choices)));
        for _ in 0..choices.below(3) {
            self.join_group(index, choices.below(GROUPS));
        }
    }

    fn join(&mut self, choices: &mut Choices<'_>) {
        if let Some(index) = self.any(choices) {
            self.join_group(index, choices.below(GROUPS));
        }
    }

    fn join_group(&mut self, index: usize, group: usize) {
        self.take(index);
        let is_new = self.connections[index].as_mut().is_some_and(|connection| connection.groups.insert(group));
        assert_eq!(self.publications.join(index as u32, &self.groups[group]), is_new);
    }

    fn leave(&mut self, choices: &mut Choices<'_>) {
        let group = choices.below(GROUPS);
        let Some(index) = self.any(choices) else { return };
        self.take(index);
        let was_member = self.connections[index].as_mut().is_some_and(|connection| connection.groups.remove(&group));
        assert_eq!(self.publications.leave(index as u32, &self.groups[group]), was_member);
    }

    fn send(&mut self, choices: &mut Choices<'_>) {
        let Some(index) = self.any(choices) else { return };
        self.take(index);
        let (number, message) = self.message(choices);
        if let Some(connection) = &mut self.connections[index]
            && connection.ws.send_encoded(&message).is_ok()
        {
            connection.expected.push(number);
        }
    }

    fn read(&mut self, choices: &mut Choices<'_>) {
        if let Some(index) = self.any(choices)
            && let Some(connection) = &mut self.connections[index]
        {
            connection.read(choices.pick(&[1, 7, 1_000, usize::MAX]));
        }
    }

    fn close(&mut self, choices: &mut Choices<'_>) {
        let Some(index) = self.any(choices) else { return };
        self.take(index);
        if let Some(connection) = &mut self.connections[index] {
            connection.ws.close(CloseCode::NORMAL, "", NOW).expect("1000 may be sent");
        }
    }

    /// The peer's Close frame arrives: what was published before is sent before the reply.
    fn receive_close(&mut self, choices: &mut Choices<'_>) {
        let Some(index) = self.any(choices) else { return };
        self.take(index);
        let Some(connection) = &mut self.connections[index] else { return };
        let mut bytes = [0x88, 0x80, 1, 2, 3, 4];
        let mut input = Input::new(&mut bytes);
        while let Ok(Some(_)) = connection.ws.receive(&mut input, NOW) {}
    }

    /// The connection is lost.
    fn remove(&mut self, choices: &mut Choices<'_>) {
        if !choices.once_in(8) {
            return;
        }
        let Some(index) = self.any(choices) else { return };
        if let Some(connection) = self.connections[index].take() {
            self.publications.remove(index as u32);
            Simulated { is_aborted: true, ..connection }.check(index);
        }
    }

    /// Returns the index of a connection.
    fn any(&self, choices: &mut Choices<'_>) -> Option<usize> {
        let indices: Vec<_> = (0..self.connections.len()).filter(|&index| self.connections[index].is_some()).collect();
        (!indices.is_empty()).then(|| choices.pick(&indices))
    }

    /// Queues for a connection what was published before.
    fn take(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { return };
        let is_slow = connection.ws.buffered_amount() > HIGH_WATER_MARK;
        let was_open = connection.is_open();
        match self.publications.take(index as u32, &mut connection.ws, is_slow, NOW) {
            Ok(()) => assert_eq!(connection.is_open(), was_open, "connection {index} was aborted without an error"),
            Err(SendError::BufferFull { .. }) if is_slow => connection.is_aborted = true,
            Err(error) => panic!("connection {index}: {error}"),
        }
    }

    /// Delivers to some of the receivers, as the budget of a turn permits.
    fn finish_turn(&mut self, choices: &mut Choices<'_>) {
        self.publications.seal();
        for _ in 0..choices.pick(&[100, 0, 1, 3]) {
            let Some(index) = self.publications.next_receiver() else { break };
            self.take(index as usize);
            if let Some(Some(connection)) = self.connections.get_mut(index as usize) {
                connection.read(choices.pick(&[usize::MAX, usize::MAX, 0, 9]));
            }
        }
    }

    /// Delivers everything, and checks it.
    fn finish(mut self) {
        self.publications.seal();
        while let Some(index) = self.publications.next_receiver() {
            self.take(index as usize);
        }
        assert!(self.publications.is_empty());
        assert_eq!((self.publications.len(), self.publications.payload_len()), (0, 0));
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if let Some(connection) = connection {
                connection.read(usize::MAX);
                connection.check(index);
            }
        }
        for (number, group) in self.groups.iter().enumerate() {
            let has_group = |connection: &Option<Simulated>| {
                connection.as_ref().is_some_and(|connection| connection.groups.contains(&number))
            };
            let mut members = self.publications.members(group).to_vec();
            members.sort_unstable();
            let expected = (0..self.connections.len()).filter(|&index| has_group(&self.connections[index]));
            assert_eq!(members, expected.map(|index| index as u32).collect::<Vec<_>>());
        }
    }
}

/// Returns a server's connection after its Open event.
fn opened(config: &Config, agreed: Option<PermessageDeflate>) -> WebSocket {
    let agreement = agreed.map_or_else(Agreement::new, |agreed| Agreement::new().with_compression(agreed));
    let mut ws = WebSocket::opened(Connection::server(config.clone(), NOW).with_agreement(agreement), []);
    let event = ws.receive(&mut Input::new(&mut []), NOW);
    assert!(matches!(event, Ok(Some(Event::Open(_)))));
    ws
}

/// Parses a server's frames. Returns the numbers of the messages, and whether a Close frame ends them.
fn parse(mut bytes: &[u8], agreed: Option<PermessageDeflate>) -> (Vec<usize>, bool) {
    let mut inflater = agreed
        .map(|agreed| StrictInflater::new(agreed.server_max_window_bits.get(), !agreed.server_no_context_takeover));
    let (mut message, mut is_compressed) = (Vec::new(), false);
    let mut numbers = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match (length, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (length, rest) => (usize::from(*length), rest),
        };
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        match first & 0x0F {
            0 => {}
            8 => {
                assert!(rest.is_empty(), "bytes follow the Close frame");
                return (numbers, true);
            }
            _ => is_compressed = first & 0x40 != 0,
        }
        message.extend_from_slice(payload);
        if first & 0x80 != 0 {
            let mut payload = std::mem::take(&mut message);
            if is_compressed {
                let inflater = inflater.as_mut().expect("compressed without an agreement");
                payload = inflater.inflate(&payload).expect("a compressed message").payload;
            }
            numbers.push(String::from_utf8_lossy(&payload[..8]).parse().expect("a number"));
        }
        bytes = rest;
    }
    (numbers, false)
}
