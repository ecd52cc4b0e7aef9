//! Answer: the application's decision on a client's request.

use sansocket_drive::sansocket::{Accept, HttpResponse};

/// How to answer a client's request: [`Handler::on_request`](crate::Handler::on_request),
/// [`Handler::on_http_request`](crate::Handler::on_http_request).
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a request is accepted, refused or pending")]
pub enum Answer {
    /// Open the connection, if the origin policy permits. Not for a request of
    /// [`Handler::on_http_request`](crate::Handler::on_http_request).
    Accept(Accept),
    /// Respond with an HTTP status other than 101, and end.
    Respond(HttpResponse),
    /// Answer later, with [`Connection::answer`](crate::Connection::answer) or
    /// [`Handle::answer`](crate::Handle::answer). After
    /// [`Config::opening_timeout`](crate::sansocket::Config::opening_timeout), the client gets 503.
    Later,
}

impl From<Accept> for Answer {
    fn from(accept: Accept) -> Self {
        Self::Accept(accept)
    }
}

impl From<HttpResponse> for Answer {
    fn from(response: HttpResponse) -> Self {
        Self::Respond(response)
    }
}
