//! Group: connections that receive the same messages.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};

/// A group of connections that receive the messages published to it, such as a chat room or a topic. Clones name the
/// same group. It may have members on several event loops that run together.
///
/// A group needs no registration: it exists as long as one clone exists or it has members. `sansocket-mio` shows how
/// connections join; [`Publications`](crate::Publications) stores the members of one loop.
#[derive(Clone, Default)]
pub struct Group(Arc<Shared>);

#[derive(Default)]
struct Shared {
    slow_members: SlowMembers,
    /// The numbers of the event loops that have members. A number occurs more than once if loops that do not run
    /// together have the same number.
    loops: Mutex<Vec<u16>>,
    /// One bit for each number in `loops`, modulo 64, so that publishing takes no lock.
    bits: AtomicU64,
}

/// What happens to the messages of a [`Group`] for a slow member. A member becomes slow when its pending payload
/// exceeds the high-water mark, and stays slow until the payload has fallen to the low-water mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowMembers {
    /// Messages are queued, up to [`Config::max_buffered_amount`](sansocket::Config::max_buffered_amount). A message
    /// that does not fit is not sent to this member, and reported.
    #[default]
    Queue,
    /// The member does not get the group's messages while it is slow: for messages that replace each other, such as
    /// prices. Not reported; the application can send the current state when the member is no longer slow.
    Skip,
    /// The connection is aborted, and reported.
    Abort,
}

impl Group {
    /// Creates a group without members that queues messages for slow members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a group without members, with a policy for slow members.
    #[must_use]
    pub fn with_slow_members(policy: SlowMembers) -> Self {
        Self(Arc::new(Shared { slow_members: policy, ..Shared::default() }))
    }

    /// Returns the policy for slow members.
    pub fn slow_members(&self) -> SlowMembers {
        self.0.slow_members
    }

    /// Returns whether the event loop with this number may have members. Takes no lock. (With more than 64 loops, those
    /// whose numbers are equal modulo 64 share the answer.)
    pub fn may_have_members(&self, event_loop: u16) -> bool {
        self.0.bits.load(Acquire) & bit(event_loop) != 0
    }

    /// Notes that an event loop has got its first member.
    pub(crate) fn add_loop(&self, event_loop: u16) {
        self.change_loops(|loops| loops.push(event_loop));
    }

    /// Notes that an event loop has lost its last member.
    pub(crate) fn remove_loop(&self, event_loop: u16) {
        self.change_loops(|loops| {
            if let Some(index) = loops.iter().position(|&number| number == event_loop) {
                loops.swap_remove(index);
            }
        });
    }

    fn change_loops(&self, change: impl FnOnce(&mut Vec<u16>)) {
        let mut loops = self.0.loops.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut loops);
        self.0.bits.store(loops.iter().fold(0, |bits, &number| bits | bit(number)), Release);
    }

    /// Returns a key that no other group has while this one exists.
    pub(crate) fn key(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

fn bit(event_loop: u16) -> u64 {
    1 << (event_loop % 64)
}

/// Two groups are equal if one is a clone of the other.
impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Group {}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("slow_members", &self.0.slow_members).finish_non_exhaustive()
    }
}
