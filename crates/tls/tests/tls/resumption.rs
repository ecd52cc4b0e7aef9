//! Sessions are resumed with tickets, which cost the server no memory.

use rustls::Connection;
use sansocket::Role;
use sansocket_tls::{ClientTls, ServerTls, rustls};

use crate::support::{Authority, Configs, NAME, VERSIONS, pair};

#[test]
fn a_second_connection_resumes_the_session() {
    let configs = Configs::new();
    for (attempt, expected) in [false, true, true, true].into_iter().enumerate() {
        let (client, server) = pair(&configs);
        assert_eq!([client.is_resumed(), server.is_resumed()], [Some(expected); 2], "attempt {attempt}");
        assert!(client.peer_certificates().is_some(), "the certificate of the first connection");
    }
}

#[test]
fn both_versions_resume_sessions() {
    for version in VERSIONS {
        let configs = Configs::of_version(version);
        let resumed = [(); 2].map(|()| pair(&configs).0.is_resumed().unwrap());
        assert_eq!(resumed, [false, true], "{version:?}");
    }
}

#[test]
fn another_server_with_the_same_certificate_falls_back_to_a_full_handshake() {
    let authority = Authority::new("authority");
    let client = ClientTls::builder().only_roots(authority.roots()).build().unwrap();
    for _ in 0..2 {
        let server = ServerTls::new(authority.issue(NAME)).unwrap();
        let (client, _) = pair(&Configs { client: client.clone(), server });
        assert_eq!(client.is_resumed(), Some(false));
    }
}

#[test]
fn a_client_receives_one_ticket_and_the_server_stores_none() {
    let configs = Configs::new();
    let server = configs.server.config();
    assert!(server.ticketer.enabled() && server.send_tls13_tickets == 1);
    let (_, peer) = configs.open(Role::Server);
    let rustls_client = match &peer.0 {
        Connection::Client(client) => client,
        Connection::Server(_) => unreachable!("the peer of a server"),
    };
    assert_eq!(rustls_client.tls13_tickets_received(), 1);
}
