//! SOCKS5 proxies, RFC 1928 and RFC 1929.

use sansocket_dial::{DialError, DialOptions, Proxy, ProxyFault, ProxyRules, SocksReply};

use crate::support::{World, dial, run};

const NO_PASSWORD: &[u8] = b"\x05\x00";
const CONNECTED: &[u8] = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";

fn via(proxy: &str) -> DialOptions {
    DialOptions::default().proxies(ProxyRules::always(proxy.parse::<Proxy>().unwrap()))
}

/// A proxy whose answers arrive one by one.
fn world(answers: &[&[u8]]) -> World {
    let pieces = answers.iter().map(|answer| answer.len()).collect();
    World { proxy: vec![answers.concat()], pieces, ..World::default() }
}

fn fault(proxy: &str, bytes: &[u8]) -> ProxyFault {
    match run(&mut dial("ws://example.com/", via(proxy)), &world(&[bytes])).1 {
        Err(DialError::Proxy { fault, .. }) => *fault,
        result => panic!("{result:?}"),
    }
}

#[test]
fn socks5h_leaves_the_lookup_to_the_proxy() {
    let world = world(&[NO_PASSWORD, &[CONNECTED, b"HTTP"].concat()]);
    let (log, result) = run(&mut dial("ws://example.com:9001/", via("socks5h://192.0.2.9")), &world);
    assert_eq!(result.unwrap().leftover, "HTTP");
    assert_eq!(
        log,
        [
            "0 connect 192.0.2.9:1080",
            "0 use 192.0.2.9:1080",
            r"0 write \x05\x01\x00",
            r"0 write \x05\x01\x00\x03\x0bexample.com#)",
        ]
    );
}

#[test]
fn socks5_looks_up_the_server_first() {
    let world = World { names: vec![("example.com:80", &["192.0.2.1:80"])], ..world(&[NO_PASSWORD, CONNECTED]) };
    let (log, result) = run(&mut dial("ws://example.com/", via("socks5://192.0.2.9")), &world);
    result.unwrap();
    assert_eq!(
        log,
        [
            "0 resolve example.com:80",
            "0 connect 192.0.2.9:1080",
            "0 use 192.0.2.9:1080",
            r"0 write \x05\x01\x00",
            r"0 write \x05\x01\x00\x01\xc0\x00\x02\x01\x00P",
        ]
    );
}

#[test]
fn socks5_tries_the_next_address_when_the_proxy_cannot_reach_one() {
    let refused = [NO_PASSWORD, b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"].concat();
    let world = World {
        names: vec![
            ("example.com:80", &["[2001:db8::1]:80", "192.0.2.1:80"]),
            ("proxy.example:1080", &["192.0.2.9:1080"]),
        ],
        proxy: vec![refused.clone(), [NO_PASSWORD, CONNECTED].concat()],
        pieces: vec![2, 100],
        ..World::default()
    };
    let (log, result) = run(&mut dial("ws://example.com/", via("socks5://proxy.example")), &world);
    result.unwrap();
    assert!(log[5].starts_with(r"0 write \x05\x01\x00\x04 \x01\r\xb8\x00"), "{log:?}");
    assert_eq!(
        log[6..],
        [
            "0 abandon the transport",
            "0 connect 192.0.2.9:1080",
            "0 use 192.0.2.9:1080",
            r"0 write \x05\x01\x00",
            r"0 write \x05\x01\x00\x01\xc0\x00\x02\x01\x00P",
        ]
    );
    let world = World { proxy: vec![refused.clone(), refused], ..world };
    let error = run(&mut dial("ws://example.com/", via("socks5://proxy.example")), &world).1.unwrap_err();
    assert!(error.to_string().contains("SOCKS reply 5: the server refused the connection"), "{error}");
}

#[test]
fn a_server_name_that_cannot_be_looked_up_is_no_fault_of_the_proxy() {
    let (_, result) = run(&mut dial("ws://example.com/", via("socks5://192.0.2.9")), &World::default());
    assert!(matches!(result, Err(DialError::Name { host, .. }) if host == "example.com"));
}

#[test]
fn a_password_is_sent_if_the_proxy_asks_for_it() {
    let proxy = "socks5h://user:secret@192.0.2.9";
    let with_password = world(&[b"\x05\x02", b"\x01\x00", CONNECTED]);
    let (log, result) = run(&mut dial("ws://example.com/", via(proxy)), &with_password);
    result.unwrap();
    assert_eq!(log[2..4], [r"0 write \x05\x02\x00\x02", r"0 write \x01\x04user\x06secret"]);
    let (log, result) = run(&mut dial("ws://example.com/", via(proxy)), &world(&[NO_PASSWORD, CONNECTED]));
    result.unwrap();
    assert!(!log.iter().any(|line| line.contains("secret")), "{log:?}");
}

#[test]
fn a_password_that_is_missing_or_wrong_is_explained() {
    assert!(matches!(fault("socks5h://192.0.2.9", b"\x05\xff"), ProxyFault::CredentialsMissing));
    assert!(matches!(fault("socks5h://192.0.2.9", b"\x05\x02"), ProxyFault::CredentialsMissing));
    assert!(matches!(fault("socks5h://u:p@192.0.2.9", b"\x05\x02\x01\x01"), ProxyFault::CredentialsRejected));
    assert!(matches!(fault("socks5h://u:p@192.0.2.9", b"\x05\xff"), ProxyFault::MethodUnsupported { method: 0xff }));
    assert!(matches!(fault("socks5h://u:p@192.0.2.9", b"\x05\x01"), ProxyFault::MethodUnsupported { method: 1 }));
}

#[test]
fn every_reply_code_is_explained() {
    for code in 1..=255_u8 {
        let error = fault("socks5h://192.0.2.9", &[NO_PASSWORD, &[5, code, 0, 1, 0, 0, 0, 0, 0, 0]].concat());
        let text = error.to_string();
        assert!(text.starts_with(&format!("SOCKS reply {code}")), "{text}");
        let ProxyFault::SocksRefused(reply) = error else { panic!("{text}") };
        assert_eq!(reply == SocksReply::Other(code), code > 8);
    }
}

#[test]
fn the_address_in_the_reply_may_be_of_any_type() {
    let replies: [&[u8]; 3] = [
        CONNECTED,
        b"\x05\x00\x00\x03\x04host\x00\x50",
        b"\x05\x00\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50",
    ];
    for reply in replies {
        let world = world(&[NO_PASSWORD, &[reply, b"rest"].concat()]);
        let (_, result) = run(&mut dial("ws://example.com/", via("socks5h://192.0.2.9")), &world);
        assert_eq!(result.unwrap().leftover, "rest");
    }
    let unknown = fault("socks5h://192.0.2.9", b"\x05\x00\x05\x00\x00\x02");
    assert!(matches!(unknown, ProxyFault::AddressTypeUnknown { address_type: 2 }));
}

#[test]
fn names_and_credentials_have_at_most_255_bytes() {
    let long = "a".repeat(256);
    let proxy = format!("socks5h://{long}@192.0.2.9");
    assert!(matches!(fault(&proxy, b""), ProxyFault::CredentialsTooLong));
    let proxy = format!("socks5h://{}@192.0.2.9", &long[1..]);
    assert!(matches!(fault(&proxy, b"\x05\xff"), ProxyFault::MethodUnsupported { .. }));
    let url = format!("ws://{long}/");
    let (_, result) = run(&mut dial(&url, via("socks5h://192.0.2.9")), &World::default());
    assert!(matches!(result, Err(DialError::Proxy { fault, .. }) if matches!(*fault, ProxyFault::NameTooLong)));
}
