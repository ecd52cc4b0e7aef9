//! What a URL says about a connection: where to connect, what to request, and with which credentials.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sansocket::{RequestTemplate, UriError, WsUri};
use sansocket_drive::parse_uri;
use thiserror::Error;

use crate::credentials::{Credentials, CredentialsError};
use crate::destination::Destination;
use crate::percent;

const UNIX_SCHEME: &str = "ws+unix:";

/// The target of a connection, parsed from a `ws`, `wss` or `ws+unix` URL.
///
/// * The user information of a URL (`ws://user:password@host/`) is kept apart from the URI: it becomes
///   `Authorization: Basic` and is never printed. RFC 6455 section 3 defines none, and it must not enter `Host`.
/// * `ws+unix:/path/of/socket:/chat?room=1` names a Unix socket, and after a colon the path and query to request, which
///   are `/` by default. `ws+unix:///path` is the same. The path of the socket is absolute, and percent-encoded where
///   it has a colon or a percent sign. The `Host` of the request is `localhost`.
///
/// ```
/// use sansocket_dial::Target;
///
/// let target: Target = "ws://user:p%40ss@example.com/chat".parse()?;
/// assert_eq!(target.to_string(), "ws://example.com/chat");
///
/// let target: Target = "ws+unix:/run/chat.sock:/rooms?id=1".parse()?;
/// assert_eq!(target.unix_path(), Some("/run/chat.sock".as_ref()));
/// assert_eq!(target.uri().resource_name(), "/rooms?id=1");
/// # Ok::<(), sansocket_dial::TargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: WsUri,
    unix_path: Option<PathBuf>,
    credentials: Option<Credentials>,
}

impl Target {
    /// Returns the URI to request, without credentials.
    pub const fn uri(&self) -> &WsUri {
        &self.uri
    }

    /// Returns the path of the Unix socket to connect to, if the URL is a `ws+unix` URL.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix_path.as_deref()
    }

    /// Adds the credentials of the URL to a template, as `Authorization: Basic` (RFC 7617), unless it has that field.
    #[must_use]
    pub fn authorize(&self, template: RequestTemplate) -> RequestTemplate {
        let has_authorization = template.headers().any(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
        match &self.credentials {
            Some(credentials) if !has_authorization => template.header("Authorization", credentials.basic()),
            _ => template,
        }
    }

    /// Returns the credentials of the URL.
    pub(crate) const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Returns the host and port of the URI.
    pub(crate) fn destination(&self) -> Destination {
        Destination::new(self.uri.host().to_owned(), self.uri.port())
    }

    /// Returns whether both URIs have the same scheme, host and port (RFC 6454 section 5).
    pub(crate) fn is_same_origin(&self, other: &Self) -> bool {
        let origin = |target: &Self| (target.uri.is_secure(), target.destination());
        origin(self) == origin(other)
    }

    /// Moves the target to the Unix socket of a target with the same origin, if that has one.
    pub(crate) fn at_socket_of(self, other: &Self) -> Self {
        Self { unix_path: other.unix_path.clone(), ..self }
    }

    fn parse_unix(text: &str) -> Result<Self, TargetError> {
        // RFC 3986 3: an empty authority may precede the path
        let path_start = if text[UNIX_SCHEME.len()..].starts_with("///") { 2 } else { 0 } + UNIX_SCHEME.len();
        let rest = &text[path_start..];
        if !rest.starts_with('/') || rest.starts_with("//") {
            return Err(TargetError::UnixPathNotAbsolute);
        }
        let (path, resource) = rest.split_once(':').unwrap_or((rest, ""));
        let path = percent::decode(path).ok_or(TargetError::UnixPathInvalid)?;
        if path.contains('\0') {
            return Err(TargetError::UnixPathInvalid);
        }
        if !resource.is_empty() && !resource.starts_with(['/', '?']) {
            return Err(TargetError::UnixResourceInvalid);
        }
        const ORIGIN: &str = "ws://localhost";
        let resource_start = text.len() - resource.len();
        let uri = parse_uri(&[ORIGIN, resource].concat())
            .map_err(|error| with_position(error, |position| position - ORIGIN.len() + resource_start))?;
        Ok(Self { uri, unix_path: Some(path.into()), credentials: None })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.get(..UNIX_SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(UNIX_SCHEME)) {
            return Self::parse_unix(text);
        }
        let (before, user_info, after) = split_user_info(text);
        let removed = text.len() - before.len() - after.len();
        let shift = |position| if position < before.len() { position } else { position + removed };
        let uri = parse_uri(&[before, after].concat()).map_err(|error| with_position(error, shift))?;
        let credentials = user_info.map(Credentials::parse).transpose()?;
        Ok(Self { uri, unix_path: None, credentials })
    }
}

impl From<WsUri> for Target {
    fn from(uri: WsUri) -> Self {
        Self { uri, unix_path: None, credentials: None }
    }
}

/// The URL without credentials.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unix_path {
            Some(path) => write!(f, "{UNIX_SCHEME}{}:{}", path.display(), self.uri.resource_name()),
            None => self.uri.fmt(f),
        }
    }
}

/// Splits a URL into the text before its user information, the user information, and the text behind the `@`.
pub(crate) fn split_user_info(text: &str) -> (&str, Option<&str>, &str) {
    let Some(scheme_end) = text.find("://") else { return (text, None, "") };
    let (before, rest) = text.split_at(scheme_end + "://".len());
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => (before, Some(&rest[..at]), &rest[at + 1..]),
        None => (before, None, rest),
    }
}

/// Converts the position that the error has, which is in text made for the parser, to the position in the URL.
fn with_position(error: UriError, convert: impl Fn(usize) -> usize) -> UriError {
    match error {
        UriError::CharacterInvalid { character, position } => {
            UriError::CharacterInvalid { character, position: convert(position) }
        }
        UriError::CharacterNotEncoded { character, position } => {
            UriError::CharacterNotEncoded { character, position: convert(position) }
        }
        error => error,
    }
}

/// Why text is not a URL to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The credentials are not valid.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// The path of a Unix socket is not valid.
    #[error(
        "the path of the Unix socket is not percent-encoded UTF-8 without NUL: write %25 if a percent sign is meant"
    )]
    UnixPathInvalid,
    /// The path of a Unix socket is not absolute.
    #[error("the path of the Unix socket is not absolute: write one such as ws+unix:/run/chat.sock:/path")]
    UnixPathNotAbsolute,
    /// The text behind the path of a Unix socket is not the target of a request.
    #[error(
        "the text behind the path of the Unix socket and its colon is not a path or query: write one such as \
         ws+unix:/run/chat.sock:/path, and %3A if a colon in the path of the socket is meant"
    )]
    UnixResourceInvalid,
    /// The text is not a ws or wss URI.
    #[error("{0}")]
    Uri(#[from] UriError),
}
