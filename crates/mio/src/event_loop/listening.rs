//! Listens, and accepts clients.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use mio::Token;

use super::{EventLoop, MAILBOX};
use crate::handler::{Connection, Handler};
use crate::listen_options::{ListenOptions, ListenerShared};
use crate::listener::{self, AcceptOutcome, Client, Listener};
use crate::table::NO_LISTENER;

impl<H: Handler> EventLoop<H> {
    /// Listens for clients at an address, and returns it; with port 0, the system chooses a port. A loop may listen at
    /// several addresses.
    ///
    /// # Errors
    ///
    /// The system's: the address is in use, for example, or not this machine's.
    pub fn listen(&mut self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.listen_with(address, &ListenOptions::new())
    }

    /// Listens with the given settings: which pages may connect, subprotocols, the number of connections.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub fn listen_with(&mut self, address: impl ToSocketAddrs, options: &ListenOptions) -> io::Result<SocketAddr> {
        self.listen_on(listener::bind(address)?, options)
    }

    /// Listens with a listener that the caller has made.
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
        self.connections.table.listeners.push(shared);
        Ok(address)
    }

    /// Prepares for clients that another loop accepts with its first listener, and hands over.
    pub(crate) fn share_listener(&mut self, shared: Arc<ListenerShared>) {
        self.connections.table.listeners.push(shared);
    }

    /// Closes the listeners and, once all connections have ended, the mailbox. Returns whether connections remain.
    #[cold]
    pub(super) fn continue_stop(&mut self) -> bool {
        for mut listener in self.listeners.drain(..) {
            // Dropping the listener refuses the clients in its backlog.
            let _ = listener.deregister(self.poll.registry());
        }
        let has_connections = !self.connections.is_empty();
        if !has_connections {
            self.close_mailbox();
        }
        has_connections
    }

    /// Accepts clients, a bounded number from each listener.
    pub(super) fn accept(&mut self) {
        let now = self.connections.table.now;
        for number in 0..self.listeners.len() {
            for _ in 0..self.listeners[number].accept_budget(now) {
                if self.connections.table.is_stopping || !self.listeners[number].admit() {
                    break;
                }
                let accepted = self.listeners[number].accept(now);
                if !matches!(accepted, AcceptOutcome::Client(..)) && self.connections.table.release(number as u16) {
                    self.connections.wake_other_loops();
                }
                match accepted {
                    AcceptOutcome::Client(stream, peer) => {
                        let client = Client { stream, peer, listener: number as u16 };
                        if let Some(client) = self.connections.mailboxes.hand_over(self.thread, client) {
                            self.begin_serving(client);
                        }
                    }
                    AcceptOutcome::NoClient => break,
                    AcceptOutcome::Failed(error) => {
                        let address = self.listeners[number].address();
                        self.handler.on_accept_error(&mut self.connections, address, &error);
                        break;
                    }
                }
            }
        }
        self.note_may_accept();
    }

    /// Serves a client that another loop has accepted and handed over.
    pub(super) fn take_over(&mut self, client: Client) {
        if self.connections.table.is_stopping {
            return self.refuse(client);
        }
        // It has counted as a connection of this loop since it was handed over.
        self.connections.table.occupancy.remove(self.thread);
        self.begin_serving(client);
    }

    /// Drops a client that was handed over, since this loop is stopping. The client would have been refused in the same
    /// way in the backlog of a listener of this loop.
    #[cold]
    pub(super) fn refuse(&mut self, client: Client) {
        let Client { stream, listener, .. } = client;
        drop(stream);
        self.connections.table.occupancy.remove(self.thread);
        if self.connections.table.release(listener) {
            self.connections.wake_other_loops();
        }
    }

    fn begin_serving(&mut self, client: Client) {
        let index = self.connections.table.insert_accepted(client, H::Data::default());
        // Its turn is finished here, so it need not be in the list of dirty connections.
        self.connections.table.dirty.pop();
        self.handler.on_accept(&mut Connection::new(&mut self.connections, index));
        self.finish_turn(index);
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
