//! Redirects, RFC 9110 section 15.4.

use sansocket::{Instant, RequestTemplate};
use sansocket_dial::{Destination, Dial, DialError, DialOptions, Opening, RedirectError};

use crate::support::{Log, World, dial, dial_with, headers, refused, run};

fn following(limit: u32) -> DialOptions {
    DialOptions::default().max_redirects(limit)
}

/// Answers the opening handshake with a redirect. Returns what happens then.
fn redirect(dial: &mut Dial, location: &str) -> (Log, Result<Opening, DialError>) {
    run(dial, &World::default()).1.unwrap();
    dial.opening_failed(refused(302, &[("Location", location)]));
    run(dial, &World::default())
}

/// Returns the URL that a redirect leads to, and the error if it is not followed.
fn followed(url: &str, location: &str) -> Result<String, String> {
    let (_, result) = redirect(&mut dial(url, following(5)), location);
    result.map(|opening| opening.request.uri().to_string()).map_err(|error| error.to_string())
}

#[test]
fn each_status_that_redirects_is_followed() {
    for status in 300..400 {
        let mut dial = dial("ws://192.0.2.1/", following(5));
        run(&mut dial, &World::default()).1.unwrap();
        dial.opening_failed(refused(status, &[("Location", "/next")]));
        let result = run(&mut dial, &World::default()).1;
        match status {
            301 | 302 | 303 | 307 | 308 => assert_eq!(result.unwrap().request.uri().resource_name(), "/next"),
            _ => assert!(matches!(result, Err(DialError::Opening(_))), "{status}"),
        }
    }
}

#[test]
fn locations_are_resolved_and_their_schemes_are_mapped() {
    for (url, location, expected) in [
        ("ws://192.0.2.1/a/b?c", "/d?e", "ws://192.0.2.1/d?e"),
        ("ws://192.0.2.1/a/b?c", "d", "ws://192.0.2.1/a/d"),
        ("ws://192.0.2.1/a/b?c", "../d", "ws://192.0.2.1/d"),
        ("ws://192.0.2.1/a/b?c", "?d", "ws://192.0.2.1/a/b?d"),
        ("ws://192.0.2.1/a", "//192.0.2.2/b", "ws://192.0.2.2/b"),
        ("wss://192.0.2.1/a", "//192.0.2.2/b", "wss://192.0.2.2/b"),
        ("ws://192.0.2.1/a", "http://192.0.2.2:81/b#fragment", "ws://192.0.2.2:81/b"),
        ("ws://192.0.2.1/a", "HTTPS://192.0.2.1/", "wss://192.0.2.1/"),
        ("ws://192.0.2.1/a", "wss://192.0.2.1/", "wss://192.0.2.1/"),
        ("wss://192.0.2.1/a", "ws://192.0.2.1:443/", "error"),
        ("ws://192.0.2.1/a", "ftp://192.0.2.1/", "error"),
        ("ws://192.0.2.1/a", "http://[::1/", "error"),
        ("ws://192.0.2.1/a", "a b", "error"),
        ("ws://192.0.2.1/a", "http://:80/", "error"),
    ] {
        let result = followed(url, location);
        assert_eq!(result.as_deref().unwrap_or("error"), expected, "{url} {location} {result:?}");
    }
}

#[test]
fn without_permission_a_redirect_is_a_refusal() {
    let mut dial = dial("ws://192.0.2.1/", DialOptions::default());
    let error = redirect(&mut dial, "/next").1.unwrap_err();
    let text = "HTTP: the server refused the opening handshake with status 302: it redirects: allow redirects \
                (`max_redirects`), or correct the URL";
    assert_eq!(error.to_string(), text);
    assert_eq!(error.response().unwrap().headers().get("Location"), Some("/next"));
}

#[test]
fn the_number_of_redirects_is_limited() {
    let mut dial = dial("ws://192.0.2.1/", following(2));
    redirect(&mut dial, "/1").1.unwrap();
    dial.opening_failed(refused(307, &[("Location", "/2")]));
    run(&mut dial, &World::default()).1.unwrap();
    dial.opening_failed(refused(307, &[("Location", "/3")]));
    let error = run(&mut dial, &World::default()).1.unwrap_err();
    let text = "HTTP: the server redirects again, to ws://192.0.2.1/3; the limit (`max_redirects`) is 2";
    assert_eq!(error.to_string(), text);
}

#[test]
fn loops_are_detected() {
    let itself = followed("ws://192.0.2.1/a", "/a").unwrap_err();
    assert!(itself.ends_with("its redirects form a loop"), "{itself}");
    let mut dial = dial("ws://192.0.2.1/a", following(5));
    redirect(&mut dial, "/b").1.unwrap();
    dial.opening_failed(refused(307, &[("Location", "http://192.0.2.1:80/a")]));
    let result = run(&mut dial, &World::default()).1;
    assert!(
        matches!(result, Err(DialError::Redirect(RedirectError::Loop { location })) if location == "ws://192.0.2.1/a")
    );
}

#[test]
fn encryption_is_given_up_only_with_permission() {
    let error = followed("wss://192.0.2.1/", "http://u:hunter2@192.0.2.1/").unwrap_err();
    assert!(
        error.starts_with("HTTP: the server redirects from wss to ws://192.0.2.1/, which is not encrypted"),
        "{error}"
    );
    assert!(!error.contains("hunter2"));
    let mut dial = dial("wss://192.0.2.1/", following(5).allow_insecure_redirects(true));
    let opening = redirect(&mut dial, "ws://192.0.2.1/").1.unwrap();
    assert_eq!(opening.request.uri().to_string(), "ws://192.0.2.1/");
}

#[test]
fn a_location_that_is_missing_is_reported() {
    let mut dial = dial("ws://192.0.2.1/", following(5));
    run(&mut dial, &World::default()).1.unwrap();
    dial.opening_failed(refused(302, &[]));
    let error = run(&mut dial, &World::default()).1.unwrap_err();
    assert!(matches!(error, DialError::Redirect(RedirectError::LocationMissing)));
}

/// Returns the names of the header fields that are sent after a redirect.
fn names(location: &str) -> Vec<String> {
    let fields = [
        ("Authorization", "a"),
        ("COOKIE", "a=b"),
        ("Proxy-Authorization", "a"),
        ("Proxy-Anything", "a"),
        ("User-Agent", "agent/1"),
        ("Origin", "https://example.com"),
    ];
    let template = fields.iter().fold(RequestTemplate::new(), |all, (name, value)| all.header(*name, *value));
    let (_, result) = redirect(&mut dial_with("ws://192.0.2.1/", template, following(5)), location);
    headers(&result.unwrap()).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn credentials_stay_with_their_origin() {
    let all = ["Host", "Authorization", "COOKIE", "Proxy-Authorization", "Proxy-Anything", "User-Agent", "Origin"];
    assert_eq!(names("/next"), all);
    assert_eq!(names("http://192.0.2.1:80/next"), all);
    for other in ["ws://192.0.2.2/", "wss://192.0.2.1/", "ws://192.0.2.1:81/"] {
        assert_eq!(names(other), ["Host", "User-Agent", "Origin"], "{other}");
    }
}

#[test]
fn credentials_do_not_return_after_a_visit_to_another_origin() {
    let mut dial = dial("ws://user:password@192.0.2.1/", following(5));
    assert_eq!(headers(&redirect(&mut dial, "ws://192.0.2.2/").1.unwrap()).len(), 1);
    dial.opening_failed(refused(302, &[("Location", "ws://192.0.2.1/back")]));
    assert_eq!(headers(&run(&mut dial, &World::default()).1.unwrap()).len(), 1);
}

#[test]
fn credentials_in_the_location_are_used() {
    let (_, result) = redirect(&mut dial("ws://192.0.2.1/", following(5)), "ws://Aladdin:open%20sesame@192.0.2.2/");
    assert_eq!(headers(&result.unwrap())[1].1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

#[test]
fn connect_to_and_host_stay_with_their_origin() {
    let options = following(5).connect_to("192.0.2.8:80".parse::<Destination>().unwrap()).host("other".to_owned());
    let (log, result) = redirect(&mut dial("ws://192.0.2.1/", options.clone()), "/next");
    assert_eq!((log[0].as_str(), headers(&result.unwrap())[0].1.as_str()), ("0 connect 192.0.2.8:80", "other"));
    let (log, result) = redirect(&mut dial("ws://192.0.2.1/", options), "ws://192.0.2.2/");
    assert_eq!((log[0].as_str(), headers(&result.unwrap())[0].1.as_str()), ("0 connect 192.0.2.2:80", "192.0.2.2"));
}

#[test]
fn a_redirect_stays_on_a_unix_socket_unless_it_names_another_origin() {
    for (location, expected) in [
        ("/next", "0 connect /run/s"),
        ("http://localhost/next", "0 connect /run/s"),
        ("ws://192.0.2.1/", "0 connect 192.0.2.1:80"),
    ] {
        let (log, result) = redirect(&mut dial("ws+unix:/run/s", following(5)), location);
        result.unwrap();
        assert_eq!(log[0], expected);
    }
}

#[test]
fn the_opening_timeout_covers_all_redirects() {
    let mut dial = dial("ws://192.0.2.1/", following(5));
    let deadline = dial.deadline();
    redirect(&mut dial, "/next").1.unwrap();
    assert_eq!(dial.deadline(), deadline);
    assert_eq!(dial.target().to_string(), "ws://192.0.2.1/next");
    let error = dial.next_action(Instant::EPOCH + crate::support::OPENING_TIMEOUT).unwrap_err();
    assert!(error.to_string().starts_with("HTTP: timed out: no connection within 10s (`opening_timeout`)"), "{error}");
}
