//! The header fields that an application adds to a request or response.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::data::redact;
use crate::data::token::{is_field_text, is_token};

/// Names and values in the order in which they are sent. `Debug` redacts credentials.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldList(Vec<(String, String)>);

/// The reason why a field with this name cannot be sent.
pub(crate) enum FieldFault {
    NameInvalid(String),
    Reserved(String),
    ValueInvalid(String),
}

impl FieldList {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a field.
    pub(crate) fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// Adds a field to a request. Replaces or extends a field that a request must not repeat.
    pub(crate) fn push_to_request(&mut self, name: String, value: String) {
        // RFC 6454 7.3: "the user agent MUST NOT include more than one Origin header field in any HTTP request"; RFC
        // 9110 11.6.2 and 11.7.2: credentials are one value, not a list
        const SINGLE: [&str; 3] = ["Authorization", "Origin", "Proxy-Authorization"];
        if SINGLE.iter().any(|single| single.eq_ignore_ascii_case(&name)) {
            self.retain(|other| !other.eq_ignore_ascii_case(&name));
        }
        // RFC 6265 5.4: "the user agent MUST NOT attach more than one Cookie header field"
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("Cookie");
        match self.0.iter_mut().find(|(other, _)| is_cookie(&name) && is_cookie(other)) {
            Some((_, cookies)) => {
                cookies.push_str("; ");
                cookies.push_str(&value);
            }
            None => self.push(name, value),
        }
    }

    /// Removes the fields whose names `is_wanted` does not select.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| is_wanted(name));
    }

    /// Checks that no field ends its line early or contradicts the handshake.
    pub(crate) fn check(&self) -> Result<(), FieldFault> {
        const RESERVED: [&str; 5] = ["Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"];
        const RESERVED_PREFIX: &str = "Sec-WebSocket-";
        let has_prefix = |name: &str| {
            name.get(..RESERVED_PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED_PREFIX))
        };
        self.0.iter().try_for_each(|(name, value)| {
            if !is_token(name) {
                return Err(FieldFault::NameInvalid(redact::field_name(name)));
            }
            if has_prefix(name) || RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return Err(FieldFault::Reserved(name.clone()));
            }
            if is_field_text(value.as_bytes()) { Ok(()) } else { Err(FieldFault::ValueInvalid(name.clone())) }
        })
    }
}

impl Deref for FieldList {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for FieldList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, value)| redact::Field(name, value))).finish()
    }
}
