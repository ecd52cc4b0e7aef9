//! Threads: several event loops, each on a thread of its own, that share the clients of one address.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::event_loop::{EventLoop, new_poll};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::listen_options::{ListenOptions, ListenerShared};
use crate::listener;
use crate::mailbox::Mailboxes;
use crate::options::Options;

/// Event loops that run together, each on a thread of its own.
///
/// They listen at the same address. A connection stays with its loop, and each handler receives the events of one loop
/// only; a broadcast reaches the connections of all.
///
/// # How clients are spread
///
/// The system distributes the clients among the loops (`SO_REUSEPORT`). Linux chooses at random, so that of 8 clients
/// one of 4 loops may get 5 and another none; macOS and the BSDs may give all clients to one loop. Therefore the loop
/// that has accepted a client compares the loops' numbers of connections. It hands the client over to the loop with the
/// fewest if its own number is higher by more than an eighth:
///
/// * The loop that gets a client then has at most 1 + *f* / 8 connections more than the loop with the fewest, which has
///   *f*. Loops that accept at the same moment may each add one more.
/// * A spread that is even by itself causes no hand-over. From 500 connections per loop on, a random spread causes few:
///   for about 1 % of the clients.
/// * A hand-over posts one command to the other loop's mailbox. If the mailbox is full, or the loop is stopping, the
///   accepting loop keeps the client. If the loop stops afterwards, the client is disconnected, as in a backlog.
/// * Connections are not moved later. If the clients of one loop leave, it gets the next ones.
///
/// Where sockets cannot share a port (Windows, Solaris), and with [`start_on`](Self::start_on), the first loop accepts
/// all clients.
///
/// # What loops share
///
/// A message that stays on its loop takes no lock and changes no memory that loops share: receiving it, sending to a
/// connection of the same loop, timers and Pongs. `cargo xtask cost --atomics` counts the atomic operations of an echo.
/// These do reach other loops: accepting and ending a connection (counters); hand-overs, broadcasts, publishing to a
/// group that has members there, and the methods of [`Handle`] (mailboxes); the first member of a group on a loop, and
/// the end of the last one (a lock of the group).
///
/// # The end
///
/// Loops end together. If one fails, or its handler panics, its connections are lost, and the others are stopped in an
/// orderly way: see [`Handle::stop`].
///
/// ```no_run
/// use sansocket_mio::{Handler, Options, Threads};
///
/// fn serve<H: Handler + Default + Send + 'static>() -> std::io::Result<()> {
///     let threads = Threads::start(4, &Options::new(), "127.0.0.1:9001", |_| H::default())?;
///     println!("listening on {}", threads.local_addr());
///     threads.join()
/// }
/// ```
pub struct Threads<H: Handler> {
    address: SocketAddr,
    handle: Handle<H>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    first_failure: Arc<OnceLock<usize>>,
}

/// Stops all loops if its own loop fails or panics.
struct LoopGuard<H: Handler> {
    number: usize,
    handle: Handle<H>,
    first_failure: Arc<OnceLock<usize>>,
    has_succeeded: bool,
}

impl<H: Handler> LoopGuard<H> {
    fn run(mut self, event_loop: &mut EventLoop<H>) -> io::Result<()> {
        let result = event_loop.run();
        self.has_succeeded = result.is_ok();
        result
    }
}

impl<H: Handler> Drop for LoopGuard<H> {
    fn drop(&mut self) {
        if !self.has_succeeded {
            // fails if another loop has failed before
            let _ = self.first_failure.set(self.number);
            let _ = self.handle.stop();
        }
    }
}

impl<H: Handler> Threads<H> {
    /// Starts `count` threads, at least one. `handler` makes the handler of each from the thread's number. They listen
    /// with the settings of [`ListenOptions::new`]. With port 0, the system chooses one port for all.
    ///
    /// Fails if another process listens at the address, even if it shares the port. But with several threads, another
    /// process of the same user can set `SO_REUSEPORT`, listen at the address later, and receive some of the clients.
    ///
    /// # Errors
    ///
    /// The system's: the address is in use, for example, or not this machine's.
    pub fn start(
        count: u16,
        options: &Options,
        address: impl ToSocketAddrs,
        handler: impl FnMut(usize) -> H,
    ) -> io::Result<Self>
    where
        H: Send + 'static,
    {
        Self::start_with(count, options, address, &ListenOptions::new(), handler)
    }

    /// Starts threads with the given settings for listening: which pages may connect, subprotocols, and the number of
    /// connections of all loops together.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_with(
        count: u16,
        options: &Options,
        address: impl ToSocketAddrs,
        listen_options: &ListenOptions,
        handler: impl FnMut(usize) -> H,
    ) -> io::Result<Self>
    where
        H: Send + 'static,
    {
        Self::start_all(count.max(1), options, listener::bind_shared(address, count)?, listen_options, handler)
    }

    /// Starts threads with a listener that the caller has made, or that another process has passed on. The first loop
    /// accepts all clients, and hands them over evenly. Listening ends with the first loop.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files.
    pub fn start_on(
        count: u16,
        options: &Options,
        listener: TcpListener,
        listen_options: &ListenOptions,
        handler: impl FnMut(usize) -> H,
    ) -> io::Result<Self>
    where
        H: Send + 'static,
    {
        Self::start_all(count.max(1), options, vec![listener], listen_options, handler)
    }

    /// Starts loops, of which the first ones have these listeners, at least one.
    fn start_all(
        count: u16,
        options: &Options,
        listeners: Vec<TcpListener>,
        listen_options: &ListenOptions,
        mut handler: impl FnMut(usize) -> H,
    ) -> io::Result<Self>
    where
        H: Send + 'static,
    {
        let address = listeners[0].local_addr()?;
        let (mut polls, mut mailboxes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (poll, mailbox) = new_poll(options)?;
            polls.push(poll);
            mailboxes.push(mailbox);
        }
        let mailboxes = Arc::new(Mailboxes::new(mailboxes, options.config.clone()));
        let handle = Handle::new(Arc::clone(&mailboxes));
        let shared = Arc::new(ListenerShared::new(listen_options));
        // make all loops before starting any: if one fails, none starts
        let mut event_loops = Vec::new();
        let mut listeners = listeners.into_iter();
        for (number, poll) in (0..count).zip(polls) {
            let (mailboxes, shared) = (Arc::clone(&mailboxes), Arc::clone(&shared));
            let mut event_loop = EventLoop::build(handler(number.into()), options, poll, mailboxes, number);
            match listeners.next() {
                Some(listener) => _ = event_loop.listen_shared(listener, shared)?,
                None => event_loop.share_listener(shared),
            }
            event_loops.push(event_loop);
        }
        let (mut threads, first_failure) = (Vec::new(), Arc::default());
        for (number, mut event_loop) in event_loops.into_iter().enumerate() {
            let thread = thread::Builder::new().name(format!("sansocket {number}"));
            let (handle, first_failure) = (handle.clone(), Arc::clone(&first_failure));
            // if the thread cannot be started, dropping the guard stops the others
            let guard = LoopGuard { number, handle, first_failure, has_succeeded: false };
            threads.push(thread.spawn(move || guard.run(&mut event_loop))?);
        }
        Ok(Self { address, handle, threads, first_failure })
    }

    /// Returns the address at which the loops listen.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle that reaches all loops.
    pub fn handle(&self) -> Handle<H> {
        self.handle.clone()
    }

    /// Waits until all loops have ended: after [`Handle::stop`], or because one has failed.
    ///
    /// # Errors
    ///
    /// The error of the loop that failed first. If its handler panicked, this panics, too.
    pub fn join(self) -> io::Result<()> {
        let mut results: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        if let Some(&first) = self.first_failure.get() {
            results.swap(0, first);
        }
        results.into_iter().try_for_each(|result| result.unwrap_or_else(|panic| panic::resume_unwind(panic)))
    }
}

impl<H: Handler> fmt::Debug for Threads<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("address", &self.address).field("handle", &self.handle).finish_non_exhaustive()
    }
}
