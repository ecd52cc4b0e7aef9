//! User names and passwords: those of a URL, which become `Authorization: Basic` (RFC 7617), and those of a proxy.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::percent;

/// A user name and a password. `Debug` redacts both.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Creates credentials for `Basic` (RFC 7617) and for SOCKS5 (RFC 1929).
    ///
    /// # Errors
    ///
    /// The user name contains a colon, or one of the two contains a control character (RFC 7617 section 2).
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Result<Self, CredentialsError> {
        let (user, password) = (user.into(), password.into());
        // RFC 7617 2: "a user-id containing a colon character is invalid"
        if user.contains(':') {
            return Err(CredentialsError::UserHasColon);
        }
        // RFC 7617 2: "The user-id and password MUST NOT contain any control characters"
        if user.chars().chain(password.chars()).any(char::is_control) {
            return Err(CredentialsError::HasControlCharacter);
        }
        Ok(Self { user, password })
    }

    /// Parses the user information of a URL: `user` or `user:password`, each of which may be percent-encoded.
    pub(crate) fn parse(user_info: &str) -> Result<Self, CredentialsError> {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let decode = |text| percent::decode(text).ok_or(CredentialsError::PercentEncodingInvalid);
        Self::new(decode(user)?, decode(password)?)
    }

    /// Returns the value of `Authorization` or `Proxy-Authorization` (RFC 7617 section 2). It is a secret.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }

    /// Returns the user name.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Returns the password.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(<redacted>)")
    }
}

/// Why a user name and a password cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// RFC 7617 section 2: credentials have no control characters.
    #[error("the user name or the password has a control character: remove it")]
    HasControlCharacter,
    /// RFC 3986 section 2.1: two hexadecimal digits follow a percent sign, and the decoded bytes must be UTF-8.
    #[error("the user name or the password is not percent-encoded UTF-8: write %25 if a percent sign is meant")]
    PercentEncodingInvalid,
    /// RFC 7617 section 2: a user name has no colon.
    #[error("the user name has a colon, which the Basic scheme does not permit")]
    UserHasColon,
}
