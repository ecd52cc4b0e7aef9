//! The driver under test, [`sansocket_drive::Driver`], with or without a layer. The adapters run the same code.

use std::fmt::Debug;
use std::io;

use sansocket::bytes::{Buf, Bytes};
use sansocket::{Accept, Event, HttpResponse, Input, Instant, Role, WebSocket};
use sansocket_drive::{Action, Driver, Error, Layer, LayerScratch, Plain};

use crate::fixed_tls::Version;
use crate::layer::{LayerProgress, LayerSettings, StallingLayer};
use crate::tapped_tls::TappedTls;

/// The layer of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layering {
    Plain,
    Stalling(LayerSettings),
    Tls(Version),
}

impl Layering {
    /// Creates the driver of a connection.
    pub(crate) fn drive(self, ws: WebSocket, role: Role) -> Box<dyn Engine> {
        match self {
            Self::Plain => Box::new(Driver::new(ws)),
            Self::Stalling(settings) => Box::new(Driver::with_layer(ws, StallingLayer::new(role, settings))),
            Self::Tls(version) => Box::new(Driver::with_layer(ws, TappedTls::new(role, version))),
        }
    }
}

/// The methods of [`Driver`], for any layer.
pub(crate) trait Engine: Debug {
    fn websocket(&self) -> &WebSocket;
    fn websocket_mut(&mut self) -> &mut WebSocket;
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> Input<'b>;
    fn next_event<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error>;
    fn next_action(&mut self) -> Action;
    fn eof(&mut self);
    fn read_lost(&mut self, error: io::Error, now: Instant);
    fn write_lost(&mut self, error: io::Error, now: Instant);
    fn timeout(&mut self, outstanding: Option<usize>, now: Instant);
    fn to_write(&mut self) -> Box<dyn Buf + '_>;
    fn take_bytes(&mut self, max: usize) -> Bytes;
    fn delivered(&mut self, count: usize);
    fn write_shut_down(&mut self);
    fn has_read_ended(&self) -> bool;
    fn has_write_ended(&self) -> bool;
    fn has_closed_layer(&self) -> bool;
    fn accept(&mut self, accept: Accept, now: Instant) -> Result<(), Error>;
    fn respond(&mut self, response: HttpResponse, now: Instant) -> Result<(), Error>;
    /// Returns what the layer has taken and delivered since the last call, or `None` without a layer.
    fn take_layer_progress(&self) -> Option<LayerProgress>;
    /// Returns whether the peer has broken the rules of the layer.
    fn layer_has_failed(&self) -> bool;
    /// Returns whether the end of the stream must be preceded by a close message of the layer, and none has arrived.
    fn awaits_close_message(&self) -> bool;
}

macro_rules! engine {
    ($layer:ty, $self:ident => $tap:expr, $failed:expr, $awaits_close:expr) => {
        impl Engine for Driver<$layer> {
            fn websocket(&self) -> &WebSocket {
                self.websocket()
            }
            fn websocket_mut(&mut self) -> &mut WebSocket {
                self.websocket_mut()
            }
            fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> Input<'b> {
                self.open(received, scratch)
            }
            fn next_event<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
                self.next_event(input, now)
            }
            fn next_action(&mut self) -> Action {
                self.next_action()
            }
            fn eof(&mut self) {
                self.eof();
            }
            fn read_lost(&mut self, error: io::Error, now: Instant) {
                self.read_lost(error, now);
            }
            fn write_lost(&mut self, error: io::Error, now: Instant) {
                self.write_lost(error, now);
            }
            fn timeout(&mut self, outstanding: Option<usize>, now: Instant) {
                self.timeout(outstanding, now);
            }
            fn to_write(&mut self) -> Box<dyn Buf + '_> {
                Box::new(self.to_write())
            }
            fn take_bytes(&mut self, max: usize) -> Bytes {
                self.take_bytes(max)
            }
            fn delivered(&mut self, count: usize) {
                self.delivered(count);
            }
            fn write_shut_down(&mut self) {
                self.write_shut_down();
            }
            fn has_read_ended(&self) -> bool {
                self.has_read_ended()
            }
            fn has_write_ended(&self) -> bool {
                self.has_write_ended()
            }
            fn has_closed_layer(&self) -> bool {
                self.has_closed_layer()
            }
            fn accept(&mut self, accept: Accept, now: Instant) -> Result<(), Error> {
                self.accept(accept, now)
            }
            fn respond(&mut self, response: HttpResponse, now: Instant) -> Result<(), Error> {
                self.respond(response, now)
            }
            fn take_layer_progress(&$self) -> Option<LayerProgress> {
                $tap
            }
            fn layer_has_failed(&$self) -> bool {
                $failed
            }
            fn awaits_close_message(&$self) -> bool {
                $awaits_close
            }
        }
    };
}

engine!(Plain, self => None, false, false);
engine!(StallingLayer, self => Some(self.layer().take_progress()), self.layer().has_failed(), false);
// an honest peer does not break the rules of TLS
engine!(TappedTls, self => Some(self.layer().take_progress()), false, !self.layer().has_received_close());
