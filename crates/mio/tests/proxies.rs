//! Clients of event loops behind proxies.

#[path = "../../tls/tests/authority/mod.rs"]
mod authority;
#[path = "../../connect/tests/proxies/mod.rs"]
mod proxies;
mod support;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use sansocket_mio::dial::{DialOptions, FailedLayer, ProxyFault, ProxyRules};
use sansocket_mio::tls::{CertificateProblem, ClientTls, ServerTls, TlsError};
use sansocket_mio::{CloseCode, Config, Connector, DialError, ListenOptions, Message};

use authority::*;
use proxies::*;
use support::*;

/// The name of the servers, which only the proxies reach.
const ORIGIN: &str = "server.example";

/// Runs an echo server, plain or over TLS with a certificate for `name`. Returns it and its address.
fn serve_echo(authority: &Authority, name: Option<&str>) -> (Running, SocketAddr) {
    let options = match name {
        Some(name) => ListenOptions::new().tls(ServerTls::new(authority.issue(name)).unwrap()),
        None => ListenOptions::new(),
    };
    let mut address = None;
    let listen = |event_loop: &mut sansocket_mio::EventLoop<Recorder>| {
        address = Some(event_loop.listen_with("127.0.0.1:0", &options).unwrap());
    };
    let server = run(&support::options(|_| ()), |_| (), listen);
    (server, address.unwrap())
}

fn connector(authority: &Authority, proxy: &str) -> Connector {
    let rules = ProxyRules::always(proxy.parse().unwrap());
    let tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    let config = Config::default().opening_timeout(BOUND);
    Connector::new().tls(tls).config(config).dial(DialOptions::default().proxies(rules))
}

/// Runs a client.
fn connect(connector: &Connector, url: &str) -> Running {
    let target = url.parse().unwrap();
    let connect = |event_loop: &mut sansocket_mio::EventLoop<Recorder>| {
        event_loop.connect_with(connector, target, ()).unwrap();
    };
    run(&options(|_| ()), |recorder| (recorder.echoes, recorder.reports_messages) = (false, true), connect)
}

/// Runs a client that cannot connect, and returns why.
fn error_of(connector: &Connector, url: &str) -> DialError {
    let client = connect(connector, url);
    let error = client.connect_error();
    client.stop();
    error
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

fn has_wrong_name(error: &io::Error) -> bool {
    let problem = TlsError::of(error);
    matches!(problem, Some(TlsError::Certificate { problem: CertificateProblem::WrongName { .. }, .. }))
}

fn check_echo(client: Running) {
    let id = client.open();
    for message in ["Hello", &"x".repeat(100_000)] {
        client.handle.send(id, message).unwrap();
        assert_eq!(client.message(), Message::from(message));
    }
    client.handle.close(id, CloseCode::NORMAL, "").unwrap();
    assert!(client.close().was_clean);
    client.stop();
}

fn proxy_tls(authority: &Authority, name: &str) -> Arc<ServerConfig> {
    Arc::clone(ServerTls::new(authority.issue(name)).unwrap().config())
}

#[test]
fn ws_and_wss_pass_through_proxies_of_all_kinds() {
    bounded(|| {
        let authority = Authority::new("the authority");
        for is_secure in [false, true] {
            let (_server, address) = serve_echo(&authority, is_secure.then_some(ORIGIN));
            let (scheme, port) = if is_secure { ("wss", 443) } else { ("ws", 80) };
            let url = format!("{scheme}://{ORIGIN}/");
            let proxies = [
                (Proxy::http(address), "http", Some("Basic dXNlcjpzZWNyZXQ=")),
                (Proxy::https(address, proxy_tls(&authority, "127.0.0.1")), "https", Some("Basic dXNlcjpzZWNyZXQ=")),
                (Proxy::socks5(address, true), "socks5h", Some("user:secret")),
            ];
            for (proxy, proxy_scheme, credentials) in proxies {
                check_echo(connect(&connector(&authority, &proxy.url(proxy_scheme, "user:secret@")), &url));
                let credentials = credentials.map(str::to_owned);
                assert_eq!(proxy.asked(), Asked { destination: format!("{ORIGIN}:{port}"), credentials });
            }
            // the client looks up the name, and the certificate is for the name all the same
            let proxy = Proxy::socks5(address, false);
            check_echo(connect(&connector(&authority, &proxy.url("socks5", "")).addresses([address]), &url));
            assert_eq!(proxy.asked(), Asked { destination: address.to_string(), credentials: None });
        }
    });
}

#[test]
fn the_certificate_is_checked_against_the_name_of_the_server() {
    bounded(|| {
        let authority = Authority::new("the authority");
        // a server with the certificate of the proxy
        let (_server, address) = serve_echo(&authority, Some("127.0.0.1"));
        let proxies = [
            (Proxy::http(address), "http"),
            (Proxy::https(address, proxy_tls(&authority, "127.0.0.1")), "https"),
            (Proxy::socks5(address, false), "socks5h"),
        ];
        for (proxy, scheme) in proxies {
            let error = error_of(&connector(&authority, &proxy.url(scheme, "")), &format!("wss://{ORIGIN}/"));
            assert!(matches!(&error, DialError::Tls { error, .. } if has_wrong_name(error)), "{error}");
        }
        // a proxy with the certificate of the server
        let (_server, address) = serve_echo(&authority, Some(ORIGIN));
        let proxy = Proxy::https(address, proxy_tls(&authority, ORIGIN));
        let error = error_of(&connector(&authority, &proxy.url("https", "")), &format!("wss://{ORIGIN}/"));
        assert!(matches!(fault(error), ProxyFault::Tls { error, .. } if has_wrong_name(&error)));
    });
}

#[test]
fn refusals_and_rejected_credentials_are_explained_and_not_shown() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let basic = "Proxy-Authenticate: Basic realm=\"a\"\r\n";
        let http = |status: u16| {
            Proxy::answering(format!("HTTP/1.1 {status} No\r\n{basic}Content-Length: 0\r\n\r\n"), usize::MAX)
        };
        let tls = proxy_tls(&authority, "127.0.0.1");
        let over_tls = Proxy::answering_over_tls(format!("HTTP/1.1 407 No\r\n{basic}\r\n"), tls);
        let (_server, address) = serve_echo(&authority, None);
        for (proxy, scheme, user_info, words) in [
            (http(407), "http", "", "requires credentials"),
            (http(407), "http", "user:secretly@", "does not accept the user name and the password"),
            (over_tls, "https", "user:secretly@", "does not accept the user name and the password"),
            (
                Proxy::socks5(address, true),
                "socks5h",
                "user:secretly@",
                "does not accept the user name and the password",
            ),
            (http(403), "http", "user:secret@", "status 403: it does not permit"),
            (http(502), "http", "user:secret@", "status 502: it cannot reach the server"),
            (Proxy::sending([5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]), "socks5h", "", "SOCKS reply 2: it does not permit"),
            (Proxy::sending([5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0]), "socks5h", "", "SOCKS reply 5: the server refused"),
        ] {
            let error = error_of(&connector(&authority, &proxy.url(scheme, user_info)), "ws://server.example/");
            assert!(error.to_string().contains(words), "{error}");
            fault(error);
        }
    });
}

#[test]
fn bytes_behind_the_answer_of_the_proxy_belong_to_the_server() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let answer = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let proxies = || {
            let tls = proxy_tls(&authority, "127.0.0.1");
            [(Proxy::answering(answer, usize::MAX), "http"), (Proxy::answering_over_tls(answer, tls), "https")]
        };
        for (proxy, scheme) in proxies() {
            let error = error_of(&connector(&authority, &proxy.url(scheme, "")), "ws://server.example/");
            assert_eq!(error.response().map(|response| response.status()), Some(404), "{error}");
        }
        for (proxy, scheme) in proxies() {
            let error = error_of(&connector(&authority, &proxy.url(scheme, "")), "wss://server.example/");
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
        let http_error =
            |proxy: &Proxy| error_of(&connector(&authority, &proxy.url("http", "")), "ws://server.example/");
        for end in 0..ANSWER.len() {
            assert!(matches!(fault(http_error(&Proxy::answering(&ANSWER.as_bytes()[..end], 1))), ProxyFault::Ended));
        }
        for garbage in [vec![0; 100], vec![b'x'; 1 << 20]] {
            fault(http_error(&Proxy::answering(garbage, usize::MAX)));
        }
        let error = http_error(&Proxy::answering("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n", 1024));
        assert!(matches!(fault(error), ProxyFault::CredentialsMissing));
        let answer = format!("{ANSWER}HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
        for piece in [1, usize::MAX] {
            let error = http_error(&Proxy::answering(answer.clone(), piece));
            assert_eq!(error.response().map(|response| response.status()), Some(404), "{error}");
        }
        for (scheme, sent) in [("http", &b""[..]), ("http", b"HTTP/1.1 200 OK\r\n"), ("https", b""), ("socks5h", &[5])]
        {
            let connector = connector(&authority, &Proxy::resetting(sent).url(scheme, ""));
            let error = error_of(&connector, "ws://server.example/");
            let (ProxyFault::Io(error) | ProxyFault::Tls { error, .. }) = fault(error) else { panic!("{scheme}") };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{scheme}, {sent:?}");
        }
        let silent = connector(&authority, &Proxy::silent().url("http", ""));
        let hasty = silent.config(Config::default().opening_timeout(SHORT));
        let error = error_of(&hasty, "ws://server.example/");
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Proxy, .. }), "{error:?}");
    });
}
