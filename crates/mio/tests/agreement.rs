//! The agreement about permessage-deflate (RFC 7692), over real sockets.

mod support;

use std::sync::mpsc;

use sansocket_mio::sansocket::{Agreement, PermessageDeflate, Role};
use sansocket_mio::{
    CloseCode, Compression, Config, Connection, EventLoop, Handler, Message, Open, Options, Socket, mio, sansocket,
};
use support::*;

fn compressing() -> Config {
    Config::default().compression(Compression::default())
}

/// Reports the agreement of each connection. A client sends a message, the server sends it back.
struct Ends(mpsc::Sender<(Role, Option<PermessageDeflate>)>);

impl Handler for Ends {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, open: Open) {
        assert_eq!(open.compression(), connection.compression());
        let role = connection.websocket().role();
        self.0.send((role, connection.compression())).unwrap();
        if role == Role::Client {
            connection.send("Hello").unwrap();
        }
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        assert_eq!(message, Message::from("Hello"));
        if connection.websocket().role() == Role::Server {
            connection.send(message).unwrap();
        } else {
            connection.close(CloseCode::NORMAL, "").unwrap();
        }
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: sansocket_mio::Close) {
        assert!(close.was_clean);
        connection.connections().stop();
    }
}

/// Deflate 68, and 24: the connections of two event loops report the agreement, or that there is none.
#[test]
fn both_ends_report_the_agreement() {
    bounded(|| {
        let plain = Config::default;
        for (of_client, of_server, is_agreed) in
            [(compressing(), compressing(), true), (compressing(), plain(), false), (plain(), compressing(), false)]
        {
            let (sender, agreements) = mpsc::channel();
            let server = Options::new().config(of_server);
            let mut server = EventLoop::with_options(Ends(sender.clone()), &server).unwrap();
            let address = server.listen("127.0.0.1:0").unwrap();
            let server = spawn(move || server.run().unwrap());
            let mut client = EventLoop::with_options(Ends(sender), &Options::new().config(of_client)).unwrap();
            client.connect(&format!("ws://{address}/")).unwrap();
            client.run().unwrap();
            drop(client);
            server.join();
            let mut agreements: Vec<_> = agreements.iter().collect();
            agreements.sort_by_key(|(role, _)| *role == Role::Server);
            let [(Role::Client, of_client), (Role::Server, of_server)] = agreements[..] else {
                panic!("{agreements:?}")
            };
            assert_eq!((of_client.is_some(), of_client), (is_agreed, of_server));
        }
    });
}

/// Deflate 68: a socket takes over an agreement that was negotiated elsewhere, in both roles.
#[test]
fn a_socket_takes_over_an_agreement() {
    let request: sansocket::ClientRequest = "ws://example.com/".parse().unwrap();
    let request = request.with_compression(&Compression::default());
    let fields = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits=9")];
    let response = sansocket::Response::from_parts(200, sansocket::HttpVersion::Http2, fields).unwrap();
    let agreement = request.check_connect_response(&response).unwrap();
    assert_eq!(agreement.compression().unwrap().client_max_window_bits.get(), 9);
    for (role, agreement) in
        [(Role::Client, agreement.clone()), (Role::Server, agreement), (Role::Server, Agreement::new())]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        let mut socket = Socket::from_upgraded(stream, [], role, agreement.clone(), compressing()).unwrap();
        assert_eq!(socket.websocket().compression(), agreement.compression());
    }
}
