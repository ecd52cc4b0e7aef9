//! soketto, which has neither takeover nor levels: it compresses at level 1.
//!
//! It only sends: soketto 0.8.1 refuses what it receives with flate2 1.1.11 ("incomplete deflate stream"), since it
//! ends the inflater after each message, whose DEFLATE stream does not end.

use soketto::Sender;
use soketto::connection::{Builder, Mode};
use soketto::extension::deflate::Deflate;
use soketto::extension::{Extension, Param};

use super::participant::Compressing;
use crate::CompressionSettings;
use crate::transport::{Stream, Transport, block_on};

/// soketto.
#[derive(Debug)]
pub struct Soketto<T: Transport>(Sender<Stream<T>>);

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
        Self(builder.finish().0)
    }

    fn send(&mut self, message: &[u8]) {
        block_on(async {
            self.0.send_binary(message).await.unwrap();
            self.0.flush().await.unwrap();
        });
    }
}
