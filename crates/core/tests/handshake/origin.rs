//! Origins (RFC 6455 sections 4.2.2 and 10.2). CVE-2023-26114, CVE-2025-24010, CVE-2026-44514, CVE-2026-44211: a page
//! of another site must not open a connection unless the application says so.

use sansocket::{Accept, AnswerError, Event, HttpVersion, OriginPolicy, ReadyState, Request, TransportAction};

use crate::support::{NOW, output, receive, request_with, served, server};

fn request(host: &str, origin: Option<&str>) -> Request {
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    served(request_with("Host", Some(host), &origin)).request().clone()
}

#[test]
fn same_origin() {
    for (host, origin, expected) in [
        ("example.com", "http://example.com", true),
        ("example.com", "https://example.com", true),
        ("Example.com", "https://EXAMPLE.com", true),
        ("example.com:80", "http://example.com", true),
        ("example.com", "http://example.com:80", true),
        ("example.com:443", "https://example.com", true),
        ("example.com:8080", "http://example.com:8080", true),
        ("example.com:0080", "http://example.com", true),
        ("example.com:", "http://example.com:80", true),
        ("example.com:8080", "app://Example.com:8080", true),
        ("example.com:8080", "HTTPS://example.com:08080", true),
        ("[::1]:8080", "http://[::1]:8080", true),
        ("example.com:8080", "http://example.com", false),
        ("example.com", "http://example.com:8080", false),
        ("example.com:80", "https://example.com", false),
        ("example.com", "http://sub.example.com", false),
        ("example.com", "http://example.com.evil.test", false),
        ("example.com", "http://evil.test", false),
        ("example.com", "http://example.com@evil.test", false),
        ("example.com", "http://example.com/", false),
        ("example.com", "http://http://example.com", false),
        ("example.com", "http:example.com", false),
        ("example.com", "://", false),
        ("example.com", "http://example.com http://evil.test", false),
        ("example.com", "null", false),
        ("example.com", "", false),
        ("example.com", "example.com", false),
    ] {
        let request = request(host, Some(origin));
        assert_eq!(OriginPolicy::SameOrigin.permits(&request), expected, "{origin} to {host}");
        assert_eq!(OriginPolicy::default().permits(&request), expected, "{origin} to {host}");
        assert!(OriginPolicy::Any.permits(&request));
    }
}

/// Case is ignored, a default port may be omitted, a wildcard stands for one label (RFC 6454 section 5).
#[test]
fn any_of() {
    for (pattern, origin, expected) in [
        ("https://example.com", "https://example.com", true),
        ("https://example.com", "HTTPS://Example.com:443", true),
        ("https://example.com", "http://example.com", false),
        ("https://example.com", "https://example.com:444", false),
        ("https://example.com", "https://evil.test", false),
        ("https://example.com", "https://a.example.com", false),
        ("https://example.com", "", false),
        ("https://example.com", "null", false),
        ("https://example.com/", "https://example.com", true),
        ("https://example.com/", "https://example.com/", false),
        ("HTTPS://EXAMPLE.COM:443", "https://example.com", true),
        ("https://example.com:", "https://example.com", true),
        ("https://example.com:0443/", "https://example.com", true),
        ("http://localhost:8080", "http://localhost:8080", true),
        ("http://localhost:8080", "http://localhost", false),
        ("http://[::1]:8080", "http://[::1]:8080", true),
        ("https://*.example.com", "https://a.example.com", true),
        ("https://*.example.com", "https://A.EXAMPLE.com:443", true),
        ("https://*.example.com", "https://example.com", false),
        ("https://*.example.com", "https://.example.com", false),
        ("https://*.example.com", "https://a.b.example.com", false),
        ("https://*.example.com", "https://evilexample.com", false),
        ("https://*.example.com", "https://a.example.com.evil.test", false),
        ("https://*.example.com", "https://a.example.com:8443", false),
        ("https://*.example.com:8443", "https://a.example.com:8443", true),
        ("https://*.example.com", "http://a.example.com", false),
        ("null", "null", true),
        ("null", "https://example.com", false),
        ("file://", "file://", true),
        ("file://", "null", false),
        // pages of browser extensions and applications have schemes without a default port (RFC 6454 section 4)
        ("moz-extension://0a1b", "moz-extension://0a1b", true),
        ("moz-extension://0a1b", "moz-extension://0a1b:80", false),
        ("moz-extension://0a1b", "moz-extension://0a1c", false),
        ("moz-extension://0a1b", "chrome-extension://0a1b", false),
        ("app://example.com:80", "app://example.com:80", true),
        ("app://example.com:80", "app://example.com", false),
    ] {
        let policy = OriginPolicy::any_of([pattern]).unwrap();
        assert_eq!(policy.permits(&request("server.test", Some(origin))), expected, "{pattern} permits {origin}");
    }
}

#[test]
fn any_of_several() {
    let policy = OriginPolicy::any_of(["https://example.com".to_owned(), "null".to_owned()]).unwrap();
    for (origin, expected) in [("https://example.com", true), ("null", true), ("http://localhost", false)] {
        assert_eq!(policy.permits(&request("server.test", Some(origin))), expected, "{origin}");
    }
    let no_origin = OriginPolicy::any_of([""; 0]).unwrap();
    assert!(!no_origin.permits(&request("a", Some("http://a"))));
    assert_eq!(policy, OriginPolicy::any_of(["HTTPS://example.COM:443/", "Null"]).unwrap());
    let several = OriginPolicy::any_of(["https://*.example.com:8443", "null"]).unwrap();
    assert_eq!(format!("{several:?}"), "AnyOf(Origins([https://*.example.com:8443, null]))");
}

/// Text that users write in place of an origin, and the error messages.
#[test]
fn not_an_origin() {
    const HINT: &str = "; write scheme and host, such as \"https://example.com\" or \"https://example.com:8443\"";
    const SEVERAL: &str = "it is more than one; pass each origin separately";
    const WILDCARD: &str = "a wildcard stands for the first label of a host only, such as in \"https://*.example.com\"";
    let missing = |fault: &str| format!("the {fault} is missing{HINT}");
    let has = |fault: &str| format!("it has {fault}{HINT}");
    let port = || format!("the port is not a number from 1 to 65535{HINT}");
    let ascii = "the host is not ASCII, write it as browsers send it, such as \"xn--bcher-kva.example\"";
    for (text, message) in [
        ("", format!("it is empty{HINT}")),
        ("*", "to permit pages of any origin, use OriginPolicy::Any".into()),
        ("example.com", missing("scheme")),
        ("example.com:8080", missing("scheme")),
        ("//example.com", missing("scheme")),
        ("://example.com", missing("scheme")),
        ("1a://example.com", missing("scheme")),
        ("https://", missing("host")),
        ("https:///", missing("host")),
        ("https://:8080", missing("host")),
        ("https://a.test,https://b.test", SEVERAL.into()),
        ("https://a.test, https://b.test", SEVERAL.into()),
        ("https://a.test https://b.test", SEVERAL.into()),
        ("https://a.test;", SEVERAL.into()),
        (" https://example.com", has("a blank or a control character")),
        ("https://example.com\n", has("a blank or a control character")),
        ("https://exa mple.com", has("a blank or a control character")),
        ("https://example.com\0", has("a blank or a control character")),
        (" ", has("a blank or a control character")),
        ("https://example.com/chat", has("a path")),
        ("https://example.com//", has("a path")),
        ("https://example.com\\chat", has("a path")),
        ("https://example.com?a=b", has("a query")),
        ("https://example.com/?a=b", has("a path")),
        ("https://example.com#top", has("a fragment")),
        ("https://user@example.com", has("user information")),
        ("https://example.com:0", port()),
        ("https://example.com:65536", port()),
        ("https://example.com:http", port()),
        ("https://example.com:+1", port()),
        ("https://[::1]:http", port()),
        ("https://exam|ple.com", format!("the host is malformed{HINT}")),
        ("https://[::1", format!("the host is malformed{HINT}")),
        ("https://b\u{fc}cher.example", format!("{ascii}{HINT}")),
        ("wss://example.com", format!("browsers send the scheme of the page, which is http or https{HINT}")),
        ("https://*", WILDCARD.into()),
        ("https://*.", WILDCARD.into()),
        ("https://*.*.com", WILDCARD.into()),
        ("https://a.*.com", WILDCARD.into()),
        ("https://*a.example.com", WILDCARD.into()),
        ("https://*:8080", WILDCARD.into()),
        ("https://*.:8080", WILDCARD.into()),
        ("https://*.[::1]", WILDCARD.into()),
    ] {
        let error = OriginPolicy::any_of(["https://example.com", text]).unwrap_err();
        let shown = text.replace("user@", "<redacted>@");
        assert_eq!(error.to_string(), format!("{shown:?} is not an origin: {message}"));
        assert_eq!(error.origin(), shown);
        assert!(error.to_string().contains(&error.fault().to_string()));
    }
}

/// A request that was not checked may have several origins, and no host.
#[test]
fn unchecked() {
    let request =
        |fields: &[(&str, &str)]| Request::from_parts("GET", "/", HttpVersion::Http11, fields.iter().copied()).unwrap();
    for (fields, expected) in [
        (&[("Host", "a"), ("Origin", "http://a"), ("Origin", "http://b")][..], false),
        (&[("Host", "a"), ("Origin", "http://a"), ("Origin", "http://a")], true),
        (&[("Origin", "http://")], false),
        (&[("Host", ""), ("Origin", "http://")], false),
        (&[("Origin", "http://a")], false),
        (&[], true),
    ] {
        assert_eq!(OriginPolicy::SameOrigin.permits(&request(fields)), expected, "{fields:?}");
    }
}

/// Requests without an origin do not come from a browser, and are permitted.
#[test]
fn without_origin() {
    let request = request("example.com", None);
    assert!(OriginPolicy::SameOrigin.permits(&request));
    assert!(OriginPolicy::any_of(["https://example.com"]).unwrap().permits(&request));
}

/// The policy of the driver applies unless the answer has a policy.
#[test]
fn the_policy_of_a_driver() {
    let (any, same) = (OriginPolicy::Any, OriginPolicy::SameOrigin);
    let cases = [
        (Accept::new().default_origin(&any), true),
        (Accept::new().default_origin(&same), false),
        (Accept::new().default_origin(&same).default_origin(&any), false),
        (Accept::new().origin(any.clone()).default_origin(&same), true),
        (Accept::new().origin(same.clone()).default_origin(&any), false),
    ];
    for (accept, is_permitted) in cases {
        let mut server = server();
        receive(&mut server, request_with("", None, "Origin: http://evil.test\r\n").as_bytes()).unwrap();
        let expected = if is_permitted { Ok(()) } else { Err(AnswerError::OriginForbidden) };
        assert_eq!(server.accept(accept.clone(), NOW), expected, "{accept:?}");
    }
}

/// Other origins are refused by default with 403 (section 4.2.2), and no event follows.
#[test]
fn other_origins_are_refused_by_default() {
    let mut server = server();
    let events = receive(&mut server, request_with("", None, "Origin: http://evil.test\r\n").as_bytes()).unwrap();
    assert!(matches!(events[..], [Event::Request(_)]));
    assert_eq!(server.accept(Accept::new(), NOW), Err(AnswerError::OriginForbidden));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"));
    assert_eq!((server.ready_state(), server.transport()), (ReadyState::Closing, TransportAction::ShutdownWrite));
    assert_eq!(server.accept(Accept::new().origin(OriginPolicy::Any), NOW), Err(AnswerError::NoRequest));
    assert_eq!(receive(&mut server, b"more"), Ok(vec![]));
}
