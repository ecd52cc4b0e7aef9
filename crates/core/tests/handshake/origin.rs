//! Origins (RFC 6455 sections 4.2.2 and 10.2). CVE-2023-26114, CVE-2025-24010, CVE-2026-44514, CVE-2026-44211: a page of
//! another site must not open a connection unless the application says so.

use sansocket::{Accept, AnswerError, Event, OriginPolicy, ReadyState, Request, TransportAction};

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

#[test]
fn any_of() {
    let policy = OriginPolicy::AnyOf(vec!["https://example.com".into(), "http://localhost:8080".into(), "null".into()]);
    for (origin, expected) in [
        ("https://example.com", true),
        ("HTTPS://Example.com:443", true),
        ("http://localhost:8080", true),
        ("null", true),
        ("http://example.com", false),
        ("https://example.com:444", false),
        ("http://localhost", false),
        ("https://evil.test", false),
        ("", false),
    ] {
        assert_eq!(policy.permits(&request("server.test", Some(origin))), expected, "{origin}");
    }
    assert!(!OriginPolicy::AnyOf(vec![]).permits(&request("a", Some("http://a"))));
}

/// Pages of browser extensions and of applications have schemes that no port belongs to (RFC 6454 section 4).
#[test]
fn a_scheme_without_default_port() {
    let policy = OriginPolicy::AnyOf(vec!["moz-extension://0a1b".into(), "app://example.com:80".into()]);
    for (origin, expected) in [
        ("moz-extension://0a1b", true),
        ("moz-extension://0a1b:80", false),
        ("moz-extension://0a1c", false),
        ("chrome-extension://0a1b", false),
        ("app://example.com:80", true),
        ("app://example.com", false),
    ] {
        assert_eq!(policy.permits(&request("server.test", Some(origin))), expected, "{origin}");
    }
}

/// Only browsers send it, and only they have a reason to.
#[test]
fn without_origin() {
    let request = request("example.com", None);
    assert!(OriginPolicy::SameOrigin.permits(&request));
    assert!(OriginPolicy::AnyOf(vec![]).permits(&request));
}

/// The default is to refuse: 403 (section 4.2.2), and nothing more is heard of it.
#[test]
fn refused_unless_said_otherwise() {
    let mut server = server();
    let events = receive(&mut server, request_with("", None, "Origin: http://evil.test\r\n").as_bytes()).unwrap();
    assert!(matches!(events[..], [Event::Request(_)]));
    assert_eq!(server.accept(Accept::new(), NOW), Err(AnswerError::OriginForbidden));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"));
    assert_eq!((server.ready_state(), server.transport()), (ReadyState::Closing, TransportAction::ShutdownWrite));
    assert_eq!(server.accept(Accept::new().origin(OriginPolicy::Any), NOW), Err(AnswerError::NoRequest));
    assert_eq!(receive(&mut server, b"more"), Ok(vec![]));
}
