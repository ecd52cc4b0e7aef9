//! soketto, which has neither takeover nor levels: it compresses at level 1.

use soketto::connection::{Builder, Mode};
use soketto::extension::deflate::Deflate;
use soketto::extension::{Extension, Param};
use soketto::{Receiver, Sender};

use super::endpoint::Compressing;
use crate::CompressionSettings;
use crate::transport::{Stream, Transport, block_on};

/// soketto.
#[derive(Debug)]
pub struct Soketto<T: Transport> {
    sender: Sender<Stream<T>>,
    receiver: Receiver<Stream<T>>,
    message: Vec<u8>,
}

impl<T: Transport> Compressing<T> for Soketto<T> {
    fn new(settings: CompressionSettings, transport: T) -> Self {
        let CompressionSettings { level, window_bits, has_takeover } = settings;
        assert!(level == 1 && !has_takeover, "soketto has level 1 and no takeover only");
        let mut deflate = Deflate::new(Mode::Server);
        let mut offered: Vec<_> = ["server_no_context_takeover", "client_no_context_takeover"].map(Param::new).into();
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let mut bits = Param::new(name);
            bits.set_value(Some(window_bits.to_string()));
            offered.push(bits);
        }
        deflate.configure(&offered).unwrap();
        let mut builder = Builder::new(Stream(transport), Mode::Server);
        builder.add_extensions([Box::new(deflate) as Box<dyn Extension + Send>]);
        let (sender, receiver) = builder.finish();
        Self { sender, receiver, message: Vec::new() }
    }

    fn receive(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        block_on(async {
            for _ in 0..count {
                self.message.clear();
                self.receiver.receive_data(&mut self.message).await.unwrap();
                each(&self.message);
            }
        });
    }

    fn send(&mut self, message: &[u8]) {
        block_on(async {
            self.sender.send_binary(message).await.unwrap();
            self.sender.flush().await.unwrap();
        });
    }
}
