//! Clients of event loops behind proxies.

#[path = "../../tls/tests/authority/mod.rs"]
mod authority;
#[path = "../../connect/tests/proxies/mod.rs"]
mod proxies;
mod support;

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

/// Runs a client behind a proxy.
fn connect(authority: &Authority, proxy: &str, url: &str) -> Running {
    let rules = ProxyRules::always(proxy.parse().unwrap());
    let tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    let config = Config::default().opening_timeout(if proxy.contains("silent") { SHORT } else { BOUND });
    let connector = Connector::new().tls(tls).config(config).dial(DialOptions::default().proxies(rules));
    let target = url.parse().unwrap();
    let connect = |event_loop: &mut sansocket_mio::EventLoop<Recorder>| {
        event_loop.connect_with(&connector, target, ()).unwrap();
    };
    run(&options(|_| ()), |recorder| (recorder.echoes, recorder.reports_messages) = (false, true), connect)
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
                check_echo(connect(&authority, &proxy.url(proxy_scheme, "user:secret@"), &url));
                let credentials = credentials.map(str::to_owned);
                assert_eq!(proxy.asked(), Asked { destination: format!("{ORIGIN}:{port}"), credentials });
            }
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
            let client = connect(&authority, &proxy.url(scheme, ""), &format!("wss://{ORIGIN}/"));
            let error = client.connect_error();
            let DialError::Tls { error, .. } = &error else { panic!("{error:?}") };
            let problem = TlsError::of(error);
            assert!(
                matches!(problem, Some(TlsError::Certificate { problem: CertificateProblem::WrongName { .. }, .. })),
                "{error}"
            );
            client.stop();
        }
    });
}

#[test]
fn hostile_proxies_end_in_errors_of_the_proxy() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n";
    bounded(|| {
        let authority = Authority::new("the authority");
        let error_of = |proxy: &Proxy| {
            let client = connect(&authority, &proxy.url("http", ""), "ws://server.example/");
            let error = client.connect_error();
            client.stop();
            error
        };
        let fault = |error| match error {
            DialError::Proxy { fault, .. } => *fault,
            error => panic!("{error:?}"),
        };
        for end in 0..ANSWER.len() {
            assert!(matches!(fault(error_of(&Proxy::answering(&ANSWER.as_bytes()[..end], 1))), ProxyFault::Ended));
        }
        for garbage in [vec![0; 100], vec![b'x'; 1 << 20]] {
            fault(error_of(&Proxy::answering(garbage, usize::MAX)));
        }
        let error = error_of(&Proxy::answering("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n", 1024));
        assert!(matches!(fault(error), ProxyFault::CredentialsMissing));
        let answer = format!("{ANSWER}HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
        for piece in [1, usize::MAX] {
            let error = error_of(&Proxy::answering(answer.clone(), piece));
            assert_eq!(error.response().map(|response| response.status()), Some(404), "{error}");
        }
        let client = connect(&authority, &Proxy::silent().url("http", "silent@"), "ws://server.example/");
        let error = client.connect_error();
        assert!(matches!(error, DialError::TimedOut { layer: FailedLayer::Proxy, .. }), "{error:?}");
    });
}
