//! SOCKS5 (RFC 1928), with a user name and a password (RFC 1929).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::credentials::Credentials;
use crate::destination::Destination;
use crate::proxy_fault::{ProxyFault, SocksReply};

const VERSION: u8 = 5;
const METHOD_NONE: u8 = 0;
const METHOD_PASSWORD: u8 = 2;
const METHOD_REFUSED: u8 = 0xFF;
/// RFC 1929 section 2.
const PASSWORD_VERSION: u8 = 1;

/// A SOCKS5 proxy that was sent the methods of authentication.
#[derive(Debug)]
pub(crate) struct Socks5 {
    received: Vec<u8>,
    expected: Reply,
    /// The request of RFC 1929 section 2, which is a secret; empty without credentials.
    password_request: Secret,
    /// The request of RFC 1928 section 4.
    connect_request: Vec<u8>,
}

/// Bytes that `Debug` omits.
struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

/// The reply that is to come next.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Method,
    Password,
    Connect,
}

impl Socks5 {
    /// Adds the methods of authentication to `output`.
    pub(crate) fn new(
        destination: &Destination,
        credentials: Option<&Credentials>,
        output: &mut Vec<u8>,
    ) -> Result<Self, ProxyFault> {
        let connect_request = connect_request(destination)?;
        let password_request = Secret(credentials.map(password_request).transpose()?.unwrap_or_default());
        // 3: VER, NMETHODS, METHODS
        output.extend_from_slice(match credentials {
            Some(_) => &[VERSION, 2, METHOD_NONE, METHOD_PASSWORD],
            None => &[VERSION, 1, METHOD_NONE],
        });
        Ok(Self { received: Vec::new(), expected: Reply::Method, password_request, connect_request })
    }

    /// Processes bytes of the proxy, and adds requests to `output`. Returns the bytes behind its last reply once the
    /// connection is established.
    pub(crate) fn receive(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<Option<Bytes>, ProxyFault> {
        self.received.extend_from_slice(bytes);
        let mut rest = self.received.as_slice();
        loop {
            rest = match (self.expected, rest) {
                (Reply::Method, [VERSION, method, rest @ ..]) => {
                    self.expected = match *method {
                        METHOD_NONE => Reply::Connect,
                        METHOD_PASSWORD if !self.password_request.0.is_empty() => Reply::Password,
                        METHOD_PASSWORD | METHOD_REFUSED if self.password_request.0.is_empty() => {
                            return Err(ProxyFault::CredentialsMissing);
                        }
                        method => return Err(ProxyFault::MethodUnsupported { method }),
                    };
                    output.extend_from_slice(match self.expected {
                        Reply::Password => &self.password_request.0,
                        _ => &self.connect_request,
                    });
                    rest
                }
                (Reply::Password, [PASSWORD_VERSION, 0, rest @ ..]) => {
                    output.extend_from_slice(&self.connect_request);
                    self.expected = Reply::Connect;
                    rest
                }
                // RFC 1929 2: "any status other than 0 indicates failure"
                (Reply::Password, [PASSWORD_VERSION, _, ..]) => return Err(ProxyFault::CredentialsRejected),
                (Reply::Connect, reply @ [VERSION, ..]) => match parse_connect_reply(reply)? {
                    Some(leftover) => return Ok(Some(Bytes::copy_from_slice(leftover))),
                    None => break,
                },
                (_, []) | (Reply::Method, [VERSION]) | (Reply::Password, [PASSWORD_VERSION]) => break,
                (_, [version, ..]) => return Err(ProxyFault::NotSocks { first_byte: *version }),
            };
        }
        let consumed = self.received.len() - rest.len();
        self.received.drain(..consumed);
        Ok(None)
    }
}

/// Parses the reply to the request of section 4: VER, REP, RSV, ATYP, BND.ADDR, BND.PORT (section 6). Returns the bytes
/// behind it; `None` if it is not complete.
fn parse_connect_reply(reply: &[u8]) -> Result<Option<&[u8]>, ProxyFault> {
    // some proxies send no address with a refusal, so the code is enough
    if let [_, code @ 1..=u8::MAX, ..] = reply {
        return Err(ProxyFault::SocksRefused(SocksReply::from_code(*code)));
    }
    let (address_size, rest) = match reply {
        [_, _, _, 1, rest @ ..] => (4, rest),
        [_, _, _, 3, size, rest @ ..] => (usize::from(*size), rest),
        [_, _, _, 4, rest @ ..] => (16, rest),
        [_, _, _, 3] | [] | [_] | [_, _] | [_, _, _] => return Ok(None),
        [_, _, _, address_type, ..] => {
            return Err(ProxyFault::AddressTypeUnknown { address_type: *address_type });
        }
    };
    Ok(rest.get(address_size + 2..))
}

/// Returns the request of RFC 1929 section 2: VER, ULEN, UNAME, PLEN, PASSWD.
fn password_request(credentials: &Credentials) -> Result<Vec<u8>, ProxyFault> {
    let mut request = vec![PASSWORD_VERSION];
    for text in [credentials.user(), credentials.password()] {
        request.push(u8::try_from(text.len()).map_err(|_| ProxyFault::CredentialsTooLong)?);
        request.extend_from_slice(text.as_bytes());
    }
    Ok(request)
}

/// Returns the request of section 4: VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT.
fn connect_request(destination: &Destination) -> Result<Vec<u8>, ProxyFault> {
    let mut request = vec![VERSION, 1, 0];
    match destination.address() {
        Some(SocketAddr::V4(address)) => {
            request.push(1);
            request.extend(address.ip().octets());
        }
        Some(SocketAddr::V6(address)) => {
            request.push(4);
            request.extend(address.ip().octets());
        }
        None => {
            let size = u8::try_from(destination.host().len()).map_err(|_| ProxyFault::NameTooLong)?;
            request.extend([3, size]);
            request.extend_from_slice(destination.host().as_bytes());
        }
    }
    request.extend(destination.port().to_be_bytes());
    Ok(request)
}
