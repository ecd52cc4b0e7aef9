//! The faults of a server's answer about permessage-deflate.

use alloc::boxed::Box;
use core::fmt;

use thiserror::Error;

use crate::data::WindowBits;
use crate::data::redact::Quoted;

/// Why a client refuses the server's answer about permessage-deflate (RFC 7692 sections 5.1 and 7.1). If the client made
/// several offers, the fault is relative to the last one, which is the least preferred.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompressionFault {
    /// RFC 6455 section 9.1: the server accepts one offer.
    #[error("the server accepted permessage-deflate more than once")]
    ElementRepeated,
    /// 7.1: the answer must have this parameter, because it was offered: a server that cannot comply declines the offer.
    #[error("the server accepted permessage-deflate without {0}, which was offered and is not optional")]
    ParameterMissing(&'static str),
    /// 7.1.2.2: the answer has this parameter with this value, which is permitted only if it was offered.
    #[error("the server accepted permessage-deflate with {parameter}={value}, but {parameter} was not offered")]
    ParameterNotOffered {
        /// The name.
        parameter: &'static str,
        /// The window.
        value: WindowBits,
    },
    /// 7: the answer repeats this parameter.
    #[error("the server accepted permessage-deflate with {0} more than once")]
    ParameterRepeated(&'static str),
    /// 7: the answer has this parameter, which RFC 7692 does not define.
    #[error("the server accepted permessage-deflate with {}, which is not one of its parameters", Quoted(.0.as_bytes()))]
    ParameterUnknown(Box<str>),
    /// 7.1.1, 7.1.2: the answer has this parameter with this value, or without one, and must not.
    #[error("the server accepted permessage-deflate with {}", ValueFault(parameter, value.as_deref()))]
    ValueInvalid {
        /// The name.
        parameter: &'static str,
        /// The value, if there is one.
        value: Option<Box<str>>,
    },
    /// 7.1.2: the window in the answer is larger than the one offered.
    #[error("the server accepted permessage-deflate with {parameter}={answered}; the offer was at most {offered}")]
    WindowTooLarge {
        /// The name.
        parameter: &'static str,
        /// The window in the answer.
        answered: WindowBits,
        /// The window in the offer.
        offered: WindowBits,
    },
}

/// Displays a parameter with an invalid value, and the rule that it breaks.
struct ValueFault<'a>(&'a str, Option<&'a str>);

impl fmt::Display for ValueFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(parameter, value) = self;
        let rule = if parameter.ends_with("_max_window_bits") {
            "its value must be a number from 8 to 15"
        } else {
            "it must not have a value"
        };
        match value {
            Some(value) => write!(f, "{parameter}={}: {rule}", Quoted(value.as_bytes())),
            None => write!(f, "{parameter} without a value: {rule}"),
        }
    }
}
