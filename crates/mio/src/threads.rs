//! Threads: as many event loops as there are cores, each with its own share of the clients.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::event_loop::{EventLoop, poll};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::listen_options::{ListenOptions, ListenerShared};
use crate::listener;
use crate::options::Options;

/// Event loops that run together, each on a thread of its own.
///
/// They listen at the same address, and the system deals the clients out among them (`SO_REUSEPORT`). A connection stays
/// with its loop, and its handler hears only of the connections of that loop; a broadcast reaches those of all.
///
/// They also end together. If one fails, or its handler panics, its connections are lost, and the others are stopped in
/// good order: see [`Handle::stop`].
///
/// ```no_run
/// use sansocket_mio::{Connection, Handler, Message, Options, Threads};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///     type Event = ();
///
///     fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
///         let _ = connection.send(message);
///     }
/// }
///
/// let threads = Threads::start(4, &Options::new(), "127.0.0.1:9001", |_| Echo)?;
/// println!("listening at {}", threads.local_addr());
/// threads.join()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Threads<H: Handler> {
    address: SocketAddr,
    handle: Handle<H>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    first_failure: Arc<OnceLock<usize>>,
}

/// Goes down with a loop, and tells the others.
struct Watch<H: Handler> {
    number: usize,
    handle: Handle<H>,
    first_failure: Arc<OnceLock<usize>>,
    has_ended_well: bool,
}

impl<H: Handler> Watch<H> {
    fn run(mut self, event_loop: &mut EventLoop<H>) -> io::Result<()> {
        let result = event_loop.run();
        self.has_ended_well = result.is_ok();
        result
    }
}

impl<H: Handler> Drop for Watch<H> {
    fn drop(&mut self) {
        if !self.has_ended_well {
            // unless another was first
            let _ = self.first_failure.set(self.number);
            let _ = self.handle.stop();
        }
    }
}

impl<H: Handler> Threads<H> {
    /// Starts `count` threads, at least one, with a handler each, which is given the thread's number. They listen with
    /// the settings of [`ListenOptions::new`]. With port 0 the system chooses one, for all.
    ///
    /// Nobody else may listen at the address, even if they would share it. But where several loops do, another process of
    /// the same user can join them later, if it asks for `SO_REUSEPORT`, and is dealt some of the clients.
    ///
    /// # Errors
    ///
    /// The address is in use, or not this machine's; or it cannot be listened at more than once on this system.
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

    /// The same with settings of the caller's for listening: which pages may connect, subprotocols, how many
    /// connections all loops may have together.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_with(
        count: u16,
        options: &Options,
        address: impl ToSocketAddrs,
        listen_options: &ListenOptions,
        mut handler: impl FnMut(usize) -> H,
    ) -> io::Result<Self>
    where
        H: Send + 'static,
    {
        let count = count.max(1);
        let listeners = listener::bind_shared(address, count)?;
        let address = listeners[0].local_addr()?;
        let (mut polls, mut mailboxes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (poll, mailbox) = poll(options)?;
            polls.push(poll);
            mailboxes.push(mailbox);
        }
        let handle = Handle::new(mailboxes, options.config.clone());
        let shared = Arc::new(ListenerShared::new(listen_options));
        // all of them start, or none
        let mut event_loops = Vec::new();
        for ((number, poll), listener) in (0..count).zip(polls).zip(listeners) {
            let mut event_loop = EventLoop::build(handler(number.into()), options, poll, handle.clone(), number);
            event_loop.listen_shared(listener, Arc::clone(&shared))?;
            event_loops.push(event_loop);
        }
        let (mut threads, first_failure) = (Vec::new(), Arc::default());
        for (number, mut event_loop) in event_loops.into_iter().enumerate() {
            let thread = thread::Builder::new().name(format!("sansocket {number}"));
            let (handle, first_failure) = (handle.clone(), Arc::clone(&first_failure));
            // if the thread does not start, this tells the others too
            let watch = Watch { number, handle, first_failure, has_ended_well: false };
            threads.push(thread.spawn(move || watch.run(&mut event_loop))?);
        }
        Ok(Self { address, handle, threads, first_failure })
    }

    /// The address listened at.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A way to reach all loops.
    pub fn handle(&self) -> Handle<H> {
        self.handle.clone()
    }

    /// Waits until all loops have ended: because they were told to ([`Handle::stop`]), or because one has failed.
    ///
    /// # Errors
    ///
    /// That of the loop that failed first. If its handler panicked, this panics too.
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
