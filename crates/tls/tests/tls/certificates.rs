//! Certificates of servers and of clients: each problem has its own error, and the peer receives an alert.

use std::sync::Arc;

use rustls::AlertDescription as Alert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sansocket::Role;
use sansocket_tls::rustls;
use sansocket_tls::{CertificateProblem, CertificateStore, ClientTls, Identity, Roots, ServerTls, TlsError};

use crate::support::{Authority, Configs, NAME, pair, receive, self_signed, shake_hands, written};

/// Returns the errors of a client that trusts `roots` and connects to `name`, and of a server with this certificate.
fn errors(roots: Roots, identity: Identity, name: &str) -> [Option<TlsError>; 2] {
    let client_tls = ClientTls::builder().only_roots(roots).build().unwrap();
    let mut client = client_tls.layer(name).unwrap();
    shake_hands(&mut client, &mut ServerTls::new(identity).unwrap().layer())
}

/// Checks that the client reports this problem, in these words, and that the server receives this alert.
fn check(
    [client, server]: [Option<TlsError>; 2],
    is_expected: fn(&CertificateProblem) -> bool,
    words: &[&str],
    alert: Alert,
) {
    let error = client.expect("the client accepts the certificate");
    let message = error.to_string();
    let TlsError::Certificate { owner: Role::Server, problem } = error else { panic!("{message}") };
    assert!(is_expected(&problem), "{message}");
    assert!(message.starts_with("TLS: the server's certificate "), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    let received = server.expect("the server gets an alert");
    assert!(
        matches!(&received, TlsError::AlertReceived { sender: Role::Client, alert: received } if *received == alert),
        "{received:?}"
    );
}

#[test]
fn each_problem_of_a_server_certificate_has_its_own_error_and_alert() {
    let authority = Authority::new("authority");
    check(
        errors(authority.roots(), authority.issue("other.example"), NAME),
        |problem| matches!(problem, CertificateProblem::WrongName { .. }),
        &["is not valid for server.example, but for other.example: "],
        Alert::BadCertificate,
    );
    check(
        errors(authority.roots(), authority.issue_between(NAME, 2001, 2002), NAME),
        |problem| matches!(problem, CertificateProblem::Expired { since: Some(since) } if since.as_secs() > 86_400),
        &["expired", "days ago", "renew"],
        Alert::CertificateExpired,
    );
    check(
        errors(authority.roots(), authority.issue_between(NAME, 3000, 4000), NAME),
        |problem| matches!(problem, CertificateProblem::NotYetValid { until: Some(_) }),
        &["not valid yet", "clock"],
        Alert::CertificateExpired,
    );
    check(
        errors(authority.roots(), Authority::new("another authority").issue(NAME), NAME),
        |problem| matches!(problem, CertificateProblem::UnknownAuthority),
        &["authority that this end does not trust"],
        Alert::UnknownCA,
    );
    for is_ca in [false, true] {
        check(
            errors(authority.roots(), self_signed(NAME, is_ca), NAME),
            |problem| matches!(problem, CertificateProblem::SelfSigned),
            &["self-signed"],
            Alert::CertificateUnknown,
        );
    }
}

#[test]
fn a_self_signed_certificate_among_the_roots_is_accepted() {
    let certificate = sansocket_tls::SelfSigned::new([NAME]).unwrap();
    assert!(matches!(errors(certificate.roots(), certificate.identity, NAME), [None, None]));
}

#[test]
fn a_client_can_accept_any_certificate() {
    let client_tls = ClientTls::builder().dangerous_accept_any_certificate().build().unwrap();
    let mut client = client_tls.layer("another.example").unwrap();
    let mut server = ServerTls::new(self_signed(NAME, true)).unwrap().layer();
    assert!(matches!(shake_hands(&mut client, &mut server), [None, None]));
    assert!(client.is_open());
}

#[test]
fn addresses_are_names() {
    let authority = Authority::new("authority");
    for (name, certified) in
        [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")]
    {
        let identity = authority.issue(certified);
        let server_tls = ServerTls::with_resolver(Arc::new(NoName(CertificateStore::new(identity).unwrap()))).unwrap();
        let client_tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
        let mut client = client_tls.layer(name).unwrap();
        let mut server = server_tls.layer();
        assert!(matches!(shake_hands(&mut client, &mut server), [None, None]), "{name}");
    }
    let wrong = errors(authority.roots(), authority.issue("192.0.2.1"), "192.0.2.2");
    check(
        wrong,
        |problem| matches!(problem, CertificateProblem::WrongName { .. }),
        &["is not valid for 192.0.2.2, but for 192.0.2.1: "],
        Alert::BadCertificate,
    );
}

/// A resolver that expects no server name (SNI).
#[derive(Debug)]
struct NoName(Arc<CertificateStore>);

impl ResolvesServerCert for NoName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        assert_eq!(hello.server_name(), None, "an address was sent as a server name");
        self.0.resolve(hello)
    }
}

#[test]
fn a_name_that_is_neither_a_dns_name_nor_an_address_is_refused() {
    for name in ["", "a b", "[::1", "::1]", "a..b"] {
        let error = Configs::new().client.layer(name).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?} is neither")), "{error}");
    }
}

#[test]
fn a_replaced_certificate_is_used_for_new_connections_only() {
    let authority = Authority::new("authority");
    let [first, second] = [authority.issue(NAME), authority.issue(NAME)];
    let store = CertificateStore::new(first).unwrap();
    let server = ServerTls::with_resolver(store.clone()).unwrap();
    // clients without a common cache, since a resumed connection shows no certificate
    let client = || ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    let (old, mut old_server) = pair(&Configs { client: client(), server: server.clone() });
    store.replace(second).unwrap();
    let (new, _) = pair(&Configs { client: client(), server: server.clone() });
    let certificate = |tls: &sansocket_tls::Tls| tls.peer_certificates().unwrap()[0].clone();
    assert_ne!(certificate(&old), certificate(&new));
    old_server.send(b"still open").unwrap();
    // a key that does not belong to the certificate changes nothing
    let mismatched = authority.issue_for_another_key(NAME);
    assert!(store.replace(mismatched).is_err());
    let (third, _) = pair(&Configs { client: client(), server });
    assert_eq!(certificate(&third), certificate(&new));
}

#[test]
fn client_certificates_are_required_optional_or_ignored() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let client = |identity: Option<Identity>| {
        let builder = ClientTls::builder().only_roots(servers.roots());
        match identity {
            Some(identity) => builder.client_certificate(identity),
            None => builder,
        }
        .build()
        .unwrap()
    };
    let server = || ServerTls::builder(servers.issue(NAME));
    let required = server().require_client_certificates(clients.roots()).build().unwrap();
    let optional = server().optional_client_certificates(clients.roots()).build().unwrap();
    let ignored = server().build().unwrap();
    let good = || Some(clients.issue("client"));
    let bad = || Some(Authority::new("others").issue("client"));
    let run = |identity, server: &ServerTls| {
        let mut server = server.layer();
        let errors = shake_hands(&mut client(identity).layer(NAME).unwrap(), &mut server);
        (errors, server.peer_certificates().map(<[_]>::len))
    };
    assert!(matches!(run(good(), &required), ([None, None], Some(1))));
    assert!(matches!(run(good(), &optional), ([None, None], Some(1))));
    assert!(matches!(run(None, &optional), ([None, None], None)));
    assert!(matches!(run(good(), &ignored), ([None, None], None)));

    let ([client_error, server_error], _) = run(None, &required);
    assert!(matches!(server_error, Some(TlsError::NoClientCertificate)), "{server_error:?}");
    let message = client_error.unwrap().to_string();
    assert!(message.contains("CertificateRequired") && message.contains("configure one"), "{message}");

    for server in [&required, &optional] {
        let ([client_error, server_error], _) = run(bad(), server);
        let problem = CertificateProblem::UnknownAuthority;
        assert!(
            matches!(
                &server_error,
                Some(TlsError::Certificate { owner: Role::Client, problem: found })
                    if std::mem::discriminant(found) == std::mem::discriminant(&problem)
            ),
            "{server_error:?}"
        );
        let expected = Some(TlsError::AlertReceived { sender: Role::Server, alert: Alert::UnknownCA });
        assert_eq!(format!("{client_error:?}"), format!("{expected:?}"));
    }
}

#[test]
fn through_a_proxy_the_certificate_must_be_valid_for_the_origin_server() {
    const PROXY: &str = "proxy.example";
    let authority = Authority::new("authority");
    let client_tls = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    for certified in [NAME, PROXY] {
        let mut outer = client_tls.layer(PROXY).unwrap();
        let mut at_proxy = ServerTls::new(authority.issue(PROXY)).unwrap().layer();
        assert!(matches!(shake_hands(&mut outer, &mut at_proxy), [None, None]));
        let mut client = client_tls.layer(NAME).unwrap().through(outer);
        let mut server = ServerTls::new(authority.issue(certified)).unwrap().layer();
        let mut error = None;
        loop {
            let to_server = receive(&mut at_proxy, &written(&mut client)).unwrap();
            // an error is the client's alert
            let _ = receive(&mut server, &to_server);
            let to_client = written(&mut server);
            if to_server.is_empty() && to_client.is_empty() {
                break;
            }
            at_proxy.send(&to_client).unwrap();
            error = error.or(receive(&mut client, &written(&mut at_proxy)).err());
        }
        let problem = error.map(|error| match error {
            TlsError::Certificate { problem, .. } => problem.to_string(),
            error => panic!("{error}"),
        });
        assert_eq!((problem.is_none(), client.is_open()), (certified == NAME, certified == NAME), "{problem:?}");
        assert!(problem.is_none_or(|problem| problem.starts_with("is not valid for server.example, but for proxy")));
    }
}
