//! Publications: the members of the groups of one event loop, and the log of the messages published to them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::mem;

#[cfg(feature = "deflate")]
use sansocket::BroadcastStream;
use sansocket::{EncodedBatch, EncodedMessage, Instant, ReadyState, SendError, WebSocket};
use slab::Slab;

use crate::group::{Group, SlowMembers};

/// The most payload bytes of a run. A longer one gains nothing: a write rarely takes more.
const RUN_MAX: usize = 64 * 1024;
/// The slot of the group of all connections.
const ALL: usize = 0;

/// The groups of one event loop: which connections are members, and the messages that were published and that not all
/// members have yet.
///
/// A published message is not queued for each member at once. The log stores it, joined with those published to the
/// same group before and after it, as a *run*. At the end of the turn, each member gets the whole run by reference, and
/// the loop writes it with one system call. A member of several groups gets their runs in the order in which they were
/// published.
///
/// The owner identifies a connection by its index in the owner's table, and:
///
/// * calls [`insert`](Self::insert) and [`remove`](Self::remove) when a connection begins and ends;
/// * calls [`take`](Self::take) before anything else happens to a connection: before it is sent a message, before it is
///   closed, before it receives bytes or a deadline, before it joins or leaves a group. So the connection gets
///   everything in the order in which it happened, and a message that was published before the peer's Close frame
///   arrived is sent. While the log [is empty](Self::is_empty), this is not necessary;
/// * at the end of a turn, calls [`seal`](Self::seal), and then [`take`](Self::take) for each connection that
///   [`next_receiver`](Self::next_receiver) returns, as many as it likes in one turn, and writes their output.
///
/// ```
/// use sansocket::bytes::Buf;
/// use sansocket::{Config, Connection, EncodedMessage, Instant, WebSocket};
/// use sansocket_drive::{Group, Publications};
///
/// let (config, now) = (Config::default(), Instant::EPOCH);
/// let server = || WebSocket::opened(Connection::server(Config::default(), now), []);
/// let mut connections = [server(), server(), server()];
///
/// let (mut publications, room) = (Publications::new(0), Group::new());
/// for index in 0..3 {
///     publications.insert(index);
/// }
/// publications.join(0, &room);
/// publications.join(2, &room);
/// for text in ["a", "b"] {
///     publications.publish(&room, EncodedMessage::new(text, &config));
/// }
///
/// publications.seal();
/// while let Some(index) = publications.next_receiver() {
///     publications.take(index, &mut connections[index as usize], false, now)?;
/// }
/// for (websocket, expected) in connections.iter_mut().zip([&b"\x81\x01a\x81\x01b"[..], b"", b"\x81\x01a\x81\x01b"]) {
///     assert_eq!(websocket.output().chunk(), expected);
/// }
/// # Ok::<(), sansocket::SendError>(())
/// ```
pub struct Publications {
    event_loop: u16,
    /// The slots of the groups that have members or runs, by [`Group::key`].
    slots: HashMap<usize, usize>,
    groups: Slab<GroupState>,
    /// By the connection's index. Grows only as far as needed: a loop without groups has none.
    members: Vec<Member>,
    /// All indices of connections are below it.
    indices: u32,
    log: Log,
    pass: Pass,
    /// The runs that a connection takes; empty between calls.
    due: Vec<u64>,
}

/// A group on this loop.
struct GroupState {
    /// `None` for the group of all connections.
    group: Option<Group>,
    members: Vec<u32>,
    /// The numbers of the group's runs in the log.
    runs: VecDeque<u64>,
    /// All members have the group's messages before this position.
    delivered: u64,
    #[cfg(feature = "deflate")]
    stream: BroadcastStream,
}

impl GroupState {
    fn new(group: Option<Group>) -> Self {
        Self {
            group,
            members: Vec::new(),
            runs: VecDeque::new(),
            delivered: 0,
            #[cfg(feature = "deflate")]
            stream: BroadcastStream::default(),
        }
    }

    /// Joins the messages of a run, which is the next one of this group.
    fn seal(&mut self, messages: &[EncodedMessage]) -> EncodedBatch {
        #[cfg(feature = "deflate")]
        return EncodedBatch::following(messages, &mut self.stream);
        #[cfg(not(feature = "deflate"))]
        EncodedBatch::new(messages)
    }
}

/// A connection that has joined a group, or taken publications.
#[derive(Default)]
struct Member {
    /// The connection has the messages before this position, as far as they concern it.
    position: u64,
    groups: Vec<Membership>,
}

#[derive(Clone, Copy)]
struct Membership {
    slot: u32,
    /// The index in [`GroupState::members`].
    index: u32,
}

/// The messages that not all members have yet, in runs. A message's position is the number of messages that were
/// published before it.
#[derive(Default)]
struct Log {
    runs: VecDeque<Run>,
    /// The number of the first run: how many were removed before it.
    removed: u64,
    /// The position of the next message.
    end: u64,
    payload_len: usize,
}

/// Messages that were published to one group in succession.
struct Run {
    slot: usize,
    /// The position of the first message.
    start: u64,
    messages: Vec<EncodedMessage>,
    payload_len: usize,
    slow_members: SlowMembers,
    /// The messages joined, once the run is sealed: it then gets no further message.
    batch: Option<EncodedBatch>,
}

/// The iteration over the members of the first run's group.
#[derive(Default)]
struct Pass {
    /// The index of the next member.
    next: usize,
    /// The end of the log when the pass began; 0 between passes.
    end: u64,
}

impl Run {
    fn end(&self) -> u64 {
        self.start + self.messages.len() as u64
    }

    /// Sends the messages from this position on, unless the policy for a slow member says otherwise. Returns the first
    /// error; messages behind it may fit nevertheless.
    #[inline]
    fn send(&self, position: u64, ws: &mut WebSocket, is_slow: bool, now: Instant) -> Result<(), SendError> {
        match self.slow_members {
            SlowMembers::Skip if is_slow => return Ok(()),
            SlowMembers::Abort if is_slow => {
                ws.abort(now);
                return Err(SendError::BufferFull { message: (), size: self.payload_len });
            }
            _ => {}
        }
        if let Some(batch) = &self.batch
            && position <= self.start
            && ws.send_batch(batch).is_ok()
        {
            return Ok(());
        }
        self.send_each(position, ws)
    }

    #[inline(never)]
    fn send_each(&self, position: u64, ws: &mut WebSocket) -> Result<(), SendError> {
        let first = position.saturating_sub(self.start) as usize;
        let mut result = Ok(());
        for message in self.messages.get(first..).unwrap_or_default() {
            result = result.and(ws.send_encoded(message));
        }
        result
    }
}

impl Log {
    fn run(&self, number: u64) -> Option<&Run> {
        self.runs.get(number.checked_sub(self.removed)? as usize)
    }

    /// Adds a message. Returns the number of its run if the run is new.
    fn push(&mut self, slot: usize, slow_members: SlowMembers, message: EncodedMessage) -> Option<u64> {
        let (start, len) = (self.end, message.len());
        self.end += 1;
        self.payload_len += len;
        match self.runs.back_mut() {
            Some(run) if run.slot == slot && run.batch.is_none() && run.payload_len + len <= RUN_MAX => {
                run.payload_len += len;
                run.messages.push(message);
                None
            }
            _ => {
                let messages = vec![message];
                self.runs.push_back(Run { slot, start, messages, payload_len: len, slow_members, batch: None });
                Some(self.removed + self.runs.len() as u64 - 1)
            }
        }
    }

    fn pop(&mut self) {
        if let Some(run) = self.runs.pop_front() {
            self.removed += 1;
            self.payload_len -= run.payload_len;
        }
    }
}

impl Publications {
    /// Creates an empty log for the event loop with this number. Loops that share groups need different numbers:
    /// [`Group::may_have_members`].
    #[must_use]
    pub fn new(event_loop: u16) -> Self {
        let mut groups = Slab::new();
        groups.insert(GroupState::new(None)); // ALL
        Self {
            event_loop,
            slots: HashMap::new(),
            groups,
            members: Vec::new(),
            indices: 0,
            log: Log::default(),
            pass: Pass::default(),
            due: Vec::new(),
        }
    }

    /// Returns whether every member has all messages.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.log.runs.is_empty()
    }

    /// Returns the number of messages in the log.
    pub fn len(&self) -> usize {
        self.log.runs.front().map_or(0, |run| (self.log.end - run.start) as usize)
    }

    /// Returns the payload bytes of the messages in the log.
    pub fn payload_len(&self) -> usize {
        self.log.payload_len
    }

    /// Adds a connection, with an index that no other connection has. It gets no message that was published before.
    #[inline]
    pub fn insert(&mut self, connection: u32) {
        self.indices = self.indices.max(connection + 1);
        if !self.is_empty() {
            self.member(connection).position = self.log.end;
        }
    }

    /// Removes a connection from all its groups.
    #[inline]
    pub fn remove(&mut self, connection: u32) {
        if let Some(member) = self.members.get_mut(connection as usize) {
            for membership in mem::take(&mut member.groups) {
                self.remove_member(membership);
            }
        }
    }

    /// Makes a connection a member of a group. Returns false if it is one already.
    pub fn join(&mut self, connection: u32, group: &Group) -> bool {
        let slot = *self.slots.entry(group.key()).or_insert_with(|| {
            group.add_loop(self.event_loop);
            self.groups.insert(GroupState::new(Some(group.clone())))
        });
        let is_member = self.is_member_of(connection, slot);
        if !is_member {
            let members = &mut self.groups[slot].members;
            let membership = Membership { slot: slot as u32, index: members.len() as u32 };
            members.push(connection);
            self.member(connection).groups.push(membership);
        }
        !is_member
    }

    /// Ends a connection's membership of a group. Returns false if it is not a member.
    pub fn leave(&mut self, connection: u32, group: &Group) -> bool {
        let (Some(&slot), Some(member)) = (self.slots.get(&group.key()), self.members.get_mut(connection as usize))
        else {
            return false;
        };
        let Some(index) = member.groups.iter().position(|membership| membership.slot as usize == slot) else {
            return false;
        };
        let membership = member.groups.swap_remove(index);
        self.remove_member(membership);
        true
    }

    /// Returns whether a connection is a member of a group.
    pub fn is_member(&self, connection: u32, group: &Group) -> bool {
        self.slots.get(&group.key()).is_some_and(|&slot| self.is_member_of(connection, slot))
    }

    /// Returns the members of a group, in no particular order.
    pub fn members(&self, group: &Group) -> &[u32] {
        self.slots.get(&group.key()).map_or(&[], |&slot| &self.groups[slot].members)
    }

    /// Publishes a message to the members of a group.
    pub fn publish(&mut self, group: &Group, message: EncodedMessage) {
        if let Some(&slot) = self.slots.get(&group.key()) {
            self.log(slot, message);
        }
    }

    /// Publishes a message to all connections.
    pub fn publish_to_all(&mut self, message: EncodedMessage) {
        self.log(ALL, message);
    }

    /// Marks all messages in the log as taken by a connection, which does not get them.
    pub fn skip(&mut self, connection: u32) {
        self.member(connection).position = self.log.end;
    }

    /// Sends a connection the messages of the log that concern it and that it does not have. If it is not open, it does
    /// not get them. `is_slow` says whether the [policies](SlowMembers) for slow members apply.
    ///
    /// # Errors
    ///
    /// Returns the error of the first message that could not be sent. Messages behind it were sent if they fit.
    /// [`SendError::BufferFull`] is also returned if the connection was aborted because it is slow.
    pub fn take(&mut self, connection: u32, ws: &mut WebSocket, is_slow: bool, now: Instant) -> Result<(), SendError> {
        let end = self.log.end;
        let position = mem::replace(&mut self.member(connection).position, end);
        if position == end || ws.ready_state() != ReadyState::Open {
            return Ok(());
        }
        // Saves 145 instructions per member and turn (`cargo xtask cost --fan-out`).
        if self.log.runs.len() == 1
            && let Some(run) = self.log.runs.front()
        {
            let is_member = run.slot == ALL || self.is_member_of(connection, run.slot);
            return if is_member { run.send(position, ws, is_slow, now) } else { Ok(()) };
        }
        self.find_due(connection, position);
        let mut result = Ok(());
        for number in self.due.drain(..) {
            if let Some(run) = self.log.run(number) {
                result = result.and(run.send(position, ws, is_slow, now));
            }
        }
        result
    }

    /// Ends the runs of the log, so that members take them by reference. Later publications begin new runs.
    pub fn seal(&mut self) {
        let first = self.log.runs.partition_point(|run| run.batch.is_some());
        for run in self.log.runs.range_mut(first..) {
            run.batch = Some(self.groups[run.slot].seal(&run.messages));
        }
    }

    /// Returns the next connection for which the log has messages: call [`take`](Self::take). A connection may be
    /// returned for which there are none, and an index that no connection has. Returns `None` when the log is empty.
    pub fn next_receiver(&mut self) -> Option<u32> {
        loop {
            let run = self.log.runs.front()?;
            let (slot, end) = (run.slot, run.end());
            if self.pass.end == 0 && self.groups[slot].delivered < end {
                self.pass = Pass { next: 0, end: self.log.end };
            }
            if self.pass.end > 0 {
                if let Some(member) = self.next_member(slot) {
                    return Some(member);
                }
                self.groups[slot].delivered = self.pass.end;
                self.pass = Pass::default();
            }
            self.remove_first_run(slot);
        }
    }

    /// Returns the next member of the pass that does not have the group's messages.
    fn next_member(&mut self, slot: usize) -> Option<u32> {
        let Self { groups, members, pass, indices, .. } = self;
        loop {
            let connection = match slot {
                ALL => u32::try_from(pass.next).ok().filter(|index| index < indices),
                slot => groups[slot].members.get(pass.next).copied(),
            }?;
            pass.next += 1;
            if members.get(connection as usize).is_none_or(|member| member.position < pass.end) {
                return Some(connection);
            }
        }
    }

    fn remove_first_run(&mut self, slot: usize) {
        self.log.pop();
        self.groups[slot].runs.pop_front();
        self.remove_group_if_unused(slot);
    }

    fn log(&mut self, slot: usize, message: EncodedMessage) {
        let group = &mut self.groups[slot];
        let slow_members = group.group.as_ref().map(Group::slow_members).unwrap_or_default();
        if let Some(run) = self.log.push(slot, slow_members, message) {
            group.runs.push_back(run);
        }
    }

    /// Finds the runs that concern a connection and end behind its position, in order.
    fn find_due(&mut self, connection: u32, position: u64) {
        let Self { groups, members, log, due, .. } = self;
        let memberships = members.get(connection as usize).map_or(&[][..], |member| &member.groups);
        for slot in memberships.iter().map(|membership| membership.slot as usize).chain([ALL]) {
            let runs = &groups[slot].runs;
            let first = runs.partition_point(|&run| log.run(run).is_none_or(|run| run.end() <= position));
            due.extend(runs.range(first..));
        }
        due.sort_unstable();
    }

    fn is_member_of(&self, connection: u32, slot: usize) -> bool {
        let member = self.members.get(connection as usize);
        member.is_some_and(|member| member.groups.iter().any(|membership| membership.slot as usize == slot))
    }

    fn member(&mut self, connection: u32) -> &mut Member {
        let index = connection as usize;
        if index >= self.members.len() {
            self.members.resize_with(index + 1, Member::default);
        }
        &mut self.members[index]
    }

    /// Removes a member from the list of its group.
    fn remove_member(&mut self, Membership { slot, index }: Membership) {
        let (slot, mut index) = (slot as usize, index as usize);
        let is_passing = self.pass.end > 0 && self.log.runs.front().is_some_and(|run| run.slot == slot);
        if is_passing && index < self.pass.next {
            // The pass has visited the members before `next`. The last of these moves to the removed one's place, so
            // that the last member of the list, which may not have been visited, moves to the place behind them.
            self.pass.next -= 1;
            self.move_member(slot, self.pass.next, index);
            index = self.pass.next;
        }
        let last = self.groups[slot].members.len() - 1;
        if index < last {
            self.move_member(slot, last, index);
        }
        self.groups[slot].members.pop();
        self.remove_group_if_unused(slot);
    }

    /// Moves a member within the list of its group. The list is then missing the member that was there.
    fn move_member(&mut self, slot: usize, from: usize, to: usize) {
        let members = &mut self.groups[slot].members;
        let moved = members[from];
        members[to] = moved;
        let memberships = &mut self.members[moved as usize].groups;
        if let Some(membership) = memberships.iter_mut().find(|membership| membership.slot as usize == slot) {
            membership.index = to as u32;
        }
    }

    fn remove_group_if_unused(&mut self, slot: usize) {
        let GroupState { group: Some(group), members, runs, .. } = &self.groups[slot] else { return };
        if members.is_empty() && runs.is_empty() {
            group.remove_loop(self.event_loop);
            self.slots.remove(&group.key());
            self.groups.remove(slot);
        }
    }
}

impl Drop for Publications {
    fn drop(&mut self) {
        let groups = self.groups.iter().filter_map(|(_, state)| state.group.as_ref());
        groups.for_each(|group| group.remove_loop(self.event_loop));
    }
}

impl fmt::Debug for Publications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publications").field("messages", &self.len()).finish_non_exhaustive()
    }
}
