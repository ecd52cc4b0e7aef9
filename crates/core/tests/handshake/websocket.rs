//! The states of a WebSocket, from CONNECTING on: which calls are permitted in each, and which events follow.

use core::time::Duration;

use allocation_counter::measure;
use sansocket::{
    Accept, AnswerError, CloseCode, Config, Connection, EncodedBatch, EncodedMessage, Error, Event, HandshakeError,
    HttpResponse, Initiator, Input, Message, MessageKind, OriginPolicy, ReadyState, Role, Scratch, SendError,
    TimeoutKind, TransportAction, WebSocket,
};

use crate::support::{
    HELLO, MASKED_HELLO, NOW, client, client_request, output, receive, request, request_with, response, server,
    silent_end,
};

const OPENING: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(5);

fn server_with_request() -> WebSocket {
    let mut server = server();
    assert!(matches!(receive(&mut server, request().as_bytes()).unwrap()[..], [Event::Request(_)]));
    server
}

#[test]
fn sizes_and_traits() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<WebSocket>();
    assert!(size_of::<WebSocket>() <= 176, "{}", size_of::<WebSocket>());
    assert!(size_of::<Event<'_>>() <= 40, "{}", size_of::<Event<'_>>());
    assert!(size_of::<Error>() <= 32, "{}", size_of::<Error>());
    println!("{} {} {}", size_of::<WebSocket>(), size_of::<Connection>(), size_of::<Event<'_>>());
}

/// A server that waits for a request owns no heap memory: a client that connects and sends nothing costs little.
#[test]
fn connecting_and_idle() {
    let config = std::sync::Arc::new(Config::default());
    let info = measure(|| drop(WebSocket::server(config.clone(), NOW)));
    assert_eq!(info.count_total, 0);
}

/// With a scratch, accepting allocates nothing: the scratch has the buffer of the response.
#[test]
fn accepting_with_scratch_does_not_allocate() {
    let mut scratch = Scratch::new();
    let mut accept = || {
        let mut server = server_with_request();
        server.attach_scratch(&mut scratch);
        let accepted = measure(|| server.accept(Accept::new(), NOW).unwrap());
        assert!(output(&mut server).starts_with(b"HTTP/1.1 101 "));
        let opened =
            measure(|| assert!(matches!(server.receive(&mut Input::new(&mut []), NOW), Ok(Some(Event::Open(_))))));
        server.detach_scratch(&mut scratch);
        accepted.count_total + opened.count_total
    };
    accept(); // until the scratch has a buffer
    assert_eq!(accept(), 0);
}

/// An open connection without a subprotocol owns no heap memory.
#[test]
fn open_and_idle() {
    let mut bytes = [request().as_bytes(), MASKED_HELLO].concat();
    let info = measure(|| {
        let config = std::sync::Arc::new(Config::default());
        let mut kept = None;
        let live = measure(|| {
            let mut server = WebSocket::server(config.clone(), NOW);
            let mut input = Input::new(&mut bytes);
            while let Some(event) = server.receive(&mut input, NOW).unwrap() {
                if matches!(event, Event::Request(_)) {
                    drop(event);
                    assert!(
                        server.receive(&mut input, NOW).unwrap().is_none(),
                        "early frames are kept until the answer"
                    );
                    server.accept(Accept::new(), NOW).unwrap();
                }
            }
            output(&mut server);
            kept = Some(server);
        });
        assert_eq!(live.bytes_current, 0);
    });
    assert_eq!(info.bytes_current, 0);
}

/// Conformance 21, 22: nothing is sent before the handshake is complete; frames that arrive before the answer are
/// received after it.
#[test]
fn server_opens() {
    let mut server = server();
    assert_eq!(
        (server.role(), server.ready_state(), server.wants_read()),
        (Role::Server, ReadyState::Connecting, true)
    );
    assert_eq!(server.send("x"), Err(SendError::NotOpen(ReadyState::Connecting)));
    assert_eq!(server.accept(Accept::new(), NOW), Err(AnswerError::NoRequest));
    assert_eq!(server.respond(HttpResponse::new(404), NOW), Err(AnswerError::NoRequest));

    let early = [request().as_bytes(), MASKED_HELLO, &MASKED_HELLO[..4]].concat();
    assert!(matches!(receive(&mut server, &early).unwrap()[..], [Event::Request(_)]));
    assert_eq!((server.wants_read(), server.transport()), (false, TransportAction::Open));
    assert_eq!(server.ping(b""), Err(SendError::NotOpen(ReadyState::Connecting)));
    server.accept(Accept::new(), NOW).unwrap();
    assert_eq!((server.ready_state(), server.wants_read()), (ReadyState::Open, true));
    assert_eq!(server.accept(Accept::new(), NOW), Err(AnswerError::NoRequest));
    server.send("Hello").unwrap();
    assert_eq!(server.buffered_amount(), 5);
    let sent = output(&mut server);
    assert!(
        sent.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n") && sent.ends_with(&[b"\r\n\r\n", HELLO].concat())
    );

    let events = receive(&mut server, b"").unwrap();
    let [Event::Open(open), Event::Message(message)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((open.protocol(), open.response()), (None, None));
    assert_eq!(*message, Message::from("Hello"));
    let events = receive(&mut server, &MASKED_HELLO[4..]).unwrap();
    assert_eq!(events, [Event::Message(Message::from("Hello"))]);
}

/// Early frames that break the protocol fail the connection.
#[test]
fn early_frames_that_break_the_protocol() {
    let mut server = server_with_request();
    receive(&mut server, HELLO).unwrap();
    server.accept(Accept::new(), NOW).unwrap();
    let mut bytes = MASKED_HELLO.to_vec();
    let mut input = Input::new(&mut bytes);
    assert!(matches!(server.receive(&mut input, NOW), Ok(Some(Event::Open(_)))));
    let error = server.receive(&mut input, NOW).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)) && input.is_empty());
    // Conformance 50: the handshake was complete, so a Close frame is sent; then nothing more
    assert!(output(&mut server).windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == [0x03, 0xea]));
    assert_eq!(receive(&mut server, MASKED_HELLO), Err(error));
}

/// The end of the stream loses no earlier event, and Close follows Open.
#[test]
fn eof_after_acceptance() {
    let mut server = server_with_request();
    receive(&mut server, MASKED_HELLO).unwrap();
    server.accept(Accept::new(), NOW).unwrap();
    let mut events = Vec::new();
    while let Some(event) = server.receive_eof(NOW).unwrap() {
        events.push(event);
    }
    // our response is delivered to a client that only half-closed, and then the connection ends
    assert_eq!((events.len(), server.transport()), (2, TransportAction::Open));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 101 "));
    assert!(server.has_pending_event());
    events.extend(receive(&mut server, b"").unwrap());
    assert_eq!(server.transport(), TransportAction::Close);
    let [Event::Open(_), Event::Message(_), Event::Close(close)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Peer));
    assert_eq!(server.ready_state(), ReadyState::Closed);
}

/// No event follows a refusal. TCP is half-closed, and closed at the end of the stream or at the deadline.
#[test]
fn refused() {
    for by_timer in [false, true] {
        let mut server = server_with_request();
        receive(&mut server, MASKED_HELLO).unwrap();
        server.respond(HttpResponse::new(404).body("text/plain", "no"), NOW).unwrap();
        assert_eq!((server.ready_state(), server.transport()), (ReadyState::Closing, TransportAction::Open));
        assert!(server.poll_timeout().is_some_and(|next| next <= NOW + CLOSING / 4));
        assert!(output(&mut server).ends_with(b"Content-Length: 2\r\n\r\nno"));
        assert_eq!((server.transport(), server.wants_read()), (TransportAction::ShutdownWrite, true));
        // CVE-2025-11677: no later events
        assert_eq!(receive(&mut server, MASKED_HELLO), Ok(vec![]));
        assert_eq!(server.send("x"), Err(SendError::NotOpen(ReadyState::Closing)));
        assert_eq!(server.respond(HttpResponse::new(404), NOW), Err(AnswerError::NoRequest));
        if by_timer {
            let ended = silent_end(&mut server, NOW);
            assert!(NOW + CLOSING <= ended && ended <= NOW + CLOSING * 3 / 2, "{ended:?}");
        } else {
            assert_eq!(server.receive_eof(NOW), Ok(None));
        }
        assert_eq!((server.transport(), server.ready_state()), (TransportAction::Close, ReadyState::Closed));
        assert_eq!((server.poll_timeout(), server.wants_read()), (None, false));
    }
}

/// Responses have the usual reason phrase of their status (RFC 9110 section 15, RFC 6585), none if there is none, or
/// the phrase of the application.
#[test]
fn responses_have_reason_phrases() {
    for (status, reason) in [
        (200, "OK"),
        (204, "No Content"),
        (301, "Moved Permanently"),
        (302, "Found"),
        (303, "See Other"),
        (304, "Not Modified"),
        (307, "Temporary Redirect"),
        (308, "Permanent Redirect"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (408, "Request Timeout"),
        (409, "Conflict"),
        (410, "Gone"),
        (421, "Misdirected Request"),
        (426, "Upgrade Required"),
        (429, "Too Many Requests"),
        (431, "Request Header Fields Too Large"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
        (505, "HTTP Version Not Supported"),
        (599, ""),
    ] {
        let first_line = |reject: HttpResponse| {
            let mut server = server_with_request();
            server.respond(reject, NOW).unwrap();
            String::from_utf8(output(&mut server)).unwrap().lines().next().unwrap().to_owned()
        };
        assert_eq!(first_line(HttpResponse::new(status)), format!("HTTP/1.1 {status} {reason}"));
        assert_eq!(first_line(HttpResponse::new(status).reason("No")), format!("HTTP/1.1 {status} No"));
    }
}

/// 204 has no body and no length (RFC 9110 section 15.3.5), 205 a length of zero (15.3.6). A response to HEAD has no
/// body.
#[test]
fn answers_without_body() {
    let mut server = server_with_request();
    server.respond(HttpResponse::new(204).body("text/plain", "no"), NOW).unwrap();
    let sent = String::from_utf8(output(&mut server)).unwrap();
    assert!(
        sent.starts_with("HTTP/1.1 204 No Content\r\n") && !sent.contains("Content-Length") && !sent.ends_with("no")
    );

    let mut server = server_with_request();
    server.respond(HttpResponse::new(205).body("text/plain", "no"), NOW).unwrap();
    assert_eq!(output(&mut server), b"HTTP/1.1 205 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n");

    let mut server = crate::support::server();
    receive_one(&mut server, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.respond(HttpResponse::new(200).body("text/plain", "yes"), NOW).unwrap();
    assert!(output(&mut server).ends_with(b"Content-Length: 3\r\n\r\n"));
}

fn receive_one(server: &mut WebSocket, bytes: &[u8]) -> Event<'static> {
    let mut bytes = bytes.to_vec();
    server.receive(&mut Input::new(&mut bytes), NOW).unwrap().unwrap().into_owned()
}

/// A plain request is answered at once or later; no other call of the driver answers it.
#[test]
fn plain_requests() {
    let server_with_plain_request = || {
        let mut server = server();
        assert!(matches!(receive_one(&mut server, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"), Event::HttpRequest(_)));
        assert_eq!((server.wants_read(), server.ready_state()), (false, ReadyState::Connecting));
        server
    };
    let mut server = server_with_plain_request();
    assert_eq!(server.accept(Accept::new(), NOW), Err(AnswerError::NotWebSocket));

    let ways: [fn(&mut WebSocket); 6] = [
        |_| {},
        |server| assert_eq!(receive(server, b"x"), Ok(vec![])),
        |server| assert_eq!(server.receive_eof(NOW), Ok(None)),
        |server| assert_eq!(server.handle_timeout(NOW + OPENING / 2), Ok(None)),
        |server| assert_eq!(output(server), b""),
        |server| {
            let mut scratch = Scratch::new();
            server.attach_scratch(&mut scratch);
            server.detach_scratch(&mut scratch);
        },
    ];
    for way in ways {
        let mut server = server_with_plain_request();
        way(&mut server);
        assert_eq!((output(&mut server), server.ready_state()), (vec![], ReadyState::Connecting));
        assert_eq!((server.wants_read(), server.poll_timeout()), (false, Some(NOW + OPENING)));
        server.respond(HttpResponse::new(200).body("text/plain", "well"), NOW + OPENING / 2).unwrap();
        assert!(output(&mut server).starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(server.respond(HttpResponse::new(404), NOW), Err(AnswerError::NoRequest));
    }

    let mut unanswered = server_with_plain_request();
    assert_eq!(unanswered.handle_timeout(NOW + OPENING), Err(TimeoutKind::Opening.into()));
    assert!(output(&mut unanswered).starts_with(b"HTTP/1.1 503 "));
}

/// At the opening deadline, a server responds with 408 if there is no request, with 503 if there is no answer.
#[test]
fn server_timeouts() {
    let late = Err(Error::Timeout(TimeoutKind::Opening));
    for (mut server, status) in [(server(), "408"), (server_with_request(), "503")] {
        assert_eq!(server.poll_timeout(), Some(NOW + OPENING));
        assert_eq!(server.handle_timeout(NOW + OPENING / 2), Ok(None));
        assert_eq!(server.handle_timeout(NOW + OPENING), late);
        assert!(server.poll_timeout().is_some_and(|next| next <= NOW + OPENING + CLOSING / 4));
        assert!(output(&mut server).starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        assert_eq!(server.transport(), TransportAction::ShutdownWrite);
        assert_eq!(receive(&mut server, request().as_bytes()), Err(Error::Timeout(TimeoutKind::Opening)));
        assert_eq!(server.accept(Accept::new(), NOW), Err(AnswerError::NoRequest));
    }
    let mut server = server_with_request();
    server.accept(Accept::new(), NOW).unwrap();
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn client_timeouts() {
    let mut late = client(client_request());
    assert_eq!(late.handle_timeout(NOW + OPENING), Err(TimeoutKind::Opening.into()));
    assert_eq!((late.transport(), late.poll_timeout(), output(&mut late)), (TransportAction::Close, None, vec![]));
    // the head of the response has arrived, but not its body (Conformance 20)
    let mut refused = client(client_request());
    receive(&mut refused, b"HTTP/1.1 500 Oops\r\n\r\nsorry").unwrap();
    let error = refused.handle_timeout(NOW + OPENING).unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::Refused(response)) if response.body() == b"sorry"));

    let mut open = client(client_request());
    receive(&mut open, response().as_bytes()).unwrap();
    assert_eq!(open.poll_timeout(), None);
}

/// Time that goes backwards counts as unchanged.
#[test]
fn backwards() {
    let mut server = server();
    let later = NOW + Duration::from_secs(9);
    assert_eq!(server.handle_timeout(later), Ok(None));
    receive(&mut server, request().as_bytes()).unwrap();
    server.respond(HttpResponse::new(404), NOW).unwrap();
    assert!(silent_end(&mut server, NOW) >= later + CLOSING);
}

/// The transport ends within the handshake. Conformance 51: no Close frame.
#[test]
fn eof() {
    let mut beginning = server();
    receive(&mut beginning, b"GET").unwrap();
    for mut endpoint in [server(), beginning, server_with_request(), client(client_request())] {
        let error = Error::Handshake(HandshakeError::UnexpectedEof);
        assert_eq!(endpoint.receive_eof(NOW), Err(error.clone()));
        assert_eq!(receive(&mut endpoint, b"more"), Err(error));
        assert_eq!(endpoint.receive_eof(NOW), Ok(None));
        assert_eq!((endpoint.transport(), endpoint.ready_state()), (TransportAction::Close, ReadyState::Closed));
        assert_eq!((output(&mut endpoint), endpoint.poll_timeout()), (vec![], None));
    }
}

/// `close` ends a handshake; a pending request gets 503. Conformance 51: no Close frame.
#[test]
fn close_while_connecting() {
    for mut endpoint in [client(client_request()), server()] {
        assert_eq!(endpoint.close(CloseCode::NORMAL, "", NOW), Ok(()));
        assert_eq!((endpoint.ready_state(), endpoint.transport()), (ReadyState::Closed, TransportAction::Close));
        assert_eq!(output(&mut endpoint), b"");
        assert_eq!(receive(&mut endpoint, response().as_bytes()), Ok(vec![]));
        assert_eq!(endpoint.close(CloseCode::NORMAL, "", NOW), Ok(()));
    }
    let mut server = server_with_request();
    assert_eq!(server.close(CloseCode::GOING_AWAY, "", NOW), Ok(()));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 503 "));
    assert_eq!(server.transport(), TransportAction::ShutdownWrite);
}

/// `close` refuses the same codes and reasons as on an open connection, and changes nothing then.
#[test]
fn close_while_connecting_with_an_invalid_code_or_reason() {
    let long = "x".repeat(124);
    for (code, reason, error) in [
        (CloseCode::ABNORMAL, "", SendError::CloseCodeNotSendable(CloseCode::ABNORMAL)),
        (CloseCode::NORMAL, long.as_str(), SendError::ReasonTooLong),
        (CloseCode::NO_STATUS, "x", SendError::ReasonTooLong),
    ] {
        let mut client = client(client_request());
        assert_eq!(client.close(code, reason, NOW), Err(error.clone()));
        assert!(matches!(receive(&mut client, response().as_bytes()).unwrap()[..], [Event::Open(_)]));

        let mut server = server_with_request();
        assert_eq!(server.close(code, reason, NOW), Err(error.clone()));
        server.accept(Accept::new(), NOW).unwrap();
        assert_eq!((server.close(code, reason, NOW), server.ready_state()), (Err(error), ReadyState::Open));

        // to close again does nothing
        let mut ended = crate::support::server();
        ended.close(CloseCode::NORMAL, &long[1..], NOW).unwrap();
        assert_eq!((ended.close(code, reason, NOW), ended.ready_state()), (Ok(()), ReadyState::Closed));
    }
}

/// Conformance 50, 51: a failure is final, and nothing is processed after it.
#[test]
fn failures_stay() {
    let mut server = server();
    let error = receive(&mut server, request_with("Host", None, "").as_bytes()).unwrap_err();
    assert_eq!(error, HandshakeError::HostMissing.into());
    assert_eq!(receive(&mut server, request().as_bytes()), Err(error.clone()));
    assert!(output(&mut server).starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(receive(&mut server, request().as_bytes()), Err(error));
    silent_end(&mut server, NOW);
    assert_eq!(server.transport(), TransportAction::Close);
}

/// Contract 4: a connection that fails before `Open` was returned does not open any more.
#[test]
fn nothing_opens_after_a_failure() {
    let mut config = Config::default();
    config.keepalive = sansocket::Keepalive::Every(OPENING);
    config.pong_timeout = OPENING;
    let mut server = WebSocket::server(config, NOW);
    receive(&mut server, request().as_bytes()).unwrap();
    server.accept(Accept::new(), NOW).unwrap();
    output(&mut server);
    assert_eq!(server.handle_timeout(NOW + OPENING), Ok(None));
    output(&mut server);
    let silent = Err(Error::Timeout(TimeoutKind::Pong));
    assert_eq!(server.handle_timeout(NOW + 2 * OPENING), silent);
    assert_eq!(receive(&mut server, b""), Err(Error::Timeout(TimeoutKind::Pong)));
}

/// Every method that sends works on an open WebSocket, and fails before.
#[test]
fn every_way_of_sending_needs_an_open_connection() {
    type Send = fn(&mut WebSocket, &EncodedMessage) -> Result<(), SendError>;
    let encoded = EncodedMessage::new("en", &Config::default());
    let ways: [(Send, &[u8]); 7] = [
        (|ws, _| Ok(ws.send("a")?), b"\x81\x01a"),
        (|ws, _| Ok(ws.send_shared(MessageKind::Binary, "sh".into())?), b"\x82\x02sh"),
        (|ws, encoded| ws.send_encoded(encoded), b"\x81\x02en"),
        (|ws, encoded| ws.send_batch(&EncodedBatch::new(&[encoded.clone(), encoded.clone()])), b"\x81\x02en\x81\x02en"),
        (|ws, _| ws.send_fragment(MessageKind::Text, b"fr", false), b"\x01\x02fr"),
        (|ws, _| ws.ping(b"p"), b"\x89\x01p"),
        (|ws, _| ws.pong(b"q"), b"\x8A\x01q"),
    ];
    for (send, frame) in ways {
        let mut server = server_with_request();
        assert_eq!(send(&mut server, &encoded), Err(SendError::NotOpen(ReadyState::Connecting)));
        server.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap();
        output(&mut server);
        assert_eq!((send(&mut server, &encoded), output(&mut server)), (Ok(()), frame.to_vec()));
    }
}

#[test]
fn the_role_stays() {
    let mut server = server_with_request();
    assert_eq!(server.role(), Role::Server);
    server.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap();
    assert_eq!(server.role(), Role::Server);
    for mut ended in [server_with_request(), client(client_request())] {
        let role = ended.role();
        ended.close(CloseCode::NORMAL, "", NOW).unwrap();
        assert_ne!(ended.ready_state(), ReadyState::Connecting);
        assert_eq!(ended.role(), role);
    }
}

/// A client masks frames after the handshake with bytes of its generator.
#[test]
fn client_opens() {
    let mut client = client(client_request());
    assert_eq!(
        (client.role(), client.ready_state(), client.wants_read()),
        (Role::Client, ReadyState::Connecting, true)
    );
    assert_eq!(client.send("x"), Err(SendError::NotOpen(ReadyState::Connecting)));
    assert_eq!(client.accept(Accept::new().origin(OriginPolicy::Any), NOW), Err(AnswerError::NoRequest));
    output(&mut client);
    assert!(matches!(receive(&mut client, response().as_bytes()).unwrap()[..], [Event::Open(_)]));
    assert_eq!(client.protocol(), None);
    client.send("Hello").unwrap();
    let key = [16, 17, 18, 19];
    let masked: Vec<u8> = b"Hello".iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(output(&mut client), [&[0x81, 0x85], &key[..], &masked].concat());
    // then it closes as every connection does
    client.close(CloseCode::NORMAL, "", NOW).unwrap();
    output(&mut client);
    let [Event::CloseReceived(_)] = receive(&mut client, b"\x88\x02\x03\xe8").unwrap()[..] else { panic!() };
    let Ok(Some(Event::Close(close))) = client.receive_eof(NOW) else { panic!() };
    assert_eq!((close.code, close.was_clean), (CloseCode::NORMAL, true));
}
