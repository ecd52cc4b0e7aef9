//! The listeners of a loop, and the clients that they accept.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use mio::Token;

use super::{EventLoop, MAILBOX};
use crate::connection::Connection;
use crate::connections::NO_LISTENER;
use crate::handler::Handler;
use crate::listen_options::{ListenOptions, ListenerShared};
use crate::listener::{self, Accepted, Listener};

impl<H: Handler> EventLoop<H> {
    /// Listens for clients at an address, which is returned; port 0 lets the system choose one. A loop may listen at
    /// several.
    ///
    /// # Errors
    ///
    /// The address is in use, or not this machine's.
    pub fn listen(&mut self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.listen_with(address, &ListenOptions::new())
    }

    /// Listens with settings of the caller's: which pages may connect, subprotocols, how many connections.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub fn listen_with(&mut self, address: impl ToSocketAddrs, options: &ListenOptions) -> io::Result<SocketAddr> {
        self.listen_on(listener::bind(address)?, options)
    }

    /// Listens with a listener of the caller's making.
    ///
    /// # Errors
    ///
    /// The system's, or the loop has 65,535 listeners.
    pub fn listen_on(&mut self, listener: std::net::TcpListener, options: &ListenOptions) -> io::Result<SocketAddr> {
        self.listen_shared(listener, Arc::new(ListenerShared::new(options)))
    }

    /// Listens with a listener whose connections several loops count together.
    pub(crate) fn listen_shared(
        &mut self,
        listener: std::net::TcpListener,
        shared: Arc<ListenerShared>,
    ) -> io::Result<SocketAddr> {
        if self.listeners.len() >= usize::from(NO_LISTENER) {
            return Err(io::Error::other("an event loop has at most 65,535 listeners"));
        }
        let mut listener = Listener::new(listener, Arc::clone(&shared))?;
        listener.register(self.poll.registry(), Token(MAILBOX.0 - 1 - self.listeners.len()))?;
        let address = listener.address();
        self.listeners.push(listener);
        self.connections.listeners.push(shared);
        Ok(address)
    }

    /// Stops listening; returns whether there are connections to close.
    #[cold]
    pub(super) fn is_closing(&mut self) -> bool {
        for mut listener in self.listeners.drain(..) {
            // Dropping the listener refuses the clients that wait to be accepted.
            let _ = listener.deregister(self.poll.registry());
        }
        let is_closing = !self.connections.is_empty();
        if !is_closing {
            self.close_mailbox();
        }
        is_closing
    }

    /// Accepts clients, a bounded number from each listener.
    pub(super) fn accept(&mut self) {
        let now = self.connections.now;
        for number in 0..self.listeners.len() {
            for _ in 0..self.listeners[number].turns(now) {
                if self.connections.is_stopping || !self.listeners[number].admit() {
                    break;
                }
                let accepted = self.listeners[number].accept(now);
                if !matches!(accepted, Accepted::Client(..)) {
                    self.connections.release(number as u16);
                }
                match accepted {
                    Accepted::Client(stream, peer) => {
                        let index = self.connections.accepted(stream, peer, number as u16);
                        // Its turn is finished here, whatever the handler does to it.
                        self.connections.dirty.pop();
                        self.handler.on_accept(&mut Connection::new(&mut self.connections, index));
                        self.finish_turn(index);
                    }
                    Accepted::Nobody => break,
                    Accepted::Failed(error) => {
                        let address = self.listeners[number].address();
                        self.handler.on_accept_error(&mut self.connections, address, &error);
                        break;
                    }
                }
            }
        }
        self.note_may_accept();
    }

    /// Accepts again with listeners that had reached their `max_connections`.
    #[cold]
    pub(super) fn resume_listeners(&mut self) {
        self.listeners.iter_mut().for_each(Listener::resume);
        self.note_may_accept();
        self.has_other_work |= self.may_accept;
    }

    fn note_may_accept(&mut self) {
        self.may_accept = self.listeners.iter().any(|listener| listener.poll_timeout().is_some());
    }
}
