//! Threads: as many event loops as there are cores, each with its own share of the clients.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::event_loop::{EventLoop, poll};
use crate::handle::Handle;
use crate::handler::Handler;
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
///     fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
///         let _ = connection.send(message);
///     }
/// }
///
/// let threads = Threads::start(4, &Options::new(), "127.0.0.1:9001", |_| Echo)?;
/// println!("listening at {}", threads.local_addr());
/// threads.join()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Threads {
    address: SocketAddr,
    handle: Handle,
    threads: Vec<JoinHandle<io::Result<()>>>,
    first_failure: Arc<OnceLock<usize>>,
}

/// Goes down with a loop, and tells the others.
struct Watch {
    number: usize,
    handle: Handle,
    first_failure: Arc<OnceLock<usize>>,
    has_ended_well: bool,
}

impl Watch {
    fn run(mut self, event_loop: &mut EventLoop<impl Handler>) -> io::Result<()> {
        let result = event_loop.run();
        self.has_ended_well = result.is_ok();
        result
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.has_ended_well {
            // unless another was first
            let _ = self.first_failure.set(self.number);
            let _ = self.handle.stop();
        }
    }
}

impl Threads {
    /// Starts `count` threads, at least one, with a handler each, which is given the thread's number. With port 0 the
    /// system chooses one, for all.
    ///
    /// Nobody else may listen at the address, even if they would share it. But where several loops do, another process of
    /// the same user can join them later, if it asks for `SO_REUSEPORT`, and is dealt some of the clients.
    ///
    /// # Errors
    ///
    /// The address is in use, or not this machine's; or it cannot be listened at more than once on this system.
    pub fn start<H: Handler + Send + 'static>(
        count: u16,
        options: &Options,
        address: impl ToSocketAddrs,
        mut handler: impl FnMut(usize) -> H,
    ) -> io::Result<Self> {
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
        // all of them start, or none
        let mut event_loops = Vec::new();
        for ((number, poll), listener) in (0..count).zip(polls).zip(listeners) {
            let mut event_loop = EventLoop::build(handler(number.into()), options, poll, handle.clone(), number);
            event_loop.listen_on(listener)?;
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
    pub fn handle(&self) -> Handle {
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
