//! Requests and responses of real clients and servers, byte for byte, and the examples of the RFC.

use base64::Engine;
use sansocket::{Accept, Config, Error, Event, HandshakeError, Headers, OriginPolicy, ReadyState, WebSocket};

use crate::support::{
    KEY, NONCE, NOW, Outcome, Scripted, client, client_request, in_all_splits, output, receive, records, served,
    server, testdata,
};

/// RFC 6455 section 1.3; Conformance 11: base64(SHA-1(key as sent + GUID)).
#[test]
fn example_of_the_rfc() {
    let mut server = server();
    let events = receive(&mut server, &testdata("rfc6455-1.3.request")).unwrap();
    let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((request.method(), request.target(), request.host()), ("GET", "/chat", "server.example.com"));
    assert_eq!(request.protocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    assert_eq!(request.origin(), Some("http://example.com"));
    server.accept(Accept::new().origin(OriginPolicy::Any).protocol("chat"), NOW).unwrap();
    let response = output(&mut server);
    assert_eq!(String::from_utf8_lossy(&response), String::from_utf8_lossy(&testdata("rfc6455-1.2.response")));

    let request = client_request().protocol("chat").protocol("superchat").origin("http://example.com");
    let mut client = client(request);
    let sent = String::from_utf8(output(&mut client)).unwrap();
    assert_eq!(sorted(&sent), sorted(&String::from_utf8(testdata("rfc6455-1.3.request")).unwrap()));
    let events = receive(&mut client, &testdata("rfc6455-1.2.response")).unwrap();
    let [Event::Open(open)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(open.protocol(), Some("chat"));
    assert_eq!(client.protocol(), Some("chat"));
}

fn sorted(head: &str) -> Vec<&str> {
    let mut lines: Vec<_> = head.lines().collect();
    lines.sort_unstable();
    lines
}

/// Every request of a client that asks for a WebSocket is accepted (RFC 6455 section 4.2.1).
#[test]
fn clients() {
    let index = String::from_utf8(testdata("captures.txt")).unwrap();
    let mut count = 0;
    for record in records(&index) {
        let all =
            |key: &str| record.iter().filter(|(each, _)| *each == key).map(|(_, value)| *value).collect::<Vec<_>>();
        let [file] = all("file")[..] else { panic!("{record:?}") };
        if !file.contains("-client-") {
            continue;
        }
        count += 1;
        let outcome = served(testdata(file));
        let asks = all("upgrade").iter().any(|value| value.eq_ignore_ascii_case("websocket"));
        assert_eq!(outcome.status(), if asks { 101 } else { 426 }, "{file}");
        assert_eq!(outcome.error, None, "{file}");
        let request = outcome.request();
        assert_eq!([request.target()], all("target")[..], "{file}");
        let protocols = request.protocols().collect::<Vec<_>>().join(",");
        assert_eq!(protocols, all("sec-websocket-protocol").join(",").replace(' ', ""), "{file}");
        let extensions = request.extensions().map(|extension| extension.name).collect::<Vec<_>>();
        assert_eq!(extensions.is_empty(), all("sec-websocket-extensions").is_empty(), "{file}");
    }
    assert!(count >= 10, "{count}");
}

/// Every response of a server is accepted or refused, as RFC 6455 section 4.1 requires.
#[test]
fn servers() {
    let index = String::from_utf8(testdata("captures.txt")).unwrap();
    let mut count = 0;
    for record in records(&index) {
        let get = |key: &str| record.iter().find(|(each, _)| *each == key).map(|(_, value)| *value);
        let (Some(answers), Some(file)) = (get("answers"), get("file")) else { continue };
        count += 1;
        check_response(file, answers, get("status").unwrap());
    }
    assert!(count >= 20, "{count}");
}

fn check_response(file: &str, answers: &str, status: &str) {
    println!("{file}");
    let headers = headers_of(answers);
    let key = headers.as_ref().and_then(|headers| headers.get("Sec-WebSocket-Key")).unwrap_or(KEY);
    let nonce = base64::engine::general_purpose::STANDARD.decode(key).unwrap_or(NONCE.to_vec());
    let endpoint = || {
        let protocols = headers.iter().flat_map(|headers| headers.get_all("Sec-WebSocket-Protocol"));
        let protocols = protocols.flat_map(|list| list.split(','));
        let request = protocols.fold(client_request(), |request, protocol| request.protocol(protocol.trim()));
        WebSocket::client(request, Config::default(), Scripted::new(&nonce), NOW).unwrap()
    };
    let bytes = testdata(file);
    let outcome: Outcome = in_all_splits(&bytes, endpoint);
    let has_extensions = String::from_utf8_lossy(&bytes).contains("Sec-WebSocket-Extensions");
    match status {
        "101" if has_extensions => {
            assert!(matches!(outcome.handshake_error(), HandshakeError::ExtensionNotOffered(_)), "{file}")
        }
        "101" => assert_eq!((outcome.error, outcome.ready_state), (None, ReadyState::Open), "{file}"),
        "none" => assert_eq!(outcome.ready_state, ReadyState::Connecting, "{file}"),
        status => {
            // a body without a length ends with the transport
            let error = outcome.error.unwrap_or_else(|| {
                let mut client = endpoint();
                receive(&mut client, &bytes).unwrap();
                client.receive_eof(NOW).unwrap_err()
            });
            let Error::Handshake(HandshakeError::Refused(response)) = error else { panic!("{file}: {error:?}") };
            assert_eq!(response.status().to_string(), status, "{file}");
            let head = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
            assert_eq!(response.body(), &bytes[head..], "{file}");
        }
    }
}

/// Returns the header fields of a captured request, if it is valid.
fn headers_of(file: &str) -> Option<Headers> {
    match served(testdata(file)).events.first() {
        Some(Event::Request(request) | Event::HttpRequest(request)) => Some(request.headers().clone()),
        _ => None,
    }
}
