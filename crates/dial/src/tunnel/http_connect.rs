//! CONNECT (RFC 9110 section 9.3.6) over HTTP/1.1.

use bytes::Bytes;

use crate::credentials::Credentials;
use crate::destination::Destination;
use crate::proxy_fault::ProxyFault;

/// The longest head of a proxy's response, with the interim responses before it, in bytes.
const MAX_HEAD_SIZE: usize = 16 * 1024;

/// The most header fields in a proxy's response.
const MAX_HEADER_LINES: usize = 100;

/// The beginning of every response (RFC 9112 section 4).
const START: &[u8] = b"HTTP/1.";

/// A proxy that was sent CONNECT.
#[derive(Debug)]
pub(crate) struct HttpConnect {
    received: Vec<u8>,
    /// The end of the interim responses in `received`.
    head_start: usize,
    has_credentials: bool,
}

impl HttpConnect {
    /// Adds the request to `output`.
    pub(crate) fn new(
        destination: &Destination,
        credentials: Option<&Credentials>,
        user_agent: Option<&str>,
        output: &mut Vec<u8>,
    ) -> Self {
        // RFC 9110 7.2: a client sends `Host` with the authority of the target
        let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
        if let Some(credentials) = credentials {
            request.extend(["Proxy-Authorization: ", &credentials.basic(), "\r\n"]);
        }
        if let Some(user_agent) = user_agent {
            request.extend(["User-Agent: ", user_agent, "\r\n"]);
        }
        request.push_str("\r\n");
        output.extend_from_slice(request.as_bytes());
        Self { received: Vec::new(), head_start: 0, has_credentials: credentials.is_some() }
    }

    /// Processes bytes of the proxy. Returns the bytes behind its response once that is 2xx.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Bytes>, ProxyFault> {
        // a blank line may span two calls
        let mut searched = self.received.len().saturating_sub(2);
        self.received.extend_from_slice(bytes);
        loop {
            let head_start = self.head_start;
            let head = self.received.get(head_start..).unwrap_or_default();
            check_start(head)?;
            let Some(head_end) = find_head_end(&self.received, searched.max(head_start)) else {
                let is_too_long = self.received.len() >= MAX_HEAD_SIZE;
                return if is_too_long { Err(ProxyFault::HeadTooLong { limit: MAX_HEAD_SIZE }) } else { Ok(None) };
            };
            if head_end > MAX_HEAD_SIZE {
                return Err(ProxyFault::HeadTooLong { limit: MAX_HEAD_SIZE });
            }
            let head = self.received.get(head_start..head_end).unwrap_or_default();
            match self.check_head(head)? {
                // 15.2: interim responses precede the final one
                100 | 102..=199 => (self.head_start, searched) = (head_end, head_end),
                // 9.3.6: a body does not follow, whatever the header fields say
                _ => return Ok(Some(Bytes::copy_from_slice(self.received.get(head_end..).unwrap_or_default()))),
            }
        }
    }

    /// Returns the status of a response that is interim or successful.
    fn check_head(&self, head: &[u8]) -> Result<u16, ProxyFault> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_LINES];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => {
                return Err(ProxyFault::TooManyHeaderLines { limit: MAX_HEADER_LINES });
            }
            Ok(httparse::Status::Partial) | Err(_) => return Err(ProxyFault::HeadMalformed),
        }
        let status = response.code.ok_or(ProxyFault::HeadMalformed)?;
        match status {
            100 | 102..=299 => Ok(status),
            407 if !offers_basic(response.headers) => Err(ProxyFault::BasicNotOffered),
            // some proxies answer 401 to wrong credentials
            401 | 407 if self.has_credentials => Err(ProxyFault::CredentialsRejected),
            401 | 407 => Err(ProxyFault::CredentialsMissing),
            status => Err(ProxyFault::Refused { status }),
        }
    }
}

/// Checks the first bytes: another protocol may never send a blank line.
fn check_start(head: &[u8]) -> Result<(), ProxyFault> {
    let Some(position) = head.iter().zip(START).position(|(byte, expected)| byte != expected) else { return Ok(()) };
    Err(match head.first() {
        // RFC 8446 5.1: the records of an alert and of a handshake message
        Some(0x15 | 0x16) if position == 0 => ProxyFault::SpeaksTls,
        Some(5) if position == 0 => ProxyFault::SpeaksSocks,
        _ => ProxyFault::NotHttp,
    })
}

/// Returns the end of the blank line that ends a head, which is at `from` or later.
fn find_head_end(received: &[u8], from: usize) -> Option<usize> {
    let rest = received.get(from..)?;
    // RFC 9112 2.2: a recipient may accept LF alone
    let end_of = |blank: &[u8]| {
        rest.windows(blank.len()).position(|window| window == blank).map(|position| from + position + blank.len())
    };
    end_of(b"\n\r\n").into_iter().chain(end_of(b"\n\n")).min()
}

/// Returns whether a 407 permits the Basic scheme (RFC 9110 section 11.7.1). A response without a challenge, which is
/// malformed, counts as one that does.
fn offers_basic(fields: &[httparse::Header<'_>]) -> bool {
    let mut challenges = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("Proxy-Authenticate")).peekable();
    // a list of challenges has the scheme at its beginning or behind a comma
    let has_basic = |field: &httparse::Header<'_>| {
        let schemes = field.value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii_start);
        let mut schemes = schemes.filter_map(|challenge| challenge.split(|&byte| byte == b' ').next());
        schemes.any(|scheme| scheme.eq_ignore_ascii_case(b"Basic"))
    };
    challenges.peek().is_none() || challenges.any(has_basic)
}
