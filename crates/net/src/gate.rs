//! The gate of a listener: counts its connections, which hold permits, and stops it.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

#[cfg(unix)]
pub(crate) type StopSignal = io::PipeReader;
#[cfg(unix)]
type StopSender = io::PipeWriter;
#[cfg(not(unix))]
pub(crate) type StopSignal = std::net::TcpStream;
#[cfg(not(unix))]
type StopSender = std::net::TcpStream;

/// Limits the number of connections, and admits none after the stop.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Notified when a permit is returned or the gate is stopped.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    permits: usize,
    /// Dropping it stops the gate: the other end, which threads poll, becomes readable.
    sender: Option<StopSender>,
}

impl Gate {
    /// Returns the gate, and the signal that becomes readable when the gate is stopped.
    pub(crate) fn new() -> io::Result<(Arc<Self>, StopSignal)> {
        let (signal, sender) = stop_signal()?;
        let state = Mutex::new(State { permits: 0, sender: Some(sender) });
        Ok((Arc::new(Self { state, changed: Condvar::new() }), signal))
    }

    /// Waits until there are fewer than `max` permits. `None` if the gate is stopped.
    pub(crate) fn enter(self: &Arc<Self>, max: usize) -> Option<Permit> {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| state.permits >= max && state.sender.is_some());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.sender.as_ref()?;
        state.permits += 1;
        Some(Permit(Arc::clone(self)))
    }

    /// Returns the number of permits.
    pub(crate) fn permits(&self) -> usize {
        self.lock().permits
    }

    /// Waits until there are fewer than `permits` permits, or the gate is stopped, for up to `timeout`.
    pub(crate) fn pause(&self, permits: usize, timeout: Duration) {
        let is_unchanged = |state: &mut State| state.permits >= permits && state.sender.is_some();
        drop(self.changed.wait_timeout_while(self.lock(), timeout, is_unchanged));
    }

    /// Waits for up to `timeout` until all permits are returned. Returns the number of those that are not.
    pub(crate) fn drain(&self, timeout: Duration) -> usize {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| state.permits > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.permits
    }

    pub(crate) fn stop(&self) {
        self.lock().sender = None;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().sender.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's permission to exist. Dropping it returns it to the gate.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Gate>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lock().permits -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(unix)]
fn stop_signal() -> io::Result<(StopSignal, StopSender)> {
    io::pipe()
}

/// Windows can poll only sockets.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<(StopSignal, StopSender)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let sender = StopSender::connect(listener.local_addr()?)?;
    loop {
        let (signal, peer) = listener.accept()?;
        if peer == sender.local_addr()? {
            return Ok((signal, sender));
        }
    }
}

/// Waits until a client has connected or the gate is stopped. Returns whether it is stopped.
pub(crate) fn wait_for_client(tcp: &TcpListener, signal: &StopSignal) -> io::Result<bool> {
    let mut fds = [PollFd::new(signal, PollFlags::IN), PollFd::new(tcp, PollFlags::IN)];
    loop {
        match poll(&mut fds, None) {
            Ok(_) => return Ok(!fds[0].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
