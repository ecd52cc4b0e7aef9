//! What received frames mean for the connection.

use super::Connection;
use crate::data::Input;
use crate::error::Error;
use crate::event::Event;
use crate::frame::OpCode;
use crate::receive::{FrameEvent, Rules};
use crate::send::ControlOrigin;

impl Connection {
    /// Receives what `Receiver::receive_whole` does not take, and reports the end of a closing connection.
    #[inline(never)]
    pub(super) fn receive_frames<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        if let Some(closing) = &mut self.closing {
            if !input.is_empty() {
                closing.note_received(self.output.is_delivered(), self.timers.now());
            }
            if !closing.handles_frames() {
                let close = self.take_close();
                let discarded = self.discard(input);
                return close.map_or(discarded, |close| Ok(Some(Event::Close(close))));
            }
        }
        if self.receiver.is_assembling(&self.config) {
            match self.receiver.assemble(input, self.output.pool()) {
                Ok(Some(message)) => return Ok(Some(Event::Message(message))),
                Ok(None) if input.is_empty() => return Ok(None),
                Ok(None) => {}
                Err(error) => return self.fail(error.into(), input),
            }
        }
        #[cfg(feature = "deflate")]
        if self.deflate.is_some() {
            return self.receive_compressed(input);
        }
        self.receive_next(input)
    }

    /// Receives up to the next event, or up to the payload of a compressed message.
    #[inline]
    fn receive_next<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        let rules = Rules {
            role: self.role(),
            #[cfg(feature = "deflate")]
            permits_compression: self.deflate.is_some(),
            config: &self.config,
        };
        match self.receiver.receive(input, rules, self.output.pool()) {
            Ok(event) => Ok(event.map(|event| self.handle_frame(event))),
            Err(error) => self.fail(error.into(), input),
        }
    }

    /// Receives frames, of which some may be compressed.
    #[cfg(feature = "deflate")]
    fn receive_compressed<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        loop {
            if self.receiver.is_inflating(input)
                && let Some(deflate) = &mut self.deflate
            {
                let mut direction = deflate.received(self.output.codecs());
                match self.receiver.inflate(input, &mut direction, &self.config) {
                    Ok(None) => {}
                    Ok(Some(event)) => return Ok(Some(self.handle_frame(event))),
                    Err(error) => return self.fail(error.into(), input),
                }
            }
            let event = self.receive_next(input)?;
            if event.is_some() || !self.receiver.is_inflating(input) {
                return Ok(event);
            }
        }
    }

    fn handle_frame<'b>(&mut self, event: FrameEvent<'b>) -> Event<'b> {
        match event {
            FrameEvent::Message(message) => Event::Message(message),
            FrameEvent::Chunk(chunk) => Event::Chunk(chunk),
            FrameEvent::Ping(payload) => {
                self.reply(&payload);
                Event::Ping(payload)
            }
            FrameEvent::Pong(payload) => Event::Pong(payload),
            FrameEvent::Close(frame) => {
                self.transition().receive_close(frame.clone());
                self.receiver.discard();
                Event::CloseReceived(frame)
            }
        }
    }

    /// 5.5.2: upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response
    fn reply(&mut self, payload: &[u8]) {
        if self.transition().can_reply() {
            let _ =
                self.sender.queue_control(&mut self.output, OpCode::Pong, payload, ControlOrigin::Reply, &self.config);
        }
    }

    #[cold]
    pub(super) fn fail<'b>(&mut self, error: Error, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        self.transition().fail(error);
        self.discard(input)
    }

    /// Discards what follows a Close frame or a failure, and what was unfinished then (1.4, 7.1.7).
    fn discard<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        input.discard();
        self.receiver.discard();
        match self.closing.as_ref().and_then(|closing| closing.error()) {
            Some(error) => Err(error.clone()),
            None => Ok(None),
        }
    }
}
