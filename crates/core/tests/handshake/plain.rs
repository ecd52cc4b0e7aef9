//! Plain requests, which do not ask for a WebSocket, and the versions of HTTP: for each request, the event or error and
//! the exact response of a driver that answers plain requests with a page.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sansocket::{Error, Event, HandshakeError, HttpResponse, HttpVersion, Input, WebSocket};

use crate::support::{NOW, answered, output, request, response, server};

/// Method, target and version of a plain request, or the error.
type Expected = Result<(&'static str, &'static str, HttpVersion), HandshakeError>;

const PAGE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwell";
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

fn plain(method: &'static str, target: &'static str, version: HttpVersion) -> Expected {
    Ok((method, target, version))
}

fn rows() -> Vec<(String, Expected)> {
    use HandshakeError::{
        BodyUnexpected, HostInvalid, HostMissing, HostRepeated, Http10, HttpVersionUnsupported, MethodNotGet,
        RequestMalformed, TargetInvalid,
    };
    use HttpVersion::{Http10 as V10, Http11 as V11};
    let mut rows: Vec<(String, Expected)> = vec![
        // the default checks of load balancers
        ("GET /healthz HTTP/1.0\r\n\r\n".into(), plain("GET", "/healthz", V10)),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n".into(), plain("GET", "/healthz", V10)),
        ("OPTIONS * HTTP/1.0\r\n\r\n".into(), plain("OPTIONS", "*", V10)),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), plain("OPTIONS", "*", V11)),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n".into(), plain("OPTIONS", "/", V11)),
        ("HEAD /healthz HTTP/1.0\r\n\r\n".into(), plain("HEAD", "/healthz", V10)),
        ("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello".into(), plain("POST", "/", V10)),
        ("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".into(), plain("GET", "/", V10)),
        // a value that is not UTF-8
        ("GET / HTTP/1.0\r\nX: \u{e9}\r\n\r\n".into(), plain("GET", "/", V10)),
        // Host: RFC 9112 section 3.2
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".into(), Err(HostRepeated)),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n".into(), Err(HostInvalid)),
        ("GET / HTTP/1.1\r\n\r\n".into(), Err(HostMissing)),
        ("OPTIONS * HTTP/1.1\r\n\r\n".into(), Err(HostMissing)),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), Err(HostRepeated)),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), Err(HostInvalid)),
        // the asterisk-form belongs to OPTIONS: RFC 9112 section 3.2.4
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), Err(TargetInvalid)),
        ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n".into(), Err(TargetInvalid)),
        ("options * HTTP/1.1\r\nHost: a\r\n\r\n".into(), Err(TargetInvalid)),
        (format!("OPTIONS * HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n"), Err(MethodNotGet)),
        // an opening handshake needs HTTP/1.1
        (request().replace("HTTP/1.1", "HTTP/1.0"), Err(Http10)),
        (format!("GET / HTTP/1.0\r\n{UPGRADE}\r\n"), Err(Http10)),
        (format!("POST / HTTP/1.0\r\n{UPGRADE}\r\n"), Err(Http10)),
        // another major version, and none
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), Err(HttpVersionUnsupported)),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n".into(), Err(HttpVersionUnsupported)),
        ("GET / HTTP/3.0\r\nX : a\r\n\r\n".into(), Err(HttpVersionUnsupported)),
        (request().replace("HTTP/1.1", "HTTP/2.1"), Err(HttpVersionUnsupported)),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n".into(), Err(RequestMalformed)),
        ("GET / HTTP/1\r\nHost: a\r\n\r\n".into(), Err(RequestMalformed)),
        ("GET / HTTP/1.2 \r\nHost: a\r\n\r\n".into(), Err(RequestMalformed)),
        ("GET / HTTP/1.x\r\nHost: a\r\n\r\n".into(), Err(RequestMalformed)),
    ];
    // RFC 9110 section 2.5: a later minor version counts as the latest that the recipient knows
    for minor in 2..=9 {
        let version = format!("HTTP/1.{minor}");
        let row = |request: &str| request.replace("HTTP/1.1", &version);
        rows.extend([
            (row("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), plain("GET", "/healthz", V11)),
            (row("\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: HTTP/1.1\r\n\r\n"), Err(HostInvalid)),
            (row("\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nX: HTTP/1.1\r\n\r\n"), plain("OPTIONS", "*", V11)),
            (row("GET / HTTP/1.1\r\n\r\n"), Err(HostMissing)),
            (row("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), Err(RequestMalformed)),
            (row(&request()).replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n"), Err(BodyUnexpected)),
        ]);
    }
    rows
}

/// Hands pieces to a server. Returns the event or error, and the response.
fn serve(mut pieces: Vec<Vec<u8>>) -> (Result<Option<Event<'static>>, Error>, String) {
    let mut server = server();
    let mut seen = Ok(None);
    for piece in &mut pieces {
        let mut input = Input::new(piece);
        loop {
            match server.receive(&mut input, NOW) {
                Ok(Some(event)) => {
                    assert_eq!(seen, Ok(None));
                    assert_eq!(output(&mut server), b"", "no response before the driver answers");
                    let page = HttpResponse::new(200).body("text/plain", "well");
                    seen = Ok(Some(event.into_owned()));
                    server.respond(page, NOW).unwrap();
                }
                Ok(None) => break,
                Err(error) => {
                    seen = Err(error);
                    break;
                }
            }
        }
        assert!(input.is_empty());
    }
    (seen, String::from_utf8(output(&mut server)).unwrap())
}

fn check((seen, answer): &(Result<Option<Event<'static>>, Error>, String), expected: &Expected, request: &str) {
    match expected {
        Ok((method, target, version)) => {
            let Ok(Some(Event::HttpRequest(seen))) = seen else { panic!("{request}: {seen:?}") };
            assert_eq!((seen.method(), seen.target(), seen.version()), (*method, *target, *version), "{request}");
            assert_eq!(seen.path(), *target, "{request}");
            let page = if *method == "HEAD" { PAGE.strip_suffix("well").unwrap() } else { PAGE };
            assert_eq!(answer, page, "{request}");
        }
        Err(expected) => {
            assert_eq!(*seen, Err(expected.clone().into()), "{request}");
            assert_eq!(*answer, refusal(expected), "{request}");
        }
    }
}

/// Returns the response that refuses a request because of this error.
fn refusal(error: &HandshakeError) -> String {
    let (status, allow, text) = match error {
        HandshakeError::HostMissing => ("400 Bad Request", "", "the Host field is missing"),
        HandshakeError::HostRepeated => ("400 Bad Request", "", "there is more than one Host field"),
        HandshakeError::HostInvalid => ("400 Bad Request", "", "the Host field does not name a host"),
        HandshakeError::BodyUnexpected => ("400 Bad Request", "", "a request for a WebSocket must not have a body"),
        HandshakeError::RequestMalformed => ("400 Bad Request", "", "the request is malformed"),
        HandshakeError::MethodNotGet => ("405 Method Not Allowed", "Allow: GET\r\n", "the method is not GET"),
        HandshakeError::TargetInvalid => {
            ("400 Bad Request", "", "the target of the request is neither a path nor an http or https URI")
        }
        HandshakeError::Http10 => (
            "400 Bad Request",
            "",
            "a WebSocket needs HTTP/1.1; this request is HTTP/1.0 (a proxy may have lowered the version)",
        ),
        HandshakeError::HttpVersionUnsupported => {
            ("505 HTTP Version Not Supported", "", "the major version of HTTP is not 1")
        }
        error => panic!("{error:?}"),
    };
    let length = text.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\n{allow}Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{text}\n"
    )
}

#[test]
fn every_request_gets_its_event_and_response_in_any_pieces() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for (request, expected) in rows() {
        let mut bytes = request.clone().into_bytes();
        let mut variants = vec![bytes.clone()];
        if request.contains('\u{e9}') {
            bytes = request.chars().map(|character| character as u8).collect();
            variants.push(bytes.clone());
        }
        for bytes in variants {
            check(&serve(vec![bytes.clone()]), &expected, &request);
            check(&serve(bytes.iter().map(|&byte| vec![byte]).collect()), &expected, &request);
            for _ in 0..20 {
                let mut pieces = vec![vec![]];
                for &byte in &bytes {
                    if rng.next_u32() % 8 == 0 {
                        pieces.push(vec![]);
                    }
                    pieces.last_mut().unwrap().push(byte);
                }
                check(&serve(pieces), &expected, &request);
            }
        }
    }
}

/// HTTP/1.2 to 1.9 open a WebSocket as HTTP/1.1 does, for server and client.
#[test]
fn later_minor_versions_of_http_open_a_connection() {
    for minor in 2..=9 {
        let version = format!("HTTP/1.{minor}");
        let served = crate::support::served(request().replace("HTTP/1.1", &version));
        assert_eq!((served.status(), served.request().version()), (101, HttpVersion::Http11));
        let answered = answered(response().replace("HTTP/1.1", &version));
        assert!(matches!(answered.events[..], [Event::Open(_)]), "{answered:?}");
    }
    for version in ["HTTP/1.0", "HTTP/1.21", "HTTP/2.1", "HTTP/1.x"] {
        let answered = answered(response().replace("HTTP/1.1", version));
        assert!(matches!(answered.handshake_error(), HandshakeError::ResponseMalformed(_)), "{version}: {answered:?}");
    }
}

/// The answer to a plain request may have any status from 200 to 599.
#[test]
fn a_plain_request_is_answered_with_any_final_status() {
    let ask = |server: &mut WebSocket| {
        let mut bytes = b"GET / HTTP/1.0\r\n\r\n".to_vec();
        assert!(matches!(server.receive(&mut Input::new(&mut bytes), NOW), Ok(Some(Event::HttpRequest(_)))));
    };
    for status in 200..=599 {
        let mut server = server();
        ask(&mut server);
        server.respond(HttpResponse::new(status), NOW).unwrap();
        let answer = String::from_utf8(output(&mut server)).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains("\r\nConnection: close"),
            "{answer}"
        );
    }
    let mut server = server();
    ask(&mut server);
    server.respond(HttpResponse::upgrade_required(), NOW).unwrap();
    let text = "only opening handshakes of WebSocket connections are answered here\n";
    let expected = format!(
        "HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    assert_eq!(String::from_utf8(output(&mut server)).unwrap(), expected);
}
