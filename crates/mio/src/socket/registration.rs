//! What the socket asks mio to watch for.

use std::io;

use mio::{Interest, Registry, Token, event};

use super::Socket;
use crate::flags::Flags;

impl Socket {
    /// Registers the socket for what it waits for, if that has changed. The token may not change.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn update(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let wanted = self.wanted();
        match self.flags.among(Flags::WATCHES_READING | Flags::WATCHES_WRITING) {
            watched if watched == wanted => Ok(()),
            Flags::NONE => registry.register(self, token, interests(wanted)),
            _ => registry.reregister(self, token, interests(wanted)),
        }
    }

    /// Forgets that the socket was registered, since another registry follows.
    pub(crate) fn forget_registration(&mut self) {
        self.flags.remove(Flags::WATCHES_READING | Flags::WATCHES_WRITING);
    }

    /// What mio should watch for: always for bytes to read, and for room to write only while output waits for it.
    fn wanted(&self) -> Flags {
        if self.flags.any(Flags::WRITE_BLOCKED | Flags::CONNECTING) {
            Flags::WATCHES_READING | Flags::WATCHES_WRITING
        } else {
            Flags::WATCHES_READING
        }
    }
}

/// Registers for what the socket itself waits for, whatever interests are given; [`Socket::update`] keeps that up to date.
impl event::Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let wanted = self.wanted();
        self.stream.register(registry, token, interests(wanted))?;
        self.flags.insert(wanted);
        Ok(())
    }

    fn reregister(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let wanted = self.wanted();
        self.stream.reregister(registry, token, interests(wanted))?;
        self.flags.set(Flags::WATCHES_WRITING, wanted.any(Flags::WATCHES_WRITING));
        Ok(())
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.forget_registration();
        self.stream.deregister(registry)
    }
}

fn interests(wanted: Flags) -> Interest {
    if wanted.any(Flags::WATCHES_WRITING) { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}
