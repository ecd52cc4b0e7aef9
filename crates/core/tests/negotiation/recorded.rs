//! `testdata/handshake/refusals.txt`: requests that an HTTP library can parse get the same status when they are made
//! from their parts as they get from the server of HTTP/1.1.

use sansocket::{Accept, HttpResponse, HttpVersion, OriginPolicy, Request};

/// Method, target, version, names and values.
type Parts<'a> = (&'a str, &'a str, HttpVersion, Vec<(&'a str, &'a [u8])>);

#[test]
fn recorded_requests_get_the_same_status_from_their_parts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/handshake/refusals.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut compared = 0;
    for record in text.split("\n\n") {
        let get = |key: &str| record.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let (Some(name), Some(status)) = (get("name"), get("status")) else { continue };
        // the HTTP library has its own limits
        if status == "431" || get("repeat").is_some() {
            continue;
        }
        let sent: Vec<u8> = record.lines().filter_map(|line| line.strip_prefix("send: ")).flat_map(unescaped).collect();
        if let Some((method, target, version, fields)) = parts(&sent) {
            assert_eq!(decide(Request::from_parts(method, target, version, fields)), status, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

/// Returns the status for an application that accepts every valid opening handshake.
fn decide(request: Result<Request, sansocket::HandshakeError>) -> String {
    let response = match request.and_then(|request| request.check()) {
        Ok(Some(handshake)) => {
            let accept = Accept::new().origin(OriginPolicy::Any);
            return handshake.accept(&accept).unwrap().status().to_string();
        }
        Ok(None) => HttpResponse::upgrade_required(),
        Err(error) => error.response().unwrap(),
    };
    response.status().to_string()
}

/// Splits a head into its parts; `None` if it is malformed, or parts cannot express it.
fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let lines: Vec<&[u8]> = lines(bytes)?;
    let (start, fields) = lines.split_first()?;
    let words: Vec<&str> = str::from_utf8(start).ok()?.split(' ').collect();
    let [method, target, version] = words[..] else { return None };
    let version = match version {
        "HTTP/1.0" => HttpVersion::Http10,
        version if version.len() == 8 && version.starts_with("HTTP/1.") => HttpVersion::Http11,
        _ => return None,
    };
    let fields = fields.iter().map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    });
    Some((method, target, version, fields.collect::<Option<_>>()?))
}

/// Returns the lines up to the empty one; `None` if a line does not end in CR LF.
fn lines(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = vec![];
    loop {
        let end = bytes.windows(2).position(|end| end == b"\r\n")?;
        match &bytes[..end] {
            [] if lines.is_empty() => {}
            [] => return Some(lines),
            line => lines.push(line),
        }
        bytes = &bytes[end + 2..];
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, size) = match escape.as_bytes()[0] {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'x' => (u8::from_str_radix(&escape[1..3], 16).unwrap(), 3),
            other => (other, 1),
        };
        bytes.push(byte);
        rest = &escape[size..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
