//! Clients behind proxies: HTTP CONNECT, over TCP and TLS, and SOCKS5.

#[path = "../../tls/tests/authority/mod.rs"]
mod authority;
#[path = "../../connect/tests/proxies/mod.rs"]
mod proxies;
mod support;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use rustls::ServerConfig;
use sansocket_net::dial::{DialOptions, FailedLayer, NoProxy, ProxyFault, ProxyRules};
use sansocket_net::tls::{CertificateProblem, ClientTls, ServerTls, TlsError};
use sansocket_net::{Acceptor, Config, Connector, DialError, Message, WebSocket};

use authority::*;
use proxies::*;
use support::*;

/// The name of the servers, which only the proxies reach.
const ORIGIN: &str = "server.example";

/// An echo server, plain or over TLS with a certificate for `name`.
fn serve_echo(authority: &Authority, name: Option<&str>) -> SocketAddr {
    let mut acceptor = Acceptor::new();
    if let Some(name) = name {
        acceptor = acceptor.tls(ServerTls::new(authority.issue(name)).unwrap());
    }
    let (listener, address) = listen_with(acceptor);
    thread::spawn(move || {
        for incoming in listener.incoming().flatten() {
            thread::spawn(move || incoming.accept().map(echo));
        }
    });
    address
}

fn connector(authority: &Authority, proxy: &str) -> Connector {
    let rules = ProxyRules::always(proxy.parse().unwrap());
    let tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    Connector::new().tls(tls).dial(DialOptions::default().proxies(rules))
}

fn check_echo(mut ws: WebSocket) {
    for message in ["Hello", &"x".repeat(100_000)] {
        ws.send(message).unwrap();
        assert_eq!(support::message(&mut ws), Message::from(message));
    }
    assert!(ws.finish().unwrap().was_clean);
}

fn proxy_tls(authority: &Authority, name: &str) -> Arc<ServerConfig> {
    Arc::clone(ServerTls::new(authority.issue(name)).unwrap().config())
}

/// Returns the fault of the proxy. The texts of the error have no password, nor the Basic credentials in Base64.
fn fault(error: DialError) -> ProxyFault {
    assert_eq!(error.layer(), Some(FailedLayer::Proxy));
    let texts = format!("{error} {error:?}");
    assert!(!texts.contains("secret") && !texts.contains("dXNlcjpzZWNyZX"), "{texts}");
    match error {
        DialError::Proxy { fault, .. } => *fault,
        error => panic!("{error:?}"),
    }
}

#[test]
fn ws_and_wss_pass_through_proxies_of_all_kinds() {
    bounded(|| {
        let authority = Authority::new("the authority");
        for is_secure in [false, true] {
            let server = serve_echo(&authority, is_secure.then_some(ORIGIN));
            let (scheme, port) = if is_secure { ("wss", 443) } else { ("ws", 80) };
            let url = format!("{scheme}://{ORIGIN}/");
            let name = format!("{ORIGIN}:{port}");
            let connect = |proxy: &str| connector(&authority, proxy).connect(&url).unwrap();

            let proxy = Proxy::http(server);
            check_echo(connect(&proxy.url("http", "")));
            assert_eq!(proxy.asked(), Asked { destination: name.clone(), credentials: None });

            let proxy = Proxy::https(server, proxy_tls(&authority, "127.0.0.1"));
            check_echo(connect(&proxy.url("https", "user:secret@")));
            let credentials = Some("Basic dXNlcjpzZWNyZXQ=".to_owned());
            assert_eq!(proxy.asked(), Asked { destination: name.clone(), credentials });

            let proxy = Proxy::socks5(server, false);
            check_echo(connect(&proxy.url("socks5h", "")));
            assert_eq!(proxy.asked(), Asked { destination: name.clone(), credentials: None });

            // the client looks up the name, and the certificate is for the name all the same
            let proxy = Proxy::socks5(server, true);
            let connector = connector(&authority, &proxy.url("socks5", "user:secret@")).addresses([server]);
            check_echo(connector.connect(&url).unwrap());
            let credentials = Some("user:secret".to_owned());
            assert_eq!(proxy.asked(), Asked { destination: server.to_string(), credentials });
        }
    });
}

#[test]
fn the_certificate_is_checked_against_the_name_of_the_server_and_that_of_the_proxy_against_the_proxys() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let wrong_name = |error: &std::io::Error| {
            matches!(
                TlsError::of(error),
                Some(TlsError::Certificate { problem: CertificateProblem::WrongName { .. }, .. })
            )
        };
        // a server with the certificate of the proxy
        let server = serve_echo(&authority, Some("127.0.0.1"));
        let proxies = [
            (Proxy::http(server), "http"),
            (Proxy::https(server, proxy_tls(&authority, "127.0.0.1")), "https"),
            (Proxy::socks5(server, false), "socks5h"),
        ];
        for (proxy, scheme) in proxies {
            let error = connector(&authority, &proxy.url(scheme, "")).connect(&format!("wss://{ORIGIN}/")).unwrap_err();
            assert_eq!(error.layer(), Some(FailedLayer::Tls));
            assert!(matches!(&error, DialError::Tls { error, .. } if wrong_name(error)), "{error}");
        }
        // a proxy with the certificate of the server
        let server = serve_echo(&authority, Some(ORIGIN));
        let proxy = Proxy::https(server, proxy_tls(&authority, ORIGIN));
        let error = connector(&authority, &proxy.url("https", "")).connect(&format!("wss://{ORIGIN}/")).unwrap_err();
        assert!(matches!(fault(error), ProxyFault::Tls { error, .. } if wrong_name(&error)));
    });
}

#[test]
fn refusals_are_explained() {
    bounded(|| {
        let authority = Authority::new("the authority");
        for (status, words) in [
            (
                "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"a\"",
                ["requires credentials", "user:password"],
            ),
            ("403 Forbidden", ["403", "does not permit"]),
            ("502 Bad Gateway", ["502", "cannot reach the server"]),
        ] {
            let proxy = Proxy::answering(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), 1024);
            let error = connector(&authority, &proxy.url("http", "")).connect("ws://server.example/").unwrap_err();
            let text = error.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
            fault(error);
        }
        let server = serve_echo(&authority, None);
        let proxy = Proxy::socks5(server, true);
        for user_info in ["", "user:secretly@"] {
            let error = connector(&authority, &proxy.url("socks5h", user_info)).connect("ws://server.example/");
            fault(error.unwrap_err());
        }
    });
}

#[test]
fn rejected_credentials_are_reported_and_not_shown() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let answer = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\r\n";
        let proxies = [
            (Proxy::answering(answer, usize::MAX), "http"),
            (Proxy::answering_over_tls(answer, proxy_tls(&authority, "127.0.0.1")), "https"),
            (Proxy::socks5(serve_echo(&authority, None), true), "socks5h"),
        ];
        for (proxy, scheme) in proxies {
            let connector = connector(&authority, &proxy.url(scheme, "user:secretly@"));
            let error = connector.connect("ws://server.example/").unwrap_err();
            assert!(error.is_permanent(), "{error}");
            assert!(matches!(fault(error), ProxyFault::CredentialsRejected), "{scheme}");
        }
    });
}

#[test]
fn bytes_behind_the_answer_of_the_proxy_belong_to_the_server() {
    bounded(|| {
        let authority = Authority::new("the authority");
        // a server that speaks first, and that the proxy has read together with its own answer
        let refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{refusal}");
        let proxies = || {
            let tls = proxy_tls(&authority, "127.0.0.1");
            [
                (Proxy::answering(answer.clone(), usize::MAX), "http"),
                (Proxy::answering_over_tls(answer.clone(), tls), "https"),
            ]
        };
        for (proxy, scheme) in proxies() {
            let error = connector(&authority, &proxy.url(scheme, "")).connect("ws://server.example/").unwrap_err();
            assert_eq!(error.response().map(|response| response.status()), Some(404), "{error}");
        }
        for (proxy, scheme) in proxies() {
            let error = connector(&authority, &proxy.url(scheme, "")).connect("wss://server.example/").unwrap_err();
            let DialError::Tls { error, .. } = &error else { panic!("{error:?}") };
            assert!(matches!(TlsError::of(error), Some(TlsError::PlainHttp { .. })), "{error}");
        }
    });
}

#[test]
fn hostile_proxies_end_in_errors_of_the_proxy() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n";
    bounded(|| {
        let authority = Authority::new("the authority");
        let connect =
            |proxy: &Proxy| connector(&authority, &proxy.url("http", "")).connect("ws://server.example/").unwrap_err();
        for end in 0..ANSWER.len() {
            let error = connect(&Proxy::answering(&ANSWER.as_bytes()[..end], 1));
            assert!(matches!(fault(error), ProxyFault::Ended), "cut after {end} bytes");
        }
        for garbage in [vec![0; 100], b"SSH-2.0-x\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]] {
            fault(connect(&Proxy::answering(garbage, usize::MAX)));
        }
        let huge = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(1 << 18)].concat();
        fault(connect(&Proxy::answering(huge, usize::MAX)));
        let hasty = Config::default().opening_timeout(SHORT);
        let silent = connector(&authority, &Proxy::silent().url("http", "")).config(hasty);
        let error = silent.connect("ws://server.example/").unwrap_err();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Proxy, .. }), "{error:?}");
        // one byte at a time is slow, and no fault
        let error = connect(&Proxy::answering(format!("{ANSWER}HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), 1));
        assert_eq!(error.response().map(|response| response.status()), Some(404), "{error}");
    });
}

/// RFC 1928 section 6.
#[test]
fn refusals_of_socks5_are_explained() {
    bounded(|| {
        let authority = Authority::new("the authority");
        for (code, words) in [
            (1, "general failure"),
            (2, "does not permit"),
            (3, "no route"),
            (4, "cannot reach the server"),
            (5, "refused the connection"),
            (6, "timed out"),
            (7, "does not support CONNECT"),
            (8, "type of address"),
            (9, "does not define"),
        ] {
            let proxy = Proxy::sending([5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
            let error = connector(&authority, &proxy.url("socks5h", "")).connect("ws://server.example/").unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("SOCKS reply {code}")) && text.contains(words), "{text}");
            assert_eq!(error.is_permanent(), code == 2, "{text}");
            assert!(matches!(fault(error), ProxyFault::SocksRefused(_)));
        }
    });
}

#[test]
fn hostile_proxies_of_other_kinds_end_in_errors_of_the_proxy() {
    const ANSWER: [u8; 12] = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bounded(|| {
        let authority = Authority::new("the authority");
        let connect = |proxy: &Proxy, scheme: &str| {
            connector(&authority, &proxy.url(scheme, "")).connect("ws://server.example/").unwrap_err()
        };
        for end in 0..ANSWER.len() {
            let error = connect(&Proxy::sending(&ANSWER[..end]), "socks5h");
            assert!(matches!(fault(error), ProxyFault::Ended), "cut after {end} bytes");
        }
        for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[4, 0], &[0x16, 3, 1], &[5, 0, 5, 0, 0, 7, 0]] {
            fault(connect(&Proxy::sending(garbage), "socks5h"));
        }
        for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0; 100], &[0x16, 3, 3, 0xff, 0xff], &[]] {
            assert!(matches!(fault(connect(&Proxy::sending(garbage), "https")), ProxyFault::Tls { .. }));
        }
        for scheme in ["https", "socks5", "socks5h"] {
            let hasty = Config::default().opening_timeout(SHORT);
            let silent = connector(&authority, &Proxy::silent().url(scheme, "")).config(hasty);
            let error = silent.connect("ws://127.0.0.1:1/").unwrap_err();
            assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Proxy, .. }), "{scheme}: {error:?}");
        }
    });
}

#[test]
fn a_reset_by_the_proxy_is_an_error_of_the_proxy() {
    bounded(|| {
        let authority = Authority::new("the authority");
        for (scheme, sent) in [
            ("http", &b""[..]),
            ("http", b"HTTP/1.1 200 OK\r\n"),
            ("https", b""),
            ("https", &[0x16, 3, 3]),
            ("socks5h", b""),
            ("socks5h", &[5]),
        ] {
            let proxy = Proxy::resetting(sent);
            let error = connector(&authority, &proxy.url(scheme, "")).connect("ws://server.example/").unwrap_err();
            assert!(!error.is_permanent(), "{error}");
            let (ProxyFault::Io(error) | ProxyFault::Tls { error, .. }) = fault(error) else { panic!("{scheme}") };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{scheme}, {sent:?}");
        }
    });
}

#[test]
fn variables_select_the_proxy_of_wss_and_its_exceptions() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (server, plain_server) = (serve_echo(&authority, Some(ORIGIN)), serve_echo(&authority, None));
        let proxy = Proxy::http(server);
        let connector = |address: SocketAddr, no_proxy: &str| {
            let variables = HashMap::from([("https_proxy", proxy.url("http", "")), ("no_proxy", no_proxy.to_owned())]);
            let rules = ProxyRules::from_environment(|name| variables.get(name).cloned());
            let tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
            Connector::new().tls(tls).addresses([address]).dial(DialOptions::default().proxies(rules))
        };
        let wss = format!("wss://{ORIGIN}/");
        check_echo(connector(server, "other.example").connect(&wss).unwrap());
        assert_eq!(proxy.asked(), Asked { destination: format!("{ORIGIN}:443"), credentials: None });
        check_echo(connector(server, ORIGIN).connect(&wss).unwrap());
        assert!(!proxy.has_been_asked(), "the exception");
        check_echo(connector(plain_server, "other.example").connect(&format!("ws://{ORIGIN}/")).unwrap());
        assert!(!proxy.has_been_asked(), "no variable for ws");
    });
}

#[test]
fn a_host_in_no_proxy_is_reached_directly() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let address = serve_echo(&authority, None);
        let rules = ProxyRules::always(Proxy::silent().url("http", "").parse().unwrap());
        let rules = rules.no_proxy(NoProxy::new("127.0.0.1"));
        let connector = Connector::new().dial(DialOptions::default().proxies(rules));
        check_echo(connector.connect(&url(address)).unwrap());
    });
}
