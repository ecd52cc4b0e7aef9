//! What URLs and options say about the connection and the request.

use sansocket::{RequestTemplate, UriError};
use sansocket_dial::{
    Credentials, CredentialsError, Destination, DestinationError, DialError, DialOptions, Endpoint, Proxy,
    ProxyUrlError, Target, TargetError,
};

use crate::support::{World, addresses, dial, dial_with, headers, run};

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn credentials_of_the_url_become_basic_authorization() {
    // the first is the example of RFC 7617 section 2
    for (url, basic) in [
        ("ws://Aladdin:open%20sesame@192.0.2.1/", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("ws://user@192.0.2.1/", "Basic dXNlcjo="),
        ("ws://a@b:c@192.0.2.1/", "Basic YUBiOmM="),
        ("ws://us%C3%A9r:p%3Aw@192.0.2.1/", "Basic dXPDqXI6cDp3"),
    ] {
        let opening = run(&mut dial(url, DialOptions::default()), &World::default()).1.unwrap();
        assert_eq!(headers(&opening), [pair("Host", "192.0.2.1"), pair("Authorization", basic)], "{url}");
    }
}

#[test]
fn a_header_field_of_the_application_outranks_the_url() {
    let template = RequestTemplate::new().header("authorization", "Bearer 1");
    let mut dial = dial_with("ws://user:password@192.0.2.1/", template, DialOptions::default());
    let opening = run(&mut dial, &World::default()).1.unwrap();
    assert_eq!(headers(&opening)[1..], [pair("authorization", "Bearer 1")]);
}

#[test]
fn credentials_are_never_printed() {
    const SECRETS: [&str; 5] = ["hunter2", "aladdin", "YWxhZGRpbjpodW50ZXIy", "aunter", "%68unter2"];
    let url = "wss://aladdin:%68unter2@example.com/";
    let target: Target = url.parse().unwrap();
    let proxy: Proxy = "http://aladdin:hunter2@192.0.2.9".parse().unwrap();
    let rules = sansocket_dial::ProxyRules::always(proxy.clone());
    let mut dial = dial(url, DialOptions::default().proxies(rules));
    let mut texts = vec![format!("{target:?} {target} {proxy:?} {proxy} {dial:?}")];
    for _ in 0..3 {
        let action = dial.next_action(sansocket::Instant::EPOCH).unwrap();
        if let sansocket_dial::Action::Connect { attempt, .. } = action {
            dial.connected(attempt);
        }
        texts.push(format!("{action:?} {dial:?}"));
    }
    let socks: Proxy = "socks5h://aladdin:hunter2@192.0.2.9".parse().unwrap();
    let options = DialOptions::default().proxies(sansocket_dial::ProxyRules::always(socks));
    let mut dial = self::dial("ws://example.com/", options);
    let world = World { proxy: vec![b"\x05\x02\x01\x01".to_vec()], ..World::default() };
    texts.push(format!("{:?} {dial:?}", run(&mut dial, &world).1));
    for bad in ["ws://aladdin:hunter2%@x/", "ws://aladdin:hunter2@x/#f", "ws:aladdin:hunter2@x", "aladdin:hunter2@x"] {
        let error = bad.parse::<Target>().unwrap_err();
        texts.push(format!("{error:?} {error} {}", DialError::from(error.clone())));
        let error = bad.replace("ws://", "http://").parse::<Proxy>();
        texts.push(format!("{error:?}"));
    }
    for text in texts {
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[test]
fn credentials_that_cannot_be_sent_are_refused() {
    let error = |url: &str| url.parse::<Target>().unwrap_err();
    let invalid = TargetError::Credentials(CredentialsError::PercentEncodingInvalid);
    for url in ["ws://%4@x/", "ws://u:%zz@x/", "ws://%ff@x/", "ws://u%@x/"] {
        assert_eq!(error(url), invalid, "{url}");
    }
    assert_eq!(error("ws://u:%0a@x/"), TargetError::Credentials(CredentialsError::HasControlCharacter));
    assert_eq!(error("ws://a%3Ab:c@x/"), TargetError::Credentials(CredentialsError::UserHasColon));
    assert_eq!(Credentials::new("a:b", ""), Err(CredentialsError::UserHasColon));
}

#[test]
fn positions_in_errors_are_those_of_the_url() {
    let position = |url: &str| match url.parse::<Target>().unwrap_err() {
        TargetError::Uri(
            UriError::CharacterInvalid { position, character } | UriError::CharacterNotEncoded { position, character },
        ) => (position, character),
        error => panic!("{error:?}"),
    };
    for url in [
        "ws://example.com/a b",
        "ws://u:p@example.com/a b",
        "ws://u:p@exa mple.com/",
        "ws+unix:/run/s:/a b",
        "ws+unix:///run/s:/a b",
    ] {
        assert_eq!(position(url), (url.find(' ').unwrap(), ' '), "{url}");
    }
}

#[test]
fn unix_sockets_are_connected_to_by_path() {
    for (url, path, uri) in [
        ("ws+unix:/run/chat.sock", "/run/chat.sock", "ws://localhost/"),
        ("ws+unix:/run/chat.sock:/rooms?id=1", "/run/chat.sock", "ws://localhost/rooms?id=1"),
        ("WS+UNIX:///run/chat.sock:?id=1:2", "/run/chat.sock", "ws://localhost/?id=1:2"),
        ("ws+unix:/run/a%3Ab%25c d:/", "/run/a:b%c d", "ws://localhost/"),
    ] {
        let (log, result) = run(&mut dial(url, DialOptions::default()), &World::default());
        let opening = result.unwrap();
        assert_eq!(log, [format!("0 connect {path}"), format!("0 use {path}")]);
        assert_eq!(opening.request.uri().to_string(), uri);
    }
    for (url, error) in [
        ("ws+unix:run/chat.sock", TargetError::UnixPathNotAbsolute),
        ("ws+unix://host/chat.sock", TargetError::UnixPathNotAbsolute),
        ("ws+unix:", TargetError::UnixPathNotAbsolute),
        ("ws+unix:/run/%zz", TargetError::UnixPathInvalid),
        ("ws+unix:/run/%00", TargetError::UnixPathInvalid),
        ("ws+unix:/run/chat.sock:80", TargetError::UnixResourceInvalid),
        ("ws+unix:/run/chat.sock:/#f", TargetError::Uri(UriError::Fragment)),
    ] {
        assert_eq!(url.parse::<Target>(), Err(error), "{url}");
    }
}

#[test]
fn a_unix_socket_that_cannot_be_reached_is_named() {
    let mut dial = dial("ws+unix:/run/chat.sock", DialOptions::default());
    match dial.next_action(sansocket::Instant::EPOCH) {
        Ok(sansocket_dial::Action::Connect { attempt, endpoint: Endpoint::Unix(_) }) => {
            dial.connect_failed(attempt, std::io::ErrorKind::NotFound.into());
        }
        action => panic!("{action:?}"),
    }
    let error = dial.next_action(sansocket::Instant::EPOCH).unwrap_err();
    let text = "Unix socket: /run/chat.sock: entity not found; check the path, and that a server listens there";
    assert_eq!(error.to_string(), text);
}

#[test]
fn connect_to_replaces_the_address_but_not_the_name() {
    let options = DialOptions::default().connect_to("[fe80::1%eth0]:8443".parse::<Destination>().unwrap());
    let world = World { names: vec![("[fe80::1%eth0]:8443", &["[fe80::1%2]:8443"])], ..World::default() };
    let (log, result) = run(&mut dial("wss://example.com/chat", options), &world);
    assert_eq!(headers(&result.unwrap()), [pair("Host", "example.com")]);
    assert_eq!(
        log,
        [
            "0 resolve [fe80::1%eth0]:8443",
            "0 connect [fe80::1%2]:8443",
            "0 use [fe80::1%2]:8443",
            "0 tls server example.com",
        ]
    );
    let options = DialOptions::default().connect_to(Destination::from(addresses(&["192.0.2.1:80"])[0]));
    let (log, _) = run(&mut dial("ws://example.com/", options), &World::default());
    assert_eq!(log[0], "0 connect 192.0.2.1:80");
}

#[test]
fn destinations_are_hosts_with_ports() {
    let parsed = |text: &str| text.parse::<Destination>().map(|destination| destination.to_string());
    for (text, expected) in [
        ("Example.com:80", "example.com:80"),
        ("192.0.2.1:1", "192.0.2.1:1"),
        ("[2001:DB8::1]:65535", "[2001:db8::1]:65535"),
        ("[fe80:0::1%eth0]:80", "[fe80::1%eth0]:80"),
    ] {
        assert_eq!(parsed(text).unwrap(), expected);
    }
    for text in [
        "example.com",
        "[::1]",
        "[::1%]:80",
        "[x%eth0]:80",
        "[::1%a b]:80",
        "a:0",
        "a:65536",
        "a:+1",
        "a:x",
        ":80",
        "",
        "a/b:80",
        "u@a:80",
        "a b:80",
        "::1",
        "[::1:80",
    ] {
        assert!(parsed(text).is_err(), "{text}");
    }
    assert_eq!("example.com".parse::<Destination>(), Err(DestinationError::PortMissing));
    let with_scope = "[fe80::1%3]:80".parse::<std::net::SocketAddr>().unwrap();
    assert_eq!(Destination::from(with_scope).to_string(), "[fe80::1%3]:80");
}

#[test]
fn proxies_are_urls_with_defaults() {
    let parsed = |text: &str| text.parse::<Proxy>().map(|proxy| proxy.to_string());
    for (text, expected) in [
        ("proxy.example", "http://proxy.example:1080"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("user:password@proxy.example/", "http://proxy.example:1080"),
        ("HTTPS://proxy.example", "https://proxy.example:443"),
        ("socks5://[::1]", "socks5://[::1]:1080"),
        ("socks5h://proxy.example:9050/path", "socks5h://proxy.example:9050"),
    ] {
        assert_eq!(parsed(text).unwrap(), expected);
    }
    assert_eq!(parsed("socks4://proxy.example"), Err(ProxyUrlError::SchemeUnknown));
    assert!(parsed("http://").is_err() && parsed("http://a b").is_err());
}

#[test]
fn host_replaces_the_value_of_the_header_field() {
    let options = DialOptions::default().host("other.example:8080".to_owned());
    let opening = run(&mut dial("ws://192.0.2.1/", options), &World::default()).1.unwrap();
    assert_eq!(headers(&opening), [pair("Host", "other.example:8080")]);
    let options = DialOptions::default().host("a\r\nX: b".to_owned());
    let result = sansocket_dial::Dial::new(
        "ws://192.0.2.1/".parse().unwrap(),
        RequestTemplate::new(),
        options,
        crate::support::OPENING_TIMEOUT,
        sansocket::Instant::EPOCH,
    );
    assert!(matches!(result, Err(DialError::Request(_))));
}

#[cfg(feature = "idna")]
#[test]
fn hosts_outside_ascii_are_converted() {
    let target: Target = "ws://u:p@b\u{fc}cher.example/".parse().unwrap();
    assert_eq!(target.uri().host(), "xn--bcher-kva.example");
}
