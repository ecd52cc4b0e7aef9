//! Why a proxy gives no connection.

use std::io;

use thiserror::Error;

use crate::failed_attempt::{FailedAttempt, list};

/// Why a proxy gives no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// The SOCKS5 proxy answered with an unknown type of address (RFC 1928 section 6).
    #[error("it answered with the address type {address_type}, which SOCKS5 does not have: it is faulty")]
    AddressTypeUnknown {
        /// The type.
        address_type: u8,
    },
    /// The proxy asks for credentials with other schemes than Basic (407).
    #[error("status 407: it requires credentials, but not with the Basic scheme, the only one supported")]
    BasicNotOffered,
    /// The proxy requires credentials, and there are none.
    #[error("it requires credentials: write them in its URL, such as http://user:password@proxy.example:3128")]
    CredentialsMissing,
    /// The proxy does not accept the credentials.
    #[error("it does not accept the user name and the password: correct them")]
    CredentialsRejected,
    /// RFC 1929 section 2: a user name and a password have at most 255 bytes each.
    #[error("the user name or the password has more than 255 bytes, which SOCKS5 cannot transmit")]
    CredentialsTooLong,
    /// The proxy ended the connection before it answered.
    #[error("it ended the connection before its answer was complete: see its log")]
    Ended,
    /// The head of the proxy's response is not HTTP/1.
    #[error("the head of its response is malformed: it is faulty, or not an HTTP proxy")]
    HeadMalformed,
    /// The head of the proxy's response is too long.
    #[error("the head of its response has more than {limit} bytes: it is faulty, or not an HTTP proxy")]
    HeadTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The transport to the proxy failed.
    #[error("the connection to it failed: {0}")]
    Io(io::Error),
    /// The SOCKS5 proxy requires a method of authentication that is not supported.
    #[error(
        "it requires the method of authentication {method:#04x}; supported are 0x00 (none) and, if its URL has \
         credentials, 0x02 (user name and password)"
    )]
    MethodUnsupported {
        /// The method (RFC 1928 section 3).
        method: u8,
    },
    /// The proxy's name has no address, or the lookup failed.
    #[error("no address for its host: {0}; check the name")]
    NameUnresolved(io::Error),
    /// RFC 1928 section 5: a name has at most 255 bytes.
    #[error("the server's name has more than 255 bytes, which SOCKS5 cannot transmit")]
    NameTooLong,
    /// The peer does not speak HTTP.
    #[error("it does not speak HTTP: check its port and the scheme of its URL")]
    NotHttp,
    /// The peer does not speak SOCKS5.
    #[error("it does not speak SOCKS5: {}", not_socks(*first_byte))]
    NotSocks {
        /// The first byte of its answer.
        first_byte: u8,
    },
    /// The HTTP proxy refused, or could not connect to the server.
    #[error("status {status}: {}", meaning_of(*status))]
    Refused {
        /// The status of its response.
        status: u16,
    },
    /// The SOCKS5 proxy refused, or could not connect to the server.
    #[error("{0}")]
    SocksRefused(SocksReply),
    /// The peer speaks SOCKS.
    #[error("it speaks SOCKS: write socks5:// or socks5h:// in its URL")]
    SpeaksSocks,
    /// The peer speaks TLS.
    #[error("it speaks TLS: write https:// in its URL")]
    SpeaksTls,
    /// TLS with the proxy failed.
    #[error("TLS: {}", tls_text(.error))]
    Tls {
        /// The error.
        error: io::Error,
        /// Whether the next attempt would fail too, such as with a certificate that is not trusted.
        is_permanent: bool,
    },
    /// The response has too many header fields.
    #[error("its response has more than {limit} header lines: it is faulty, or not an HTTP proxy")]
    TooManyHeaderLines {
        /// The limit.
        limit: usize,
    },
    /// None of the proxy's addresses could be reached; each is listed with the reason.
    #[error("cannot connect to {}", list(.0))]
    Unreachable(Vec<FailedAttempt>),
    /// The address of the server has a zone, which only this machine can interpret (RFC 4007 section 11.2).
    #[error("the server's address has a zone, which a proxy cannot interpret: connect without a proxy")]
    ZoneUnsupported,
}

impl ProxyFault {
    /// Returns whether the next attempt would fail too.
    pub(crate) const fn is_permanent(&self) -> bool {
        match self {
            Self::BasicNotOffered
            | Self::CredentialsMissing
            | Self::CredentialsRejected
            | Self::CredentialsTooLong
            | Self::MethodUnsupported { .. }
            | Self::NameTooLong
            | Self::SpeaksSocks
            | Self::SpeaksTls
            | Self::SocksRefused(SocksReply::NotAllowed)
            | Self::ZoneUnsupported => true,
            Self::Refused { status } => is_final(*status),
            Self::Tls { is_permanent, .. } => *is_permanent,
            Self::AddressTypeUnknown { .. }
            | Self::Ended
            | Self::HeadMalformed
            | Self::HeadTooLong { .. }
            | Self::Io(_)
            | Self::NameUnresolved(_)
            | Self::NotHttp
            | Self::NotSocks { .. }
            | Self::SocksRefused(_)
            | Self::TooManyHeaderLines { .. }
            | Self::Unreachable(_) => false,
        }
    }
}

/// Returns whether a refusal with this status does not change by itself.
pub(crate) const fn is_final(status: u16) -> bool {
    // RFC 9110 15.5.9, RFC 6585 4: 408 and 429 permit another attempt
    matches!(status, 300..=499) && !matches!(status, 408 | 429)
}

/// Returns the text of a TLS error, which may name its layer itself.
pub(crate) fn tls_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("TLS: ").map(str::to_owned).unwrap_or(text)
}

fn meaning_of(status: u16) -> &'static str {
    match status {
        403 => "it does not permit connections to this server and port: see its rules",
        405 | 501 => "it does not support CONNECT: use another proxy",
        429 => "it received too many requests: try again later",
        500 | 502..=504 => {
            "it cannot reach the server, or failed: check the server's name and port, and the proxy's log"
        }
        _ => "it refuses the connection: see its log",
    }
}

fn not_socks(first_byte: u8) -> &'static str {
    match first_byte {
        b'H' => "it may be an HTTP proxy: write http:// in its URL",
        0x15 | 0x16 => "it speaks TLS, which SOCKS5 proxies do not: check its port",
        0 | 4 => "it may speak SOCKS4, which is not supported",
        _ => "check its port and the scheme of its URL",
    }
}

/// The reason that a SOCKS5 proxy gives (RFC 1928 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SocksReply {
    /// 1.
    #[error("SOCKS reply 1: general failure of the proxy: see its log")]
    GeneralFailure,
    /// 2.
    #[error("SOCKS reply 2: it does not permit connections to this server and port: see its rules")]
    NotAllowed,
    /// 3.
    #[error("SOCKS reply 3: it has no route to the server's network")]
    NetworkUnreachable,
    /// 4.
    #[error("SOCKS reply 4: it cannot reach the server, or cannot resolve its name: check the name")]
    HostUnreachable,
    /// 5.
    #[error("SOCKS reply 5: the server refused the connection: check that it listens on this port")]
    ConnectionRefused,
    /// 6.
    #[error("SOCKS reply 6: the connection to the server timed out (TTL expired)")]
    TtlExpired,
    /// 7.
    #[error("SOCKS reply 7: it does not support CONNECT: use another proxy")]
    CommandUnsupported,
    /// 8.
    #[error("SOCKS reply 8: it does not support this type of address: try socks5h instead of socks5, or the reverse")]
    AddressTypeUnsupported,
    /// A code that RFC 1928 does not assign.
    #[error("SOCKS reply {0}, which RFC 1928 does not define: see the proxy's log")]
    Other(u8),
}

impl SocksReply {
    /// Returns the meaning of the code of a refusal.
    pub(crate) const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::GeneralFailure,
            2 => Self::NotAllowed,
            3 => Self::NetworkUnreachable,
            4 => Self::HostUnreachable,
            5 => Self::ConnectionRefused,
            6 => Self::TtlExpired,
            7 => Self::CommandUnsupported,
            8 => Self::AddressTypeUnsupported,
            code => Self::Other(code),
        }
    }

    /// Returns whether another address of the server may be reachable.
    pub(crate) const fn is_about_address(self) -> bool {
        // many proxies report every failure to connect as a general one
        !matches!(self, Self::NotAllowed | Self::CommandUnsupported)
    }
}
