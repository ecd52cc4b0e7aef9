//! soketto, over the traits of `futures`.

use soketto::connection::{Builder, Mode};
use soketto::handshake::{Server, server::Response};
use soketto::{Receiver, Sender};

use super::endpoint::{Endpoint, Payload, Role};
use crate::transport::{Exchange, Stream, Transport, block_on};

/// soketto.
#[derive(Debug)]
pub struct Soketto<T: Transport> {
    sender: Sender<Stream<T>>,
    receiver: Receiver<Stream<T>>,
    message: Vec<u8>,
}

impl<T: Transport> Endpoint<T> for Soketto<T> {
    fn new(role: Role, transport: T) -> Self {
        let mode = match role {
            Role::Client => Mode::Client,
            Role::Server => Mode::Server,
        };
        let (sender, receiver) = Builder::new(Stream(transport), mode).finish();
        Self { sender, receiver, message: Vec::new() }
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(bool, &[u8])) {
        block_on(async {
            for _ in 0..count {
                self.message.clear();
                let data = self.receiver.receive_data(&mut self.message).await.unwrap();
                each(data.is_text(), &self.message);
            }
        });
    }

    fn send(&mut self, payload: Payload<'_>) {
        block_on(async {
            match payload {
                Payload::Borrowed(bytes) => self.sender.send_binary(bytes).await,
                Payload::Owned(bytes) => self.sender.send_binary_mut(bytes).await,
                Payload::Shared(bytes) => self.sender.send_binary(bytes).await,
            }
            .unwrap();
            self.sender.flush().await.unwrap();
        });
    }
}

/// Returns the response of a server to a request.
#[must_use]
pub fn answer(request: &'static [u8]) -> Vec<u8> {
    let mut server = Server::new(Stream(Exchange::new(request)));
    block_on(async {
        let key = server.receive_request().await.unwrap().key();
        server.send_response(&Response::Accept { key, protocol: None }).await.unwrap();
    });
    server.into_inner().0.response
}
