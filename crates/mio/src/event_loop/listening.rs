//! The listeners of a loop, and the clients that they accept.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use mio::Token;

use super::{EventLoop, MAILBOX};
use crate::connection::Connection;
use crate::handler::Handler;
use crate::listener::{self, Accepted, Listener};

impl<H: Handler> EventLoop<H> {
    /// Listens for clients at an address, which is returned; port 0 lets the system choose one. A loop may listen at
    /// several.
    ///
    /// # Errors
    ///
    /// The address is in use, or not this machine's.
    pub fn listen(&mut self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.listen_on(listener::bind(address)?)
    }

    /// Listens with a listener of the caller's making.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn listen_on(&mut self, listener: std::net::TcpListener) -> io::Result<SocketAddr> {
        let mut listener = Listener::new(listener)?;
        listener.register(self.poll.registry(), Token(MAILBOX.0 - 1 - self.listeners.len()))?;
        let address = listener.address();
        self.listeners.push(listener);
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
                match self.listeners[number].accept(now) {
                    Accepted::Client(stream) if !self.connections.is_stopping => {
                        let index = self.connections.accepted(stream);
                        // Its turn is finished here, whatever the handler does to it.
                        self.connections.dirty.pop();
                        self.handler.on_accept(&mut Connection::new(&mut self.connections, index));
                        self.finish_turn(index);
                    }
                    Accepted::Client(_) | Accepted::Nobody => break,
                    Accepted::Failed(error) => {
                        let address = self.listeners[number].address();
                        self.handler.on_accept_error(&mut self.connections, address, &error);
                        break;
                    }
                }
            }
        }
        self.may_accept = self.listeners.iter().any(|listener| listener.poll_timeout().is_some());
    }
}
