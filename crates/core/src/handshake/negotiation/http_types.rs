//! Conversions from and to the types of the `http` crate, for applications that use hyper, axum or h2.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::field_list::FieldFault;
use super::{Acceptance, AnswerError, HttpResponse, HttpVersion, Request};
use crate::data::redact;
use crate::handshake::{ClientRequest, HandshakeError, MalformedResponse, RequestError, Response};

impl Request {
    /// Creates a request from the parts of an extended CONNECT and the value of `:protocol`. Each HTTP library stores
    /// that value in a separate type: in hyper and h2, `parts.extensions.get::<Protocol>()`. See
    /// [`extended_connect`](Self::extended_connect).
    ///
    /// # Errors
    ///
    /// As for [`extended_connect`](Self::extended_connect).
    pub fn from_http_connect(protocol: &str, parts: &http::request::Parts) -> Result<Self, HandshakeError> {
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let scheme = parts.uri.scheme_str().unwrap_or_default();
        Self::extended_connect(protocol, scheme, authority, path, version(parts.version)?, fields(&parts.headers))
    }
}

/// For any request except an extended CONNECT: see [`Request::from_http_connect`].
impl TryFrom<&http::request::Parts> for Request {
    type Error = HandshakeError;

    fn try_from(parts: &http::request::Parts) -> Result<Self, HandshakeError> {
        let target = parts.uri.to_string();
        Self::from_parts(parts.method.as_str(), &target, version(parts.version)?, fields(&parts.headers))
    }
}

/// For the head of a response. [`Response::with_body`] adds a body.
impl TryFrom<&http::response::Parts> for Response {
    type Error = HandshakeError;

    fn try_from(parts: &http::response::Parts) -> Result<Self, HandshakeError> {
        let version = version(parts.version).map_err(|_| {
            MalformedResponse::of_version(format!("{:?} {}", parts.version, parts.status.as_u16()).as_bytes())
        })?;
        Self::from_parts(parts.status.as_u16(), version, fields(&parts.headers))
    }
}

impl Acceptance<'_> {
    /// Returns the response as a type of the `http` crate.
    ///
    /// # Errors
    ///
    /// The `http` crate refuses a header field that the application added, such as a name of more than 65,535 bytes.
    pub fn to_http(&self) -> Result<http::Response<()>, AnswerError> {
        let mut response = http::Response::new(());
        *response.status_mut() = status(self.status())?;
        let fields = self.fields().map(|(name, value)| (name, Cow::Borrowed(value)));
        append(response.headers_mut(), fields)?;
        Ok(response)
    }
}

impl HttpResponse {
    /// Returns the response as a type of the `http` crate, for this version of HTTP (see [`fields`](Self::fields)).
    ///
    /// # Errors
    ///
    /// The status, the reason phrase or a header field is not valid.
    pub fn to_http(&self, version: HttpVersion) -> Result<http::Response<Vec<u8>>, AnswerError> {
        let mut response = http::Response::new(self.content().to_vec());
        *response.status_mut() = status(self.status())?;
        append(response.headers_mut(), self.fields(version)?)?;
        Ok(response)
    }
}

impl ClientRequest {
    /// Returns the request of HTTP/1.1 with this [key](crate::generate_key) as a type of the `http` crate. Its URI is
    /// the path and the query alone.
    ///
    /// # Errors
    ///
    /// A subprotocol, a header field or the key is not valid, or the URI is too long for the `http` crate.
    pub fn to_http(&self, key: &str) -> Result<http::Request<()>, RequestError> {
        let mut request = http::Request::new(());
        *request.uri_mut() = self.uri().resource_name().parse().map_err(|_| RequestError::UriTooLong)?;
        append(request.headers_mut(), self.fields(key)?)?;
        Ok(request)
    }

    /// Returns an extended CONNECT for HTTP/2 as a type of the `http` crate. Add `:protocol`, which is `websocket`, in
    /// the type of the HTTP library: in hyper and h2, `extensions_mut().insert(Protocol::from_static("websocket"))`.
    ///
    /// # Errors
    ///
    /// As for [`to_http`](Self::to_http).
    pub fn to_http_connect(&self) -> Result<http::Request<()>, RequestError> {
        let mut request = http::Request::new(());
        *request.version_mut() = http::Version::HTTP_2;
        *request.method_mut() = http::Method::CONNECT;
        let scheme = if self.uri().is_secure() { "https" } else { "http" };
        let authority = self.host_header();
        let uri = http::Uri::builder().scheme(scheme).authority(authority).path_and_query(self.uri().resource_name());
        *request.uri_mut() = uri.build().map_err(|_| RequestError::UriTooLong)?;
        let fields = self.connect_fields()?.filter(|(name, _)| !name.starts_with(':'));
        append(request.headers_mut(), fields)?;
        Ok(request)
    }
}

/// Adds fields to a map. Fails at the first field that the `http` crate refuses.
fn append<'a>(
    headers: &mut http::HeaderMap,
    fields: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
) -> Result<(), FieldFault> {
    for (name, value) in fields {
        let valid = http::HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(http::HeaderValue::from_bytes(value.as_bytes()).ok());
        let refused = || FieldFault::NameInvalid(name.into());
        let (valid_name, mut valid_value) = valid.ok_or_else(refused)?;
        // the `http` crate then redacts it in `Debug`, and HTTP/2 does not store it in a table (RFC 7541 section 7.1.3)
        valid_value.set_sensitive(redact::is_secret(name.as_bytes()));
        headers.try_append(valid_name, valid_value).map_err(|_| refused())?;
    }
    Ok(())
}

fn fields(headers: &http::HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn status(status: u16) -> Result<http::StatusCode, AnswerError> {
    http::StatusCode::from_u16(status).map_err(|_| AnswerError::StatusInvalid(status))
}

fn version(version: http::Version) -> Result<HttpVersion, HandshakeError> {
    match version {
        http::Version::HTTP_10 => Ok(HttpVersion::Http10),
        http::Version::HTTP_11 => Ok(HttpVersion::Http11),
        http::Version::HTTP_2 => Ok(HttpVersion::Http2),
        http::Version::HTTP_3 => Ok(HttpVersion::Http3),
        _ => Err(HandshakeError::HttpVersionUnsupported),
    }
}
