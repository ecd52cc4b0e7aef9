//! `Debug`, plain or pretty, and `Display` show no credentials.

use std::fmt::Debug;

use sansocket::{
    Accept, Config, Error, Event, HandshakeError, HttpResponse, HttpVersion, OriginPolicy, RequestError,
    RequestTemplate, Response, WebSocket, WsUri, redact_user_info,
};

use crate::support::{
    NONCE, NOW, Scripted, answered, client, client_request, drive, output, receive, request_with, response_with,
    served, server,
};

/// Header fields with credentials, in upper and lower case, and fields that are shown.
const NAMES: [&str; 8] = [
    "Authorization",
    "authorization",
    "Cookie",
    "COOKIE",
    "Proxy-Authorization",
    "proxy-authorization",
    "Set-Cookie",
    "set-cookie",
];
const SECRET: &str = "hunter2";
const LINES: &str = "Authorization: Basic hunter2\r\ncookie: a=hunter2\r\nProxy-Authorization: hunter2\r\n\
                     SET-COOKIE: b=hunter2\r\nX-Plain: visible\r\n";

#[track_caller]
fn check(what: impl Debug, visible: &[&str]) {
    for shown in [format!("{what:?}"), format!("{what:#?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
        // its bytes are not shown as numbers either
        assert!(!shown.contains("104, 117, 110") && !shown.contains("104,\n"), "{shown}");
        for visible in visible {
            assert!(shown.contains(visible), "no {visible:?} in {shown}");
        }
    }
}

#[test]
fn fields_of_the_application() {
    for name in NAMES {
        let visible = [name, "<redacted>", "X-Plain", "visible"];
        let template = RequestTemplate::new().header(name, SECRET).header("X-Plain", "visible");
        check(&template, &visible);
        check(client_request().header(name, SECRET).header("X-Plain", "visible"), &visible);
        check(Accept::new().header(name, SECRET).header("X-Plain", "visible"), &visible);
        check(HttpResponse::new(401).header(name, SECRET).header("X-Plain", "visible"), &visible);
    }
}

#[test]
fn fields_of_the_peer() {
    let visible = ["<redacted>", "X-Plain", "visible", "SET-COOKIE"];
    let outcome = served(request_with("", None, LINES));
    check(outcome.request(), &visible);
    check(outcome.request().headers(), &visible);
    check(&outcome.events, &visible);
    let accepted = answered(response_with("", None, LINES));
    let [Event::Open(open)] = &accepted.events[..] else { panic!("{accepted:?}") };
    check(open, &visible);
    check(open.response(), &visible);
    let refused = answered(format!("HTTP/1.1 401 No\r\n{LINES}Content-Length: 0\r\n\r\n"));
    check(&refused.error, &visible);
    check(refused.handshake_error(), &visible);
    assert_eq!(refused.handshake_error().to_string(), "the server refused with status 401");
}

/// Endpoints that hold credentials: in the output, in an incomplete head, and in a pending request.
#[test]
fn endpoints() {
    let mut client = client(client_request().header("Authorization", SECRET));
    check(&client, &["Client", "Connecting"]);
    assert!(String::from_utf8(output(&mut client)).unwrap().contains(SECRET));
    receive(&mut client, format!("HTTP/1.1 401 No\r\nSet-Cookie: {SECRET}\r\n").as_bytes()).unwrap();
    check(&client, &["Client", "Connecting"]);
    receive(&mut client, format!("\r\n{SECRET}").as_bytes()).unwrap();
    check(&client, &["Client", "Connecting"]);

    let mut server = server();
    let request = request_with("", None, LINES);
    let (begin, end) = request.split_at(request.len() - 2);
    receive(&mut server, begin.as_bytes()).unwrap();
    check(&server, &["Server", "Connecting"]);
    receive(&mut server, end.as_bytes()).unwrap();
    check(&server, &["Server", "Connecting"]);
    server.accept(Accept::new().header("Set-Cookie", SECRET), NOW).unwrap();
    check(&server, &["Server", "Open"]);
}

/// A malformed head is shown without credentials, even if their line is malformed.
#[test]
fn malformed_heads() {
    for (bytes, shown) in [
        (format!("HTTP/1.1 101 A\r\n{LINES}X : b\r\n\r\n"), "X : b"),
        (format!("HTTP/1.1 101 A\r\nSet-Cookie : {SECRET}\r\n\r\n"), "Set-Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\nSet-Cookie: a\0{SECRET}\r\n\r\n"), "Set-Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\nSet-Cookie: a\r\n {SECRET}\0\r\n\r\n"), "<redacted>"),
        (format!("HTTP/1.1 101 A\r\nSet-Cookie: a\r{SECRET}\r\n\r\n"), "Set-Cookie: <redacted>\\r<redacted>"),
        (format!("HTTP/1.1 101 A\r\nX: a\rSet-Cookie: {SECRET}\r\n\r\n"), "X: a\\rSet-Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\n Cookie: {SECRET}\r\n\r\n"), " Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\nCookie {SECRET}\r\n\r\n"), "Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\nCookie: {SECRET}\n"), "Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\n\0Set-Cookie: {SECRET}\r\n\r\n"), "\\x00Set-Cookie: <redacted>"),
        (format!("HTTP/1.1 101 A\r\n\"Set-Cookie\": {SECRET}\r\n\r\n"), "\\\"Set-Cookie: <redacted>"),
        (format!("HTTP/1.1 302 A\r\nLocation : ws://a:{SECRET}@b/\r\n\r\n"), "Location : ws://<redacted>@b/"),
        (format!("220 ftp://a:{SECRET}@b/\r\n"), "220 ftp://<redacted>@b/"),
        (format!("Set-Cookie: {SECRET}\r\n"), "Set-Cookie: <redacted>"),
        (format!("Set-Cookie: a\r{SECRET}\r\n"), "Set-Cookie: <redacted>\\r<redacted>"),
    ] {
        let outcome = answered(&bytes);
        check(&outcome.error, &["<redacted>"]);
        let message = outcome.handshake_error().to_string();
        assert!(!message.contains(SECRET) && message.contains(&format!("\"{shown}\"")), "{message}");
        let kept = match outcome.handshake_error() {
            HandshakeError::ResponseMalformed(malformed) => malformed.head(),
            HandshakeError::ResponseNotHttp(not_http) => not_http.received(),
            other => panic!("{other:?}"),
        };
        assert!(String::from_utf8_lossy(kept).contains(SECRET), "the accessor does not redact");
    }
}

/// The same for a field made from parts, which is one line even if it holds a line end.
#[test]
fn fields_that_are_malformed() {
    for (name, value, shown) in [
        ("Set-Cookie", "a\r\nb=hunter2", "Set-Cookie: <redacted>\\r"),
        ("Set-Cookie", "a\nb=hunter2", "Set-Cookie: <redacted>"),
        ("Set-Cookie", "hunter2\0", "Set-Cookie: <redacted>"),
        ("Set-Cookie: hunter2\r\nX", "hunter2\r\nhunter2", "Set-Cookie: <redacted>\\r"),
        ("Set-Cookie X", "hunter2", "Set-Cookie: <redacted>"),
        ("Location", "ws://a:hunter2@b/\0", "Location: ws://<redacted>@b/\\x00"),
    ] {
        let error = Response::from_parts(401, HttpVersion::Http11, [(name, value)]).unwrap_err();
        check(&error, &[shown]);
        assert!(error.to_string().contains(&format!("line 1, \"{shown}\": ")), "{error}");
    }
}

/// The target of a redirect may hold user information.
#[test]
fn locations() {
    for location in ["wss://user:hunter2@b.example/", "//user:hunter2@b.example/"] {
        let refused = answered(format!(
            "HTTP/1.1 307 No\r\nLocation: {location}\r\nFrom: a@b\r\nContent-Length: 7\r\n\r\n{SECRET}"
        ));
        check(&refused.error, &["<redacted>@b.example/", "a@b", "body_len: 7"]);
        let response = HttpResponse::new(307).header("Location", location).body("text/plain", SECRET);
        check(response, &["<redacted>@b.example/", "text/plain", "body_len: 7"]);
    }
}

/// If a whole line is given as the name of a field, the error does not show its value.
#[test]
fn names_that_are_lines() {
    for name in NAMES {
        for separator in [": ", ":", " ", "="] {
            let line = format!("{name}{separator}{SECRET}");
            let request = client_request().header(&line, "");
            let error = WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).unwrap_err();
            assert_eq!(error, RequestError::HeaderNameInvalid(format!("{name}: <redacted>")));
            assert_eq!(error.to_string(), format!("\"{name}: <redacted>\" is not the name of a header field"));
            let mut server = server();
            receive(&mut server, request_with("", None, "").as_bytes()).unwrap();
            let error = server.accept(Accept::new().header(&line, ""), NOW).unwrap_err();
            assert_eq!(error.to_string(), format!("\"{name}: <redacted>\" is not the name of a header field"));
            check(&error, &[name]);
            let error = server.respond(HttpResponse::new(401).header(&line, ""), NOW).unwrap_err();
            check(&error, &[name]);
        }
        let value = format!("{SECRET}\n");
        let request = client_request().header(name, &value);
        let error = WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).unwrap_err();
        assert_eq!(error.to_string(), format!("the value of the header field {name} holds a control character"));
        check(&error, &[name]);
    }
}

#[test]
fn uris_and_origins() {
    for uri in [
        "ws://user:hunter2@example.com/",
        "ws://user:hunter2@b\u{fc}cher.example/",
        "ws://user:hunter2@example.com:http/",
        "ws://user:hunter2|@example.com/",
        "ws://user:hunter2/@example.com/",
        "ws://user:hunter2",
        "user:hunter2@example.com",
        "hunter2://example.com",
    ] {
        let error = uri.parse::<WsUri>().unwrap_err();
        check(&error, &[]);
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    for (origin, shown) in [
        ("https://user:hunter2@example.com", "https://<redacted>@example.com"),
        ("user:hunter2@example.com", "<redacted>@example.com"),
        ("https:/user:hunter2@example.com", "https:/<redacted>@example.com"),
        ("https:///user:hunter2@example.com", "https:///<redacted>@example.com"),
        ("https:\\\\user:hunter2@example.com", "https:\\\\\\\\<redacted>@example.com"),
        ("//user:hunter2@example.com", "//<redacted>@example.com"),
        ("https://a.test,https://user:hunter2@b.test", "https://a.test,https://<redacted>@b.test"),
    ] {
        let error = OriginPolicy::any_of([origin]).unwrap_err();
        check(&error, &[shown]);
        assert_eq!(format!("{:?}", redact_user_info(origin)), format!("\"{shown}\""));
        assert!(error.to_string().starts_with(&format!("\"{shown}\" is not an origin: ")), "{error}");
    }
    for (uri, shown) in [
        ("ws://user:hunter2@example.com/a@b", "ws://<redacted>@example.com/a@b"),
        ("ws://a@hunter2@example.com?c", "ws://<redacted>@example.com?c"),
        ("ws://@example.com", "ws://<redacted>@example.com"),
        ("ws://example.com/?to=ws://u:hunter2@b.test/", "ws://example.com/?to=ws://<redacted>@b.test/"),
        ("ws://example.com/@home", "ws://example.com/@home"),
        ("example.com", "example.com"),
        ("", ""),
    ] {
        assert_eq!(redact_user_info(uri), shown);
    }
}

/// Errors that a connection reports show no credentials either.
#[test]
fn errors_of_a_connection() {
    let bytes = format!("HTTP/1.1 403 No\r\n{LINES}Content-Length: 0\r\n\r\n");
    let outcome = drive(client(client_request()), bytes.as_bytes(), &[]);
    let Some(error @ Error::Handshake(_)) = outcome.error else { panic!("{outcome:?}") };
    check(&error, &["X-Plain"]);
    assert_eq!(error.to_string(), "opening handshake failed: the server refused with status 403");
}
