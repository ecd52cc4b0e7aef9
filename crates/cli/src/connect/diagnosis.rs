//! Explains in one line why connecting failed: what happened, who is at fault, what to do.

use std::io::ErrorKind;

use sansocket_net::sansocket::{
    Error as PeerError, HandshakeError, RequestError, Response, UriError, redact_user_info,
};
use sansocket_net::{ConnectError, Error};

use crate::escape::Escaped;
use crate::exit::{self, Exit, Failure};

/// The largest number of bytes shown of each part of a refusal: the reason, the location, the body.
const MAX_PART: usize = 256;

/// Turns an error of `Connector::connect` into the message and the exit status of the command.
pub(super) fn not_connected(url: &str, error: &ConnectError) -> Failure {
    match error {
        ConnectError::Uri(error) => {
            let url = redact_user_info(url);
            let option = if *error == UriError::UserInfo { ", with --header 'Authorization: ...'" } else { "" };
            Failure::new(Exit::Failed, format_args!("{}: {error}{option}", exit::quoted_if_empty(&url)))
        }
        ConnectError::Request(error) => Failure::new(Exit::Failed, request(error)),
        ConnectError::TlsNotBuiltIn => {
            Failure::new(Exit::Failed, format_args!("{url}: wss needs TLS, which is not built in yet; use a ws:// URL"))
        }
        ConnectError::Resolve { host, error } => {
            Failure::new(Exit::Failed, format_args!("no address for the host {host}: {error}; check its name"))
        }
        ConnectError::Unreachable(tried) => {
            let each: Vec<_> = tried.iter().map(|(address, error)| format!("{address}: {error}")).collect();
            let is_refused = tried.iter().all(|(_, error)| error.kind() == ErrorKind::ConnectionRefused);
            let advice = if is_refused { "; check that a server listens there" } else { "" };
            Failure::new(Exit::Failed, format_args!("cannot connect to {}{advice}", each.join("; ")))
        }
        ConnectError::Handshake(Error::Peer(error)) => {
            Failure::new(Exit::Refused, format_args!("{url}: {}", peer(error)))
        }
        error => Failure::new(Exit::Failed, format_args!("{url}: {error}")),
    }
}

fn request(error: &RequestError) -> String {
    let option = match error {
        RequestError::ProtocolDuplicate(_) | RequestError::ProtocolInvalid(_) => "--protocol",
        RequestError::HeaderNameInvalid(name)
        | RequestError::HeaderReserved(name)
        | RequestError::HeaderValueInvalid(name)
            if !name.eq_ignore_ascii_case("origin") =>
        {
            "--header"
        }
        _ => "--origin",
    };
    format!("{option}: {error}")
}

fn peer(error: &PeerError) -> String {
    match error {
        PeerError::Handshake(HandshakeError::Refused(response)) => refused(response),
        error => error.to_string(),
    }
}

fn refused(response: &Response) -> String {
    let part = |text| Escaped::truncated(text, MAX_PART);
    let status = format!("{} {}", response.status(), part(response.reason()));
    let location = response.headers().get("Location").map(|location| format!(", to {}", part(location)));
    let body = String::from_utf8_lossy(response.body());
    let body = match body.trim() {
        "" => String::new(),
        body => format!(": {}", part(body)),
    };
    format!("the server refused the opening handshake: {}{}{body}", status.trim_end(), location.unwrap_or_default())
}
