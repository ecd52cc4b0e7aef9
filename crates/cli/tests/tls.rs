//! `wss` with `serve` and `connect`.

mod support;

use std::path::PathBuf;

use support::{Running, with_each_server};

/// Starts a server with a self-signed certificate. Returns it, its URL and the fingerprint.
fn serve_self_signed(kind: &str) -> (Running, String, String) {
    let server = Running::start(&["serve", "127.0.0.1:0", kind, "--tls-self-signed"]);
    let line = server.stdout_line();
    let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("not listening: {line}")).to_owned();
    let line = server.stdout_line();
    let fingerprint = line.strip_prefix("self-signed certificate, SHA-256 fingerprint ").unwrap().to_owned();
    (server, url, fingerprint)
}

#[test]
fn a_self_signed_server_prints_its_fingerprint_and_echoes_to_an_insecure_client_which_is_warned() {
    with_each_server(|kind| {
        let (_server, url, fingerprint) = serve_self_signed(kind);
        assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
        let bytes: Vec<_> = fingerprint.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(bytes.len(), 32);
        let mut client = Running::start(&["connect", &url, "--insecure"]);
        client.type_line("Hello");
        client.end_stdin();
        let ended = client.end();
        assert_eq!((ended.code(), &ended.stdout[..]), (0, &["Hello".to_owned()][..]), "{ended:?}");
        assert!(ended.stderr[0].starts_with("WARNING: --insecure: "), "{ended:?}");
        assert_eq!(ended.stderr[1], format!("opened: {url}/"));
    });
}

#[test]
fn a_client_refuses_a_self_signed_certificate() {
    let (_server, url, _) = serve_self_signed("--mio");
    let ended = Running::start(&["connect", &url]).end();
    let [line] = &ended.stderr[..] else { panic!("not one line: {ended:?}") };
    assert_eq!(ended.code(), 1, "{line}");
    assert!(line.starts_with(&format!("error: {url}/: TLS: 127.0.0.1: ")), "{line}");
}

#[test]
fn plain_clients_and_servers_learn_that_the_other_end_speaks_tls() {
    let (_server, url, _) = serve_self_signed("--mio");
    let ended = Running::start(&["connect", &url.replace("wss", "ws")]).end();
    assert!(ended.stderr[0].contains("TLS"), "{ended:?}");
    let (_server, address) = Running::serve(&[]);
    let ended = Running::start(&["connect", &format!("wss://{address}/"), "--insecure"]).end();
    assert!(ended.stderr[1].contains("speaks HTTP without TLS") || ended.stderr[1].contains("ws://"), "{ended:?}");
}

/// Files that are removed at the end of a test.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sansocket-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_certificate_from_files_is_trusted_with_its_authority() {
    let files = Files::new("certificate");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let cert = files.write("cert.pem", &certificate.pem());
    let key = files.write("key.pem", &key.serialize_pem());
    let server = Running::start(&["serve", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key]);
    let url = server.stdout_line().strip_prefix("listening on ").unwrap().to_owned();
    let mut client = Running::start(&["connect", &url, "--tls-ca", &cert]);
    client.type_line("Hello");
    client.end_stdin();
    let ended = client.end();
    assert_eq!((ended.code(), &ended.stdout[..]), (0, &["Hello".to_owned()][..]), "{ended:?}");
}

#[test]
fn bad_files_are_one_clear_line() {
    let files = Files::new("bad");
    let empty = files.write("empty.pem", "");
    let missing = files.0.join("missing.pem");
    let missing = missing.to_str().unwrap();
    for (arguments, words) in [
        (vec!["serve", "127.0.0.1:0", "--tls-cert", missing, "--tls-key", missing], ["cannot read", "missing.pem"]),
        (vec!["serve", "127.0.0.1:0", "--tls-cert", &empty, "--tls-key", &empty], ["PEM", "no "]),
        (vec!["connect", "wss://127.0.0.1:1/", "--tls-ca", missing], ["cannot read", "missing.pem"]),
        (vec!["connect", "wss://127.0.0.1:1/", "--tls-ca", &empty], ["PEM", "no certificate"]),
    ] {
        let ended = Running::start(&arguments).end();
        let [line] = &ended.stderr[..] else { panic!("not one line: {ended:?}") };
        assert!(ended.code() == 1 && words.iter().all(|word| line.contains(word)), "{arguments:?}: {line}");
    }
    let ended = Running::start(&["serve", "127.0.0.1:0", "--tls-cert", &empty]).end();
    assert!(ended.code() == 1 && ended.stderr.join("\n").contains("--tls-key"), "{ended:?}");
}
