//! Explains in one line why connecting failed: what happened, who is at fault, what to do.

use sansocket_net::dial::TargetError;
use sansocket_net::sansocket::{RequestError, Response, redact_user_info};
use sansocket_net::{DialError, Error};

use crate::escape::Escaped;
use crate::exit::{self, Exit, Failure};

/// The largest number of bytes shown of each part of a refusal: the reason, the location, the body.
const MAX_PART: usize = 256;

/// Turns the error of a URL into the message and the exit status of the command.
pub(super) fn bad_url(url: &str, error: &TargetError) -> Failure {
    let url = redact_user_info(url);
    Failure::new(Exit::Failed, format_args!("{}: {error}", exit::quoted_if_empty(&url)))
}

/// Turns an error of `Connector::connect` into the message and the exit status of the command. `url` has no
/// credentials.
pub(super) fn not_connected(url: &str, error: &DialError) -> Failure {
    match error {
        DialError::Request(error) => Failure::new(Exit::Failed, request(error)),
        DialError::Opening(Error::Peer(_)) => match error.response() {
            Some(response) if (300..400).contains(&response.status()) => {
                let (status, details) = (response.status(), details(response));
                Failure::new(
                    Exit::Refused,
                    format_args!("{url}: HTTP: the server redirects, use --follow: {status}{details}"),
                )
            }
            response => {
                let details = response.map(details).unwrap_or_default();
                Failure::new(Exit::Refused, format_args!("{url}: {error}{details}"))
            }
        },
        error => Failure::new(Exit::Failed, format_args!("{url}: {error}")),
    }
}

fn request(error: &RequestError) -> String {
    let option = match error {
        RequestError::ProtocolDuplicate(_) | RequestError::ProtocolInvalid(_) => "--protocol",
        RequestError::HostInvalid(_) => "--host",
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

/// Returns what a refusal says beyond its status: the reason, where a redirect leads, and the body.
fn details(response: &Response) -> String {
    let part = |text| Escaped::truncated(text, MAX_PART);
    let reason = match response.reason() {
        "" => String::new(),
        reason => format!(" {}", part(reason)),
    };
    let location = response.headers().get("Location").map(|location| format!(", to {}", part(location)));
    let body = String::from_utf8_lossy(response.body());
    let body = match body.trim() {
        "" => String::new(),
        body => format!(": {}", part(body)),
    };
    format!("{reason}{}{body}", location.unwrap_or_default())
}
