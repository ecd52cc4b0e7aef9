//! Proxies that are asked with CONNECT, RFC 9110 section 9.3.6.

use sansocket::RequestTemplate;
use sansocket_dial::{DialError, DialOptions, Opening, Proxy, ProxyFault, ProxyRules};

use crate::support::{Log, World, dial, dial_with, run};

fn via(proxy: &str) -> DialOptions {
    DialOptions::default().proxies(ProxyRules::always(proxy.parse::<Proxy>().unwrap()))
}

/// Connects to a server through the proxy, which sends this answer.
fn answer(proxy: &str, url: &str, answer: &[u8]) -> (Log, Result<Opening, DialError>) {
    let world = World { proxy: vec![answer.to_vec()], ..World::default() };
    run(&mut dial(url, via(proxy)), &world)
}

/// Returns the reason why the proxy gives no connection, and the text of the error.
fn fault(proxy: &str, bytes: &[u8]) -> (ProxyFault, String) {
    let error = answer(proxy, "ws://example.com/", bytes).1.unwrap_err();
    let text = error.to_string();
    match error {
        DialError::Proxy { fault, .. } => (*fault, text),
        error => panic!("{error:?}"),
    }
}

#[test]
fn connect_names_the_server_and_the_websocket_follows() {
    let (log, result) = answer("http://192.0.2.9:3128", "ws://example.com/chat", b"HTTP/1.1 200 OK\r\n\r\n");
    let opening = result.unwrap();
    assert_eq!(
        log,
        [
            "0 connect 192.0.2.9:3128",
            "0 use 192.0.2.9:3128",
            r"0 write CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
        ]
    );
    assert_eq!(opening.request.uri().to_string(), "ws://example.com/chat");
    assert_eq!(opening.leftover, "");
}

#[test]
fn ipv6_addresses_have_brackets() {
    let (log, _) = answer("http://192.0.2.9", "ws://[2001:db8::1]:9001/", b"HTTP/1.1 200 OK\r\n\r\n");
    assert!(log[2].contains("CONNECT [2001:db8::1]:9001 HTTP/1.1"), "{log:?}");
    assert_eq!(log[0], "0 connect 192.0.2.9:1080");
}

#[test]
fn tls_to_the_server_is_inside_the_tunnel_with_the_servers_name() {
    let (log, result) = answer("http://192.0.2.9:3128", "wss://example.com/", b"HTTP/1.1 200 OK\r\n\r\n");
    result.unwrap();
    assert_eq!(log[3..], ["0 tls server example.com"]);
}

#[test]
fn tls_to_the_proxy_comes_first_with_the_proxys_name() {
    let world = World {
        names: vec![("proxy.example:443", &["192.0.2.9:443"])],
        proxy: vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()],
        ..World::default()
    };
    let (log, result) = run(&mut dial("wss://example.com/", via("https://proxy.example")), &world);
    result.unwrap();
    assert_eq!(
        log,
        [
            "0 resolve proxy.example:443",
            "0 connect 192.0.2.9:443",
            "0 use 192.0.2.9:443",
            "0 tls proxy proxy.example",
            r"0 write CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
            "0 tls server example.com",
        ]
    );
}

#[test]
fn credentials_are_sent_with_the_basic_scheme() {
    let proxy = "http://user%40home:p%3Ass@192.0.2.9:3128";
    let (log, result) = answer(proxy, "ws://example.com/", b"HTTP/1.1 200 OK\r\n\r\n");
    result.unwrap();
    // base64 of user@home:p:ss
    assert!(log[2].contains(r"\r\nProxy-Authorization: Basic dXNlckBob21lOnA6c3M=\r\n"), "{log:?}");
}

#[test]
fn the_user_agent_of_the_request_is_sent_to_the_proxy() {
    let template = RequestTemplate::new().header("user-agent", "agent/1").header("Cookie", "secret");
    let world = World { proxy: vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()], ..World::default() };
    let (log, _) = run(&mut dial_with("ws://example.com/", template, via("192.0.2.9:3128")), &world);
    assert!(log[2].ends_with(r"\r\nUser-Agent: agent/1\r\n\r\n") && !log[2].contains("secret"), "{log:?}");
}

#[test]
fn bytes_behind_the_response_are_passed_on() {
    let response = b"HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\n\r\nHTTP/1.1 101 Switching";
    let (_, result) = answer("http://192.0.2.9:3128", "ws://example.com/", response);
    assert_eq!(result.unwrap().leftover, "HTTP/1.1 101 Switching");
}

#[test]
fn any_2xx_and_http_1_0_and_interim_responses_are_accepted() {
    let responses: [&[u8]; 5] = [
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 200 OK\nVia: proxy\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    for response in responses {
        let (_, result) = answer("http://192.0.2.9:3128", "ws://example.com/", response);
        assert_eq!(result.unwrap().leftover, "", "{}", response.escape_ascii());
    }
}

#[test]
fn a_407_says_whether_credentials_are_missing_wrong_or_unsupported() {
    let basic = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Digest a=b, Basic realm=x\r\n\r\n";
    let (missing, text) = fault("http://192.0.2.9:3128", basic);
    assert!(matches!(missing, ProxyFault::CredentialsMissing));
    assert_eq!(
        text,
        "proxy http://192.0.2.9:3128: it requires credentials: write them in its URL, such as \
         http://user:password@proxy.example:3128"
    );
    let (rejected, text) = fault("http://user:hunter2@192.0.2.9:3128", basic);
    assert!(matches!(rejected, ProxyFault::CredentialsRejected));
    assert!(!text.contains("hunter2") && !text.contains("user:"), "{text}");
    let unauthorized = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
    assert!(matches!(fault("http://user:hunter2@192.0.2.9:3128", unauthorized).0, ProxyFault::CredentialsRejected));
    let negotiate = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n";
    assert!(matches!(fault("http://192.0.2.9:3128", negotiate).0, ProxyFault::BasicNotOffered));
}

#[test]
fn other_refusals_are_explained() {
    for (status, advice) in
        [(403, "see its rules"), (405, "another proxy"), (502, "check the server's name"), (302, "see its log")]
    {
        let (fault, text) = fault("http://192.0.2.9:3128", format!("HTTP/1.1 {status} No\r\n\r\n").as_bytes());
        assert!(matches!(fault, ProxyFault::Refused { status: other } if other == status));
        assert!(text.starts_with("proxy http://192.0.2.9:3128: status ") && text.contains(advice), "{text}");
    }
    assert!(matches!(
        fault("http://192.0.2.9:3128", b"HTTP/1.1 101 Switching Protocols\r\n\r\n").0,
        ProxyFault::Refused { status: 101 }
    ));
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let world = World { names: vec![("proxy.example:3128", &[])], ..World::default() };
    let error = run(&mut dial("ws://example.com/", via("proxy.example:3128")), &world).1.unwrap_err();
    let text = "proxy http://proxy.example:3128: no address for its host: the name has no address; check the name";
    assert_eq!(error.to_string(), text);
}

#[test]
fn an_address_with_a_zone_cannot_be_reached_through_a_proxy() {
    let options = via("192.0.2.9:3128").connect_to("[fe80::1%eth0]:80".parse::<sansocket_dial::Destination>().unwrap());
    let error = run(&mut dial("ws://example.com/", options), &World::default()).1.unwrap_err();
    assert!(matches!(error, DialError::Proxy { fault, .. } if matches!(*fault, ProxyFault::ZoneUnsupported)));
}
