//! sansocket: one connection of a server whose connections share a codec.

use super::participant::{Compressing, Inflating};
use crate::CompressionSettings;
use crate::deflate::Server;
use crate::transport::{READ, Transport};

/// sansocket.
#[derive(Debug)]
pub struct Sansocket<T> {
    server: Server,
    transport: T,
    buffer: Vec<u8>,
}

impl<T: Transport> Compressing<T> for Sansocket<T> {
    fn new(settings: CompressionSettings, transport: T) -> Self {
        Self { server: Server::open(settings, 1), transport, buffer: vec![0; READ] }
    }

    fn send(&mut self, message: &[u8]) {
        self.server.send(0, message, |bytes| self.transport.write(bytes));
    }
}

impl<T: Transport> Inflating<T> for Sansocket<T> {
    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        let mut received = 0;
        while received < count {
            let read = self.transport.read_into(&mut self.buffer);
            assert!(read > 0, "nothing has arrived");
            self.server.receive_in_place(0, &mut self.buffer[..read], |message| {
                received += 1;
                each(message);
            });
        }
    }
}
