//! `wss` over real sockets: the event loop as server, the blocking adapter as client.

#[path = "../../tls/tests/authority/mod.rs"]
mod authority;
mod support;

use std::net::SocketAddr;

use sansocket_mio::ListenOptions;
use sansocket_mio::tls::{ClientTls, ServerTls};
use sansocket_net::{Connector, Event, Message};

use authority::*;
use support::*;

const NAME: &str = "127.0.0.1";

/// Runs an echo server over TLS.
fn serve_tls(authority: &Authority) -> (Running, SocketAddr) {
    let tls = ServerTls::new(authority.issue(NAME)).unwrap();
    let mut address = None;
    let running = run(
        &options(|_| ()),
        |_| (),
        |event_loop| {
            address = Some(event_loop.listen_with("127.0.0.1:0", &ListenOptions::new().tls(tls)).unwrap());
        },
    );
    (running, address.unwrap())
}

fn client_of(authority: &Authority) -> Connector {
    Connector::new().tls(ClientTls::builder().only_roots(authority.roots()).build().unwrap())
}

#[test]
fn messages_of_all_sizes_come_back_over_tls() {
    bounded(|| {
        let authority = Authority::new("the authority");
        let (_server, address) = serve_tls(&authority);
        let mut ws = client_of(&authority).connect(&format!("wss://{address}/")).unwrap();
        for size in [0, 1, 125, 126, 16_384, 16_385, 70_000, 3_000_000] {
            ws.send(vec![7; size]).unwrap();
            match ws.read().unwrap().unwrap() {
                Event::Message(message) => assert_eq!(message, Message::from(vec![7; size])),
                event => panic!("{event:?}"),
            }
        }
        assert!(ws.finish().unwrap().was_clean);
    });
}
