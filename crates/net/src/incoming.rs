//! Incoming: a client's request, and the answer to it.

use std::fmt;
use std::net::TcpStream;

use sansocket::{Accept, Event, HttpResponse, OriginPolicy, Request};
use sansocket_drive::{Clock, Error};

use crate::read_buffers::ReadBuffers;
use crate::stream::Stream;
use crate::unsplit::Unsplit;
use crate::websocket::{WebSocket, finish_opening};

/// A client that has connected; its request may not have arrived yet.
///
/// ```no_run
/// use sansocket_net::{Error, Incoming, HttpResponse, WebSocket};
///
/// fn open(mut incoming: Incoming) -> Result<Option<WebSocket>, Error> {
///     match incoming.request()?.path() {
///         "/chat" => incoming.accept().map(Some),
///         "/health" => incoming.respond(HttpResponse::new(200).body("text/plain", "well")).map(|()| None),
///         _ => incoming.respond(HttpResponse::new(404)).map(|()| None),
///     }
/// }
/// ```
///
/// Dropping it without an answer aborts the connection.
pub struct Incoming<S: Stream = TcpStream> {
    pub(crate) link: Box<Unsplit<S>>,
    buffers: ReadBuffers,
    origin: OriginPolicy,
    protocols: Vec<String>,
    request: Option<Request>,
    is_plain: bool,
}

impl<S: Stream> Incoming<S> {
    pub(crate) fn new(
        link: Box<Unsplit<S>>,
        buffers: ReadBuffers,
        origin: OriginPolicy,
        protocols: Vec<String>,
    ) -> Self {
        Self { link, buffers, origin, protocols, request: None, is_plain: false }
    }

    /// Reads the request, or returns the one read before.
    ///
    /// # Errors
    ///
    /// No valid request arrived in time. The client got a response with the status that
    /// [`HandshakeError::status`](sansocket::HandshakeError::status) returns, and TCP has ended.
    pub fn request(&mut self) -> Result<&Request, Error> {
        let request = match self.request.take() {
            Some(request) => request,
            None => self.read_request()?,
        };
        Ok(self.request.insert(request))
    }

    /// Returns whether the request asks for something other than a WebSocket, such as a page or a health check: answer
    /// it with [`respond`](Self::respond). If you accept it nevertheless, the client gets 426, Upgrade Required.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn is_plain(&mut self) -> Result<bool, Error> {
        self.request()?;
        Ok(self.is_plain)
    }

    /// Accepts the request if the policy of [`Acceptor::origin`](crate::Acceptor::origin) permits its origin, and
    /// selects the first subprotocol that the client offers and the server supports
    /// ([`Acceptor::protocol`](crate::Acceptor::protocol)).
    ///
    /// # Errors
    ///
    /// As for [`accept_with`](Self::accept_with).
    pub fn accept(mut self) -> Result<WebSocket<S>, Error> {
        let request = self.request()?.clone();
        let accept = Accept::new().first_protocol(&request, &self.protocols);
        self.accept_with(accept)
    }

    /// Accepts the request with a subprotocol and headers of the caller's choice. The policy of
    /// [`Acceptor::origin`](crate::Acceptor::origin) applies, unless [`Accept::origin`] chose another.
    ///
    /// ```no_run
    /// # use sansocket_net::{Accept, Error, Incoming, OriginPolicy, WebSocket};
    /// # fn open(mut incoming: Incoming) -> Result<WebSocket, Error> {
    /// let accept = Accept::new().header("Set-Cookie", "session=1");
    /// let is_public = incoming.request()?.path() == "/public";
    /// incoming.accept_with(if is_public { accept.origin(OriginPolicy::Any) } else { accept })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request), and [`Error::Answer`]: the origin is not permitted and the client got 403,
    /// the client did not ask for a WebSocket and got 426, or the answer is not valid and the client got 500.
    /// [`Error::Io`]: the client has disconnected. TCP has ended in all cases. A client that has only shut down its
    /// sending direction is accepted, and the connection ends with the next event.
    pub fn accept_with(mut self, accept: Accept) -> Result<WebSocket<S>, Error> {
        self.request()?;
        let accept = accept.default_origin(&self.origin);
        if let Err(error) = self.link.engine.driver.accept(accept, Clock::of_process().now()) {
            // The driver has answered with 403, 426 or 500.
            let _ = self.finish();
            return Err(error);
        }
        finish_opening(self.link, self.buffers)
    }

    /// Answers with an HTTP response other than 101, delivers it, and waits for the end of TCP, up to
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout) without progress.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request), and [`Error::Answer`]: the response is not valid, and the client got 500.
    /// [`Error::Io`]: the client has disconnected. Other errors: it did not take the whole response in time.
    pub fn respond(mut self, response: HttpResponse) -> Result<(), Error> {
        self.request()?;
        let answered = self.link.engine.driver.respond(response, Clock::of_process().now());
        let finished = self.finish();
        answered.and(finished)
    }

    /// Returns the TLS connection, for its version, certificates and the like; `None` without TLS. The TLS handshake is
    /// complete once the [request](Self::request) has arrived.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&sansocket_tls::Tls> {
        self.link.engine.driver.layer().tls()
    }

    /// Returns the stream, for its addresses and options.
    pub fn stream(&self) -> &S {
        &self.link.stream
    }

    /// Returns the stream. Do not read from it or write to it: that would corrupt the connection.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.link.stream
    }

    fn read_request(&mut self) -> Result<Request, Error> {
        loop {
            match self.buffers.next_opening_event(&mut *self.link)? {
                Event::Request(request) => return Ok(request),
                Event::HttpRequest(request) => {
                    self.is_plain = true;
                    return Ok(request);
                }
                _ => {}
            }
        }
    }

    /// Drives the connection until the response is delivered and TCP has ended.
    fn finish(&mut self) -> Result<(), Error> {
        while self.buffers.next_event(&mut *self.link)?.is_some() {}
        self.link.engine.check_written()
    }
}

impl<S: Stream> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}
