//! Extended CONNECT, RFC 8441: an opening handshake without key and upgrade.

use sansocket::{
    Accept, Agreement, AnswerError, ClientRequest, HandshakeError, HttpVersion, OriginPolicy, Request, Response,
};

use crate::support::{Fields, KEY, replaced};

const V2: HttpVersion = HttpVersion::Http2;

fn usual() -> Fields {
    vec![("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat, superchat")]
}

/// Checks a request with these pseudo-header fields. Returns whether it is an opening handshake, or the error.
fn check(pseudo: [&str; 4], fields: &Fields) -> Result<bool, HandshakeError> {
    let [protocol, scheme, authority, path] = pseudo;
    let request = Request::extended_connect(protocol, scheme, authority, path, V2, fields.iter().copied());
    request.and_then(|request| request.check()).map(|handshake| handshake.is_some())
}

#[test]
fn every_extended_connect_is_decided() {
    use HandshakeError::{
        BodyUnexpected, ConnectionFieldUnexpected, ExtensionsMalformed, HostInvalid, HostRepeated, OriginRepeated,
        ProtocolsMalformed, ProtocolsRepeated, RequestMalformed, TargetInvalid, VersionRepeated, VersionUnsupported,
    };
    let pseudo = ["websocket", "https", "server.example.com", "/chat"];
    let with = |name: &str, with: &[_]| replaced(&usual(), name, with);
    let version = "sec-websocket-version";
    for (pseudo, fields, expected) in [
        (pseudo, usual(), Ok(true)),
        // the key is not processed
        (pseudo, with("", &[("sec-websocket-key", "x"), ("sec-websocket-key", "y")]), Ok(true)),
        (pseudo, with("", &[("host", "server.example.com"), ("content-length", "0")]), Ok(true)),
        (["websocket", "http", "[::1]:8080", "/"], usual(), Ok(true)),
        (["connect-udp", "https", "a", "/"], usual(), Ok(false)),
        (["WebSocket", "https", "a", "/"], usual(), Ok(false)),
        (["websocket", "wss", "a", "/"], usual(), Err(TargetInvalid)),
        (["websocket", "https://b/?", "a", "/"], usual(), Err(TargetInvalid)),
        (["websocket", "", "a", "/"], usual(), Err(TargetInvalid)),
        (["websocket", "https", "a", ""], usual(), Err(TargetInvalid)),
        (["websocket", "https", "a", "*"], usual(), Err(TargetInvalid)),
        (["websocket", "https", "a", "/b c"], usual(), Err(TargetInvalid)),
        (["websocket", "https", "a", "/#b"], usual(), Err(TargetInvalid)),
        (["websocket", "https", "", "/"], usual(), Err(HostInvalid)),
        (["websocket", "https", "a/b", "/"], usual(), Err(HostInvalid)),
        (["websocket", "https", "a@b", "/"], usual(), Err(HostInvalid)),
        (["websocket", "https", "a:b", "/"], usual(), Err(HostInvalid)),
        (["web socket", "https", "a", "/"], usual(), Err(RequestMalformed)),
        (pseudo, with("", &[(":path", "/")]), Err(RequestMalformed)),
        (pseudo, with("", &[("x", "a\r\nb")]), Err(RequestMalformed)),
        (pseudo, with("", &[("connection", "Upgrade")]), Err(ConnectionFieldUnexpected)),
        (pseudo, with("", &[("upgrade", "websocket")]), Err(ConnectionFieldUnexpected)),
        (pseudo, with("", &[("transfer-encoding", "chunked")]), Err(ConnectionFieldUnexpected)),
        (pseudo, with("", &[("keep-alive", "1")]), Err(ConnectionFieldUnexpected)),
        (pseudo, with("", &[("proxy-connection", "1")]), Err(ConnectionFieldUnexpected)),
        (pseudo, with("", &[("te", "gzip")]), Err(ConnectionFieldUnexpected)),
        (pseudo, with("", &[("te", "trailers")]), Ok(true)),
        (pseudo, with("", &[("host", "a"), ("host", "a")]), Err(HostRepeated)),
        (pseudo, with("", &[("host", "a b")]), Err(HostInvalid)),
        (pseudo, with("", &[("content-length", "1")]), Err(BodyUnexpected)),
        (pseudo, with(version, &[]), Err(VersionUnsupported)),
        (pseudo, with(version, &[(version, "8")]), Err(VersionUnsupported)),
        (pseudo, with("", &[(version, "13")]), Err(VersionRepeated)),
        (pseudo, with("", &[("origin", "a"), ("origin", "a")]), Err(OriginRepeated)),
        (pseudo, with("", &[("sec-websocket-protocol", "a b")]), Err(ProtocolsMalformed)),
        (pseudo, with("", &[("sec-websocket-protocol", "chat")]), Err(ProtocolsRepeated)),
        (pseudo, with("", &[("sec-websocket-extensions", ";")]), Err(ExtensionsMalformed)),
    ] {
        let name = format!("{pseudo:?} {fields:?}");
        if let Err(error) = &expected {
            let response = error.response().unwrap();
            assert!(response.fields(V2).unwrap().all(|(name, _)| name != "Connection" && name != "Upgrade"), "{name}");
        }
        assert_eq!(check(pseudo, &fields), expected, "{name}");
        // the same through the types of the `http` crate, as far as they can hold it
        let [protocol, scheme, authority, path] = pseudo;
        let uri = http::Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        let request = http::Request::builder().method("CONNECT").version(http::Version::HTTP_2);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        if !path.is_empty()
            && path.starts_with('/')
            && !path.contains('#')
            && let Ok(uri) = uri
            && let Ok(request) = request.uri(uri).body(())
        {
            let request = Request::from_http_connect(protocol, &request.into_parts().0);
            assert_eq!(request.and_then(|request| request.check()).map(|it| it.is_some()), expected, "{name}");
        }
    }
}

/// Without `:protocol`, nothing in HTTP/2 asks for a WebSocket.
#[test]
fn other_requests_of_http2_are_plain() {
    let fields = [("sec-websocket-version", "13"), ("sec-websocket-key", KEY)];
    for version in [V2, HttpVersion::Http3] {
        let request = Request::from_parts("GET", "https://a/", version, fields).unwrap();
        assert!(matches!(request.check(), Ok(None)));
        let request = Request::from_parts("GET", "/", version, fields).unwrap();
        assert_eq!(request.check().unwrap_err(), HandshakeError::HostMissing);
    }
}

#[test]
fn an_extended_connect_is_accepted_with_200() {
    let fields = replaced(&usual(), "", &[("origin", "https://server.example.com")]);
    let request = Request::extended_connect("websocket", "https", "server.example.com", "/chat?a", V2, fields).unwrap();
    assert_eq!((request.method(), request.path(), request.query()), ("CONNECT", "/chat", Some("a")));
    assert_eq!((request.host(), request.connect_protocol()), ("server.example.com", Some("websocket")));
    assert!(format!("{request:?}").contains("connect_protocol: \"websocket\""), "{request:?}");
    let handshake = request.check().unwrap().unwrap();
    let accept = Accept::new().protocol("superchat").header("X", "y");
    let acceptance = handshake.accept(&accept).unwrap();
    assert_eq!(acceptance.status(), 200);
    let fields: Vec<_> = acceptance.fields().collect();
    assert_eq!(fields, [("Sec-WebSocket-Protocol", "superchat"), ("X", "y")]);
    assert_eq!(acceptance.agreement(), Agreement::new().with_protocol("superchat"));
    let elsewhere = Accept::new().origin(OriginPolicy::any_of(["https://other.example"]).unwrap());
    let error = handshake.accept(&elsewhere).unwrap_err();
    assert_eq!((error.response().unwrap().status(), error), (403, AnswerError::OriginForbidden));
}

#[test]
fn a_client_sends_an_extended_connect_and_checks_the_response() {
    let request: ClientRequest = "wss://server.example.com:8443/chat?a".parse().unwrap();
    let request = request.protocol("chat").origin("https://a");
    let fields: Vec<_> = request.connect_fields().unwrap().collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let expected = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "server.example.com:8443"),
        (":path", "/chat?a"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Origin", "https://a"),
    ];
    assert_eq!(fields, expected);
    let sent = request.to_http_connect().unwrap();
    assert_eq!((sent.method(), sent.version()), (&http::Method::CONNECT, http::Version::HTTP_2));
    assert_eq!(sent.uri().to_string(), "https://server.example.com:8443/chat?a");
    assert_eq!(sent.headers().len(), 3);

    let answered = |status, fields: &[(&str, &str)]| {
        let response = Response::from_parts(status, V2, fields.iter().copied()).unwrap();
        request.check_connect_response(&response)
    };
    for status in [200, 204, 299] {
        assert_eq!(answered(status, &[]), Ok(Agreement::new()));
    }
    let chat = Agreement::new().with_protocol("chat");
    assert_eq!(answered(200, &[("sec-websocket-protocol", "chat"), ("sec-websocket-accept", "x")]), Ok(chat));
    let not_offered = answered(200, &[("sec-websocket-protocol", "other")]);
    assert_eq!(not_offered, Err(HandshakeError::ProtocolNotOffered("other".into())));
    let extensions = answered(200, &[("sec-websocket-extensions", "permessage-deflate")]);
    assert_eq!(extensions, Err(HandshakeError::ExtensionNotOffered("permessage-deflate".into())));
    for status in [101, 302, 404, 501] {
        assert!(matches!(answered(status, &[]), Err(HandshakeError::Refused(it)) if it.status() == status));
    }
}
