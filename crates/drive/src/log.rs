//! The log of a connection: with the feature `tracing`, its milestones become events of the `tracing` crate. Without
//! the feature, [`Log`] has no size and its methods are empty.

#[cfg(feature = "tracing")]
pub(crate) use enabled::Log;

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::Log;

#[cfg(feature = "tracing")]
mod enabled {
    use std::fmt;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU64, Ordering};

    use sansocket::{AnswerError, Close, Event, Open, WebSocket};
    use tracing::{Span, field, info, info_span, warn};

    use crate::Error;

    /// The span of a connection, opened at its first event.
    #[derive(Debug, Default)]
    pub(crate) struct Log {
        /// Boxed: 8 bytes instead of 40 in every connection.
        span: Option<Box<Span>>,
    }

    fn span(ws: &WebSocket, id: &dyn fmt::Display) -> Box<Span> {
        let role = ws.role();
        Box::new(info_span!(target: "sansocket", "connection", %id, ?role, peer = field::Empty))
    }

    impl Log {
        pub(crate) fn set_id(&mut self, ws: &WebSocket, id: &dyn fmt::Display) {
            self.span = Some(span(ws, id));
        }

        pub(crate) fn set_peer(&mut self, ws: &WebSocket, peer: SocketAddr) {
            self.span(ws).record("peer", field::display(peer));
        }

        fn span(&mut self, ws: &WebSocket) -> &Span {
            static NEXT_ID: AtomicU64 = AtomicU64::new(1);
            self.span.get_or_insert_with(|| span(ws, &NEXT_ID.fetch_add(1, Ordering::Relaxed)))
        }

        /// Logs the result if the connection has opened, ended or failed.
        #[inline]
        pub(crate) fn received(&mut self, ws: &WebSocket, received: &Result<Option<Event<'_>>, Error>) {
            match received {
                Ok(Some(Event::Open(open))) => self.opened(ws, open),
                Ok(Some(Event::Close(close))) => self.closed(ws, close),
                Ok(_) => {}
                Err(error) => self.failed(ws, error),
            }
        }

        #[cold]
        fn opened(&mut self, ws: &WebSocket, open: &Open) {
            info!(target: "sansocket", parent: self.span(ws), subprotocol = open.protocol(), "opened");
        }

        #[cold]
        fn closed(&mut self, ws: &WebSocket, close: &Close) {
            let Close { code, was_clean, initiator, .. } = close;
            info!(target: "sansocket", parent: self.span(ws), code = code.as_u16(), was_clean, ?initiator, "closed");
        }

        #[cold]
        fn failed(&mut self, ws: &WebSocket, error: &Error) {
            let span = self.span(ws);
            match error {
                Error::Peer(sansocket::Error::Handshake(error)) if error.status().is_some() => {
                    info!(target: "sansocket", parent: span, status = error.status(), %error, "refused");
                }
                _ => warn!(target: "sansocket", parent: span, %error, "failed"),
            }
        }

        pub(crate) fn failed_to_connect(&mut self, ws: &WebSocket, error: &dyn fmt::Display) {
            warn!(target: "sansocket", parent: self.span(ws), %error, "failed");
        }

        /// Logs an HTTP response other than 101.
        pub(crate) fn responded(&mut self, ws: &WebSocket, status: u16, error: Option<&AnswerError>) {
            let error = error.map(field::display);
            if (200..300).contains(&status) {
                // a health check, for example
                info!(target: "sansocket", parent: self.span(ws), status, error, "responded");
                return;
            }
            info!(target: "sansocket", parent: self.span(ws), status, error, "refused");
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod disabled {
    use std::fmt;
    use std::net::SocketAddr;

    use sansocket::{AnswerError, Event, WebSocket};

    use crate::Error;

    #[derive(Debug, Default)]
    pub(crate) struct Log {}

    #[expect(clippy::unused_self, reason = "the same interface as with the feature")]
    impl Log {
        #[inline(always)]
        pub(crate) fn set_id(&mut self, _: &WebSocket, _: &dyn fmt::Display) {}

        #[inline(always)]
        pub(crate) fn set_peer(&mut self, _: &WebSocket, _: SocketAddr) {}

        #[inline(always)]
        pub(crate) fn received(&mut self, _: &WebSocket, _: &Result<Option<Event<'_>>, Error>) {}

        #[inline(always)]
        pub(crate) fn failed_to_connect(&mut self, _: &WebSocket, _: &dyn fmt::Display) {}

        #[inline(always)]
        pub(crate) fn responded(&mut self, _: &WebSocket, _: u16, _: Option<&AnswerError>) {}
    }
}
