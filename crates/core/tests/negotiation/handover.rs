//! A request of the `http` crate is checked and answered; then connections take over and exchange messages.

use sansocket::{
    Accept, Agreement, ClientRequest, CloseCode, Config, Connection, Event, Input, Message, ReadyState, Request,
    Response, Role, TransportAction, WebSocket, generate_key,
};

use crate::support::{NOW, output, rng};

/// Delivers the output of one end. Returns the events of the other.
fn deliver(from: &mut WebSocket, to: &mut WebSocket) -> Vec<Event<'static>> {
    let mut bytes = output(from);
    let mut input = Input::new(&mut bytes);
    let mut events = vec![];
    while let Some(event) = to.receive(&mut input, NOW).unwrap() {
        events.push(event.into_owned());
    }
    events
}

/// Checks that the connection opens, as after any other handshake.
fn assert_opens(ws: &mut WebSocket) {
    assert!(ws.has_pending_event());
    let Ok(Some(Event::Open(open))) = ws.receive(&mut Input::new(&mut []), NOW) else { panic!("no Open event") };
    assert_eq!((open.protocol(), open.response()), (ws.protocol(), None));
    assert_eq!(ws.receive(&mut Input::new(&mut []), NOW), Ok(None));
}

/// Performs a handshake between two HTTP libraries. Returns the agreements of client and server.
fn shake_hands(is_http2: bool) -> (Agreement, Agreement) {
    let request: ClientRequest = "ws://server.example.com/chat".parse().unwrap();
    let request = request.protocol("chat").origin("http://server.example.com");
    let key = generate_key(&mut rng());
    let sent = if is_http2 { request.to_http_connect() } else { request.to_http(&key) };
    let parts = sent.unwrap().into_parts().0;

    let received = if is_http2 { Request::from_http_connect("websocket", &parts) } else { Request::try_from(&parts) };
    let handshake = received.unwrap().check().unwrap().unwrap();
    let accept = Accept::new().protocol("chat").header("Set-Cookie", "seen=1");
    let acceptance = handshake.accept(&accept).unwrap();
    let response = acceptance.to_http().unwrap();
    assert_eq!(response.headers()["set-cookie"], "seen=1");

    let response = Response::try_from(&response.into_parts().0).unwrap();
    let agreed =
        if is_http2 { request.check_connect_response(&response) } else { request.check_response(&key, &response) };
    (agreed.unwrap(), acceptance.agreement())
}

#[test]
fn a_request_of_the_http_crate_opens_a_connection() {
    for is_http2 in [false, true] {
        let (of_client, of_server) = shake_hands(is_http2);
        assert_eq!(of_client, of_server);
        let client = Connection::client(Config::default(), rng(), NOW).with_agreement(of_client);
        let server = Connection::server(Config::default(), NOW).with_agreement(of_server);
        let (mut client, mut server) = (WebSocket::opened(client, []), WebSocket::opened(server, []));
        for (end, role) in [(&mut client, Role::Client), (&mut server, Role::Server)] {
            assert_opens(end);
            assert_eq!((end.ready_state(), end.role(), end.protocol()), (ReadyState::Open, role, Some("chat")));
            assert!(!end.has_pending_event() && end.wants_read());
        }
        client.send("Hello").unwrap();
        assert_eq!(deliver(&mut client, &mut server), [Event::Message(Message::from("Hello"))]);
        server.send(vec![1, 2, 3]).unwrap();
        assert_eq!(deliver(&mut server, &mut client), [Event::Message(Message::from(vec![1, 2, 3]))]);
        client.close(CloseCode::NORMAL, "bye", NOW).unwrap();
        assert!(matches!(deliver(&mut client, &mut server)[..], [Event::CloseReceived(_)]));
        assert!(matches!(deliver(&mut server, &mut client)[..], [Event::CloseReceived(_)]));
        assert!(matches!(server.receive_eof(NOW), Ok(Some(Event::Close(close))) if close.was_clean));
        assert_eq!((server.transport(), server.protocol()), (TransportAction::Close, Some("chat")));
    }
}

/// A connection that was opened elsewhere has no request to answer.
#[test]
fn an_opened_connection_has_no_request() {
    let mut ws = WebSocket::opened(Connection::server(Config::default(), NOW), []);
    assert!(ws.accept(Accept::new(), NOW).is_err());
    assert_eq!((ws.protocol(), ws.ready_state(), ws.poll_timeout()), (None, ReadyState::Open, None));
    assert_opens(&mut ws);
}

/// Bytes that arrived with the handshake are not lost, wherever they are cut.
#[test]
fn bytes_behind_the_handshake_are_received_first() {
    let frames = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    for cut in 0..=frames.len() {
        let (leftover, rest) = frames.split_at(cut);
        let mut ws = WebSocket::opened(Connection::server(Config::default(), NOW), leftover);
        let mut rest = rest.to_vec();
        let mut input = Input::new(&mut rest);
        assert!(matches!(ws.receive(&mut input, NOW), Ok(Some(Event::Open(_)))));
        for _ in 0..2 {
            let event = ws.receive(&mut input, NOW);
            assert_eq!(event, Ok(Some(Event::Message(Message::from("Hello")))), "cut at {cut}");
        }
        assert_eq!((ws.receive(&mut input, NOW), ws.has_pending_event()), (Ok(None), false));
    }
}
