//! Clients behind proxies of others: tinyproxy (CONNECT) and microsocks (SOCKS5). A proxy that is not installed is
//! skipped, unless the variable CI is `true`.

#[path = "../../tls/tests/authority/mod.rs"]
mod authority;
mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::dial::{DialOptions, FailedLayer, ProxyFault, ProxyRules, SocksReply};
use sansocket_net::tls::{ClientTls, ServerTls};
use sansocket_net::{Acceptor, Connector, DialError, Message};

use authority::*;
use support::*;

/// A running proxy, which is killed when dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // both fail only if the process has ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a proxy on a free port, and waits until it listens. Returns `None` if it is not installed.
fn start(command: impl FnOnce(SocketAddr) -> Command) -> Option<Proxy> {
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let mut command = command(address);
    let child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = command.get_program().display();
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{name} is missing");
            eprintln!("skipped: {name} is not installed");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let proxy = Proxy { child, address };
    let deadline = Instant::now() + BOUND;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the proxy does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    Some(proxy)
}

/// Echoes `ws` and `wss` messages through the proxy, with the right credentials, and checks that missing and wrong ones
/// are faults which are explained so, and that a server that does not listen is one for which `is_unreachable` holds.
fn check(proxy: &Proxy, scheme: &str, is_missing: fn(&ProxyFault) -> bool, is_unreachable: fn(&ProxyFault) -> bool) {
    let authority = Authority::new("the authority");
    let connect = |user_info: &str, url: &str| {
        let rules = ProxyRules::always(format!("{scheme}://{user_info}{}", proxy.address).parse().unwrap());
        let tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
        Connector::new().tls(tls).dial(DialOptions::default().proxies(rules)).connect(url)
    };
    for is_secure in [false, true] {
        let mut acceptor = Acceptor::new();
        if is_secure {
            acceptor = acceptor.tls(ServerTls::new(authority.issue("127.0.0.1")).unwrap());
        }
        let (listener, address) = listen_with(acceptor);
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let url = format!("{}://{address}/", if is_secure { "wss" } else { "ws" });
        let mut ws = connect("user:secret@", &url).unwrap();
        for message in ["Hello", &"x".repeat(100_000)] {
            ws.send(message).unwrap();
            assert_eq!(support::message(&mut ws), Message::from(message));
        }
        assert!(ws.finish().unwrap().was_clean);
        assert!(server.join().was_clean);
    }
    let fault = |user_info: &str, url: &str| {
        let error = connect(user_info, url).unwrap_err();
        let texts = format!("{error} {error:?}");
        assert!(!texts.contains("secret") && !texts.contains("dXNlcjpzZWNyZX"), "{texts}");
        assert_eq!(error.layer(), Some(FailedLayer::Proxy), "{texts}");
        let DialError::Proxy { fault, .. } = error else { panic!("{texts}") };
        *fault
    };
    // a server that listens: only the credentials can be at fault
    let (_listener, address) = listen();
    let missing = fault("", &url(address));
    assert!(is_missing(&missing), "{missing:?}");
    let rejected = fault("user:secretly@", &url(address));
    assert!(matches!(rejected, ProxyFault::CredentialsRejected), "{rejected:?}");
    // a port in use, without a listener
    let unrelated = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = TcpStream::connect(unrelated.local_addr().unwrap()).unwrap();
    let unreachable = fault("user:secret@", &url(in_use.local_addr().unwrap()));
    assert!(is_unreachable(&unreachable), "{unreachable:?}");
}

/// The configuration file of tinyproxy, which is removed at the end.
struct ConfigFile(PathBuf);

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn tinyproxy_connects() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("sansocket-net-tinyproxy-{}.conf", std::process::id()));
        let file = ConfigFile(path);
        let proxy = start(|address| {
            let settings = format!(
                "Port {}\nListen {}\nTimeout 30\nAllow 127.0.0.1\nBasicAuth user secret\nLogLevel Critical\n",
                address.port(),
                address.ip()
            );
            std::fs::write(&file.0, settings).unwrap();
            let mut command = Command::new("tinyproxy");
            command.arg("-d").arg("-c").arg(&file.0);
            command
        });
        if let Some(proxy) = proxy {
            check(
                &proxy,
                "http",
                |fault| matches!(fault, ProxyFault::CredentialsMissing),
                |fault| matches!(fault, ProxyFault::Refused { status: 500..=504 }),
            );
        }
    });
}

#[test]
fn microsocks_connects() {
    bounded(|| {
        let proxy = start(|address| {
            let mut command = Command::new("microsocks");
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            command.args(["-i", &ip, "-p", &port, "-u", "user", "-P", "secret"]);
            command
        });
        if let Some(proxy) = proxy {
            for scheme in ["socks5", "socks5h"] {
                check(
                    &proxy,
                    scheme,
                    |fault| matches!(fault, ProxyFault::MethodUnsupported { .. } | ProxyFault::CredentialsMissing),
                    |fault| matches!(fault, ProxyFault::SocksRefused(SocksReply::ConnectionRefused)),
                );
            }
        }
    });
}
