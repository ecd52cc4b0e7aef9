//! The error of a TLS connection: which kind of failure, who is at fault, and what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use sansocket::Role;
use thiserror::Error as ThisError;

use crate::verifier::SelfSigned;

/// Why a TLS connection failed. The source of the [`io::Error`] that a [`Driver`](sansocket_drive::Driver) returns.
///
/// ```
/// use sansocket_drive::Error;
/// use sansocket_tls::TlsError;
///
/// fn is_certificate_problem(error: &Error) -> bool {
///     matches!(error, Error::Io(error) if matches!(TlsError::of(error), Some(TlsError::Certificate { .. })))
/// }
/// ```
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer's certificate was not accepted. The peer received an alert.
    #[error("TLS: the {}'s certificate {problem}", name(*owner))]
    Certificate {
        /// The role of the peer.
        owner: Role,
        /// Why it was not accepted.
        problem: CertificateProblem,
    },
    /// The client has no certificate, and the server requires one ([`ServerTlsBuilder::require_client_certificates`]).
    ///
    /// [`ServerTlsBuilder::require_client_certificates`]: crate::ServerTlsBuilder::require_client_certificates
    #[error(
        "TLS: the client sent no certificate, and this server requires one: the client must be configured with a \
         certificate and its key"
    )]
    NoClientCertificate,
    /// The peer ended the connection with an alert.
    #[error("TLS: the {} sent the alert {alert:?}: {}", name(*sender), meaning_of(*alert, *sender))]
    AlertReceived {
        /// The role of the peer.
        sender: Role,
        /// The alert (RFC 8446 6).
        alert: AlertDescription,
    },
    /// The peer speaks HTTP without TLS.
    #[error("TLS: {}", plain_http(*peer))]
    PlainHttp {
        /// The role of the peer.
        peer: Role,
    },
    /// The peer's first bytes are neither TLS nor HTTP.
    #[error("TLS: the {} does not speak TLS: check the host, the port and the scheme", name(*peer))]
    NotTls {
        /// The role of the peer.
        peer: Role,
    },
    /// The client offered no application protocol (ALPN) that the server supports.
    #[error("TLS: the client offers no application protocol (ALPN) that this server supports: compare both lists")]
    NoCommonProtocol,
    /// The two ends have no version, cipher suite, key exchange group or signature scheme in common.
    #[error(
        "TLS: the {} supports no version, cipher suite, group or signature scheme that this end supports ({reason:?}): \
         update the older of the two, or allow more in its configuration",
        name(*peer)
    )]
    Incompatible {
        /// The role of the peer.
        peer: Role,
        /// What they do not have in common.
        reason: PeerIncompatible,
    },
    /// The transport ended without a close_notify: bytes may be missing, because of the peer, the network or an
    /// attacker.
    #[error(
        "TLS: truncated: the connection ended without the {}'s close_notify, so bytes may be missing: the peer \
         crashed or does not end TLS as RFC 8446 6.1 requires, or the network cut the connection",
        name(*peer)
    )]
    Truncated {
        /// The role of the peer.
        peer: Role,
    },
    /// The transport ended during the TLS handshake.
    #[error(
        "TLS: the {} ended the connection during the TLS handshake: it may not speak TLS on this port, or may refuse \
         this end; its log may tell why",
        name(*peer)
    )]
    EndedInHandshake {
        /// The role of the peer.
        peer: Role,
    },
    /// The peer sent records without data. The limit is
    /// [`Tls::MAX_RECORDS_WITHOUT_DATA`](crate::Tls::MAX_RECORDS_WITHOUT_DATA).
    #[error(
        "TLS: the {} sent more than {limit} records without data, one after the other: it is faulty or attacks this \
         end",
        name(*peer)
    )]
    TooManyRecordsWithoutData {
        /// The role of the peer.
        peer: Role,
        /// The limit.
        limit: u32,
    },
    /// A handshake message is too long. The limit is
    /// [`Tls::MAX_HANDSHAKE_BYTES`](crate::Tls::MAX_HANDSHAKE_BYTES).
    #[error("TLS: a handshake message of the {} has more than {limit} bytes: its certificate chain may be too long", name(*peer))]
    HandshakeTooLong {
        /// The role of the peer.
        peer: Role,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Data cannot be sent: the handshake is not complete, or the sending direction has ended. The caller is at fault.
    #[error("TLS: data cannot be sent before the handshake is complete, nor after `close` or a failure")]
    NotOpen,
    /// The keys of a TLS 1.2 connection have encrypted as many records as is safe. (TLS 1.3 updates its keys.)
    #[error("TLS: the keys have encrypted as many records as is safe in TLS 1.2: connect again, or use TLS 1.3")]
    KeysExhausted,
    /// The peer broke the protocol, or a record was changed on its way.
    #[error("TLS: the {} broke the protocol, or the network changed a record: {error}", name(*peer))]
    Protocol {
        /// The role of the peer.
        peer: Role,
        /// The error of rustls.
        error: Error,
    },
    /// This end failed: its configuration, its clock or its random numbers.
    #[error("TLS: this end failed: {error}")]
    Local {
        /// The error of rustls.
        error: Error,
    },
}

impl TlsError {
    /// Returns the TLS error that an [`io::Error`] carries.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns whether another attempt to connect would fail in the same way, until a certificate, a configuration or
    /// an address is changed.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Certificate { .. }
            | Self::NoClientCertificate
            | Self::PlainHttp { .. }
            | Self::NotTls { .. }
            | Self::NoCommonProtocol
            | Self::Incompatible { .. } => true,
            Self::AlertReceived { alert, .. } => {
                !matches!(alert, AlertDescription::InternalError | AlertDescription::UserCanceled)
            }
            _ => false,
        }
    }

    /// Converts an error of rustls. `first_bytes` are those of the stream if no record was received before.
    pub(crate) fn new(error: Error, peer: Role, first_bytes: Option<&[u8]>) -> Self {
        match error {
            Error::InvalidCertificate(error) => {
                Self::Certificate { owner: peer, problem: CertificateProblem::new(error) }
            }
            Error::NoCertificatesPresented => Self::NoClientCertificate,
            Error::AlertReceived(alert) => Self::AlertReceived { sender: peer, alert },
            Error::NoApplicationProtocol => Self::NoCommonProtocol,
            Error::PeerIncompatible(reason) => Self::Incompatible { peer, reason },
            Error::InvalidMessage(_) if first_bytes.is_some_and(|bytes| is_http(bytes, peer)) => {
                Self::PlainHttp { peer }
            }
            Error::InvalidMessage(_) if first_bytes.is_some_and(|bytes| !is_tls(bytes)) => Self::NotTls { peer },
            error @ (Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::DecryptError
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord) => Self::Protocol { peer, error },
            error => Self::Local { error },
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match error {
            // not `UnexpectedEof`, which adapters take for a peer that has gone
            TlsError::Local { .. } => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Why a certificate was not accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// The certificate is for other names.
    WrongName {
        /// The name that the client expects, if the verifier reports it.
        expected: Option<String>,
        /// The names in the certificate, if the verifier reports them.
        presented: Vec<String>,
    },
    /// The certificate has expired.
    Expired {
        /// The time since then, if known.
        since: Option<Duration>,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// The time until then, if known.
        until: Option<Duration>,
    },
    /// The certificate is self-signed and not one of the roots.
    SelfSigned,
    /// The certificate was issued by an authority that this end does not trust.
    UnknownAuthority,
    /// The certificate was revoked by its authority.
    Revoked,
    /// Another problem.
    Other(CertificateError),
}

impl CertificateProblem {
    fn new(error: CertificateError) -> Self {
        match error {
            CertificateError::NotValidForName => Self::WrongName { expected: None, presented: Vec::new() },
            CertificateError::NotValidForNameContext { expected, presented } => {
                let presented = presented.iter().map(|name| bare_name(name)).collect();
                Self::WrongName { expected: Some(expected.to_str().into_owned()), presented }
            }
            CertificateError::Expired => Self::Expired { since: None },
            CertificateError::ExpiredContext { time, not_after } => {
                Self::Expired { since: Some(between(not_after, time)) }
            }
            CertificateError::NotValidYet => Self::NotYetValid { until: None },
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { until: Some(between(time, not_before)) }
            }
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::Other(OtherError(error)) if error.is::<SelfSigned>() => Self::SelfSigned,
            error => Self::Other(error),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongName { expected, presented } => {
                let expected = expected.as_deref().unwrap_or("the name that was connected to");
                write!(f, "is not valid for {expected}")?;
                if !presented.is_empty() {
                    write!(f, ", but for {}", presented.join(", "))?;
                }
                f.write_str(": connect by a name in the certificate, or have it issued for this name")
            }
            Self::Expired { since } => {
                f.write_str("has expired")?;
                since.map_or(Ok(()), |since| write!(f, " {} ago", Rounded(since)))?;
                f.write_str(": its owner must renew it, unless the clock of this end is wrong")
            }
            Self::NotYetValid { until } => {
                f.write_str("is not valid yet")?;
                until.map_or(Ok(()), |until| write!(f, ", but will be in {}", Rounded(until)))?;
                f.write_str(": check the clock of this end")
            }
            Self::SelfSigned => f.write_str(
                "is self-signed, and this end does not trust it: add it to the roots if it is genuine (its \
                 basicConstraints must not be CA:TRUE), or have it issued by an authority that this end trusts",
            ),
            Self::UnknownAuthority => f.write_str(
                "was issued by an authority that this end does not trust: add the authority's certificate to the \
                 roots if it is genuine; its owner may also have left out an intermediate certificate",
            ),
            Self::Revoked => f.write_str("was revoked by its authority: its owner needs a new one"),
            Self::Other(error) => write!(f, "was not accepted: {error}"),
        }
    }
}

/// Returns a name without the type that rustls puts around it: `DnsName("host.example")`, `IpAddress(192.0.2.1)`.
fn bare_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').to_owned()
}

/// A duration in its largest unit, rounded down.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = [(86_400, "day"), (3_600, "hour"), (60, "minute")]
            .into_iter()
            .map(|(length, unit)| (seconds / length, unit))
            .find(|(count, _)| *count > 0)
            .unwrap_or((seconds, "second"));
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

fn between(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

fn plain_http(peer: Role) -> &'static str {
    match peer {
        Role::Client => "the client speaks plain HTTP on a port for TLS: it must use wss:// instead of ws://",
        Role::Server => "the server speaks plain HTTP on this port: use ws:// instead of wss://, or another port",
    }
}

/// Returns what an alert means, and what to do.
fn meaning_of(alert: AlertDescription, sender: Role) -> &'static str {
    use AlertDescription as Alert;
    match (alert, sender) {
        (Alert::CertificateRequired, _) => "it requires a client certificate: configure one",
        (Alert::UnknownCA, Role::Client) => {
            "it does not trust the authority of this server's certificate: let it trust the authority, and send all \
             intermediate certificates"
        }
        (Alert::UnknownCA, Role::Server) => "it does not trust the authority of this client's certificate",
        (Alert::CertificateExpired, _) => "it takes the certificate of this end for expired: renew it",
        (Alert::CertificateRevoked, _) => "the certificate of this end was revoked: use another one",
        (Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate, _) => {
            "it does not accept the certificate of this end: its log may tell why"
        }
        (Alert::NoApplicationProtocol, _) => {
            "it supports none of the application protocols (ALPN) that this end offers: compare both lists"
        }
        (Alert::ProtocolVersion, _) => "it supports neither TLS 1.2 nor TLS 1.3: it must be updated",
        (Alert::HandshakeFailure | Alert::InsufficientSecurity, _) => {
            "it has no cipher suite, group or signature scheme in common with this end, or requires a certificate"
        }
        (Alert::UnrecognisedName, _) => "it does not serve the name that was connected to: check the name",
        (Alert::InternalError, _) => "it failed: its log may tell why",
        _ => "its log may tell why",
    }
}

/// Returns whether the first bytes of a stream are those of HTTP: a status line from a server, a method from a client.
fn is_http(bytes: &[u8], peer: Role) -> bool {
    match peer {
        Role::Server => bytes.starts_with(b"HTTP/"),
        Role::Client => {
            let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
            method >= 3 && bytes.get(method).is_none_or(|&byte| byte == b' ')
        }
    }
}

/// Returns whether the first bytes of a stream are those of a TLS record: its type and its major version.
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=24, 3, ..])
}
