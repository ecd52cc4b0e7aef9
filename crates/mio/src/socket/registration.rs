//! Registration of a socket with mio: which readiness mio watches for.

use std::io;

use mio::{Interest, Registry, Token, event};

use super::Socket;
use super::flags::Flags;

impl Socket {
    /// Registers the socket for the readiness that it needs, if that has changed. The token must stay the same.
    ///
    /// # Errors
    ///
    /// Returns the error of the system, such as too many open files.
    pub fn update(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.is_connecting() {
            return self.register_dial(registry, token);
        }
        let wanted = wanted(self.flags);
        match self.flags.intersection(Flags::WATCHES_READING | Flags::WATCHES_WRITING) {
            watched if watched == wanted => Ok(()),
            Flags::NONE => registry.register(self, token, interests(wanted)),
            _ => registry.reregister(self, token, interests(wanted)),
        }
    }

    /// Forgets that the socket was registered, so that [`update`](Self::update) registers it with another registry.
    pub(crate) fn forget_registration(&mut self) {
        self.flags.remove(Flags::WATCHES_READING | Flags::WATCHES_WRITING);
        self.forget_registration_of_dial();
    }
}

/// Returns what mio should watch for: always for bytes to read, and for room to write only while writing is blocked.
fn wanted(flags: Flags) -> Flags {
    if flags.intersects(Flags::BLOCKS_WRITING) {
        Flags::WATCHES_READING | Flags::WATCHES_WRITING
    } else {
        Flags::WATCHES_READING
    }
}

/// Registers the socket for the readiness that it needs and ignores the given interests; [`Socket::update`] keeps that
/// up to date.
impl event::Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return self.register_dial(registry, token) };
        let wanted = wanted(self.flags);
        stream.register(registry, token, interests(wanted))?;
        self.flags.insert(wanted);
        Ok(())
    }

    fn reregister(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return self.register_dial(registry, token) };
        let wanted = wanted(self.flags);
        stream.reregister(registry, token, interests(wanted))?;
        self.flags.remove(Flags::WATCHES_WRITING);
        self.flags.insert(wanted);
        Ok(())
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.flags.remove(Flags::WATCHES_READING | Flags::WATCHES_WRITING);
        match &mut self.stream {
            Some(stream) => stream.deregister(registry),
            None => self.deregister_dial(registry),
        }
    }
}

fn interests(wanted: Flags) -> Interest {
    if wanted.intersects(Flags::WATCHES_WRITING) { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}
