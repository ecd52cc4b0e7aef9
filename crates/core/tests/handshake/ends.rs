//! The end of a connection whose opening handshake failed, or has just succeeded: responses are delivered in the same
//! phases as Close frames, and no event between the handshake and the first frames is lost.

use core::time::Duration;

use bytes::Buf;
use sansocket::{
    Accept, AnswerError, CloseCode, Config, Error, Event, HandshakeError, HttpResponse, Initiator, Input, Instant,
    Message, OriginPolicy, ProtocolError, ReadyState, TransportAction, WebSocket,
};

use crate::support::{
    HELLO, MASKED_HELLO, NONCE, NOW, Scripted, client, client_request, output, receive, request, response, server,
    silent_end,
};

const CLOSING: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const BODY: usize = 2 * 1024 * 1024;

fn config() -> Config {
    let mut config = Config::default();
    config.closing_limit = LIMIT;
    config
}

fn server_with_request(config: Config) -> WebSocket {
    let mut server = WebSocket::server(config, NOW);
    assert!(matches!(receive(&mut server, request().as_bytes()).unwrap()[..], [Event::Request(_)]));
    server
}

/// Returns a server whose plain request waits for the answer.
fn server_with_plain_request(config: Config) -> WebSocket {
    let mut server = WebSocket::server(config, NOW);
    let mut bytes = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let event = server.receive(&mut Input::new(&mut bytes), NOW);
    assert!(matches!(event, Ok(Some(Event::HttpRequest(_)))));
    server
}

/// Returns servers whose response has a body of 2 MiB: to an opening handshake, and to a plain request.
fn responding() -> [WebSocket; 2] {
    let response = || HttpResponse::new(403).body("text/plain", vec![b'x'; BODY]);
    [server_with_request(config()), server_with_plain_request(config())].map(|mut server| {
        server.respond(response(), NOW).unwrap();
        assert!(server.output().remaining() > BODY);
        server
    })
}

/// Lets the client act every second until `until`. Returns the time when the server ended.
fn run(server: &mut WebSocket, until: Instant, mut act: impl FnMut(&mut WebSocket, Instant)) -> Instant {
    let mut now = NOW;
    let mut next_act = NOW + SECOND;
    while let Some(deadline) = server.poll_timeout() {
        let is_acting = next_act <= until && next_act <= deadline;
        now = now.max(if is_acting { next_act } else { deadline });
        if is_acting {
            next_act = next_act + SECOND;
            act(server, now);
        }
        assert_eq!(server.handle_timeout(now), Ok(None));
        assert!(now - NOW <= 1_000 * SECOND, "the connection never ends");
    }
    now
}

const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// A large response is delivered to a slow reader, in more than `closing_timeout`; then the server half-closes.
#[test]
fn a_slow_reader_gets_the_whole_response() {
    for mut server in responding() {
        let size = server.output().remaining();
        let mut delivered = 0;
        let mut action = None;
        run(&mut server, NEVER, |server, now| {
            let count = (100 * 1024).min(server.output().remaining());
            server.output().advance(count);
            delivered += count;
            if delivered == size && action.is_none() {
                action = Some(server.transport());
                assert_eq!((server.wants_read(), server.ready_state()), (true, ReadyState::Closing));
                assert_eq!(server.receive_eof(now), Ok(None));
            }
        });
        assert_eq!((delivered, action), (size, Some(TransportAction::ShutdownWrite)));
        assert_eq!((server.transport(), server.ready_state()), (TransportAction::Close, ReadyState::Closed));
    }
}

/// The same through `take_bytes`: the response is delivered when its bytes are, not when they are taken.
#[test]
fn a_response_in_flight_is_not_delivered() {
    for mut server in responding() {
        let mut taken = 0;
        let mut last_byte = 0;
        while server.output().has_remaining() {
            let bytes = server.output().take_bytes(64 * 1024);
            taken += bytes.len();
            last_byte = bytes[bytes.len() - 1];
        }
        assert_eq!((server.transport(), last_byte), (TransportAction::Open, b'x'));
        server.output().delivered(taken - 1);
        assert_eq!((server.transport(), server.ready_state()), (TransportAction::Open, ReadyState::Closing));
        server.output().delivered(1);
        assert_eq!(server.transport(), TransportAction::ShutdownWrite);
    }
}

/// If the client sends FIN before the response is delivered, the connection ends with the last byte of the response.
#[test]
fn a_client_that_half_closes_gets_the_whole_response() {
    for mut server in responding() {
        assert_eq!(server.receive_eof(NOW), Ok(None));
        assert!(!server.wants_read());
        while server.output().remaining() > 1 {
            assert_eq!((server.transport(), server.ready_state()), (TransportAction::Open, ReadyState::Closing));
            let count = (server.output().remaining() - 1).min(100_000);
            server.output().advance(count);
        }
        assert_eq!((server.transport(), server.poll_timeout().is_some()), (TransportAction::Open, true));
        server.output().advance(1);
        assert_eq!((server.transport(), server.ready_state()), (TransportAction::Close, ReadyState::Closed));
        assert_eq!((server.poll_timeout(), server.has_pending_event()), (None, false));
    }
}

/// A client that sends FIN behind a plain request still gets its answer, and the connection ends with it.
#[test]
fn a_plain_request_and_fin_are_answered() {
    let mut server = server_with_plain_request(config());
    assert_eq!(server.receive_eof(NOW), Ok(None));
    assert_eq!((server.transport(), server.ready_state()), (TransportAction::Open, ReadyState::Connecting));
    assert!(!server.output().has_remaining() && !server.wants_read());
    server.respond(HttpResponse::upgrade_required(), NOW + SECOND).unwrap();
    assert_eq!(server.transport(), TransportAction::Open);
    assert!(output(&mut server).starts_with(b"HTTP/1.1 426 "));
    assert_eq!(server.transport(), TransportAction::Close);
}

/// A client that does not read the response, with or without FIN, is aborted at the deadline.
#[test]
fn a_response_that_is_not_read_is_dropped_at_the_deadline() {
    for fin in [false, true] {
        for mut server in responding() {
            if fin {
                assert_eq!(server.receive_eof(NOW), Ok(None));
            }
            let ended = silent_end(&mut server, NOW);
            assert!(NOW + CLOSING <= ended && ended <= NOW + CLOSING * 3 / 2, "{ended:?}");
            assert_eq!((server.transport(), server.ready_state()), (TransportAction::Abort, ReadyState::Closed));
            assert_eq!((server.output().remaining(), server.wants_read()), (0, false));
        }
    }
}

/// The response is delivered, and the client keeps TCP open: the server closes at the deadline. Bytes from the client
/// are not progress.
#[test]
fn a_client_that_keeps_tcp_open_is_closed_at_the_deadline() {
    for mut server in responding() {
        output(&mut server);
        assert_eq!(server.transport(), TransportAction::ShutdownWrite);
        let ended = run(&mut server, NEVER, |server, now| {
            let mut bytes = *b"more";
            assert_eq!(server.receive(&mut Input::new(&mut bytes), now), Ok(None));
        });
        assert!(NOW + CLOSING <= ended && ended <= NOW + CLOSING * 3 / 2, "{ended:?}");
        assert_eq!(server.transport(), TransportAction::Close);
    }
}

/// Only progress extends the deadline of a response; a reader of one byte per second is aborted at `closing_limit`.
#[test]
fn progress_extends_the_deadline_of_a_response_until_the_limit() {
    type Act = fn(&mut WebSocket, Instant);
    let acts: [(Act, bool); 3] = [
        (|server, _| server.output().advance(1), true),
        (|server, now| server.progress(now), true),
        (|server, now| drop(server.receive(&mut Input::new(&mut [0]), now)), false),
    ];
    for (act, is_progress) in acts {
        for mut server in responding() {
            let ended = run(&mut server, NEVER, act);
            if is_progress {
                assert_eq!(ended, NOW + LIMIT);
            } else {
                assert!(ended <= NOW + CLOSING * 3 / 2, "{ended:?}");
            }
            assert_eq!(server.transport(), TransportAction::Abort);
        }
        // the deadline runs from the latest progress
        for mut server in responding() {
            let ended = run(&mut server, NOW + 20 * SECOND, act);
            let latest = if is_progress { NOW + 20 * SECOND } else { NOW };
            assert!(latest + CLOSING <= ended && ended <= latest + CLOSING * 3 / 2, "{ended:?}");
        }
    }
}

/// A lost write side ends a connection that has only a response to deliver; so does `abort`.
#[test]
fn write_lost_and_abort_end_a_response() {
    for end in [WebSocket::write_lost, WebSocket::abort] {
        for delivered in [false, true] {
            for mut server in responding() {
                if delivered {
                    output(&mut server);
                }
                end(&mut server, NOW);
                assert_eq!((server.transport(), server.ready_state()), (TransportAction::Abort, ReadyState::Closed));
                assert_eq!((server.output().remaining(), server.wants_read()), (0, false));
                assert_eq!((server.poll_timeout(), server.has_pending_event()), (None, false));
                assert_eq!(server.receive_eof(NOW), Ok(None));
                assert_eq!(receive(&mut server, b"late"), Ok(vec![]));
            }
        }
    }
}

/// The refusal of an invalid request ends in the same phases, and the error is final.
#[test]
fn a_refusal_ends_in_the_same_phases() {
    let error = Error::from(HandshakeError::HostMissing);
    for fin in [false, true] {
        let mut server = server();
        assert_eq!(receive(&mut server, b"GET / HTTP/1.1\r\n\r\n"), Err(error.clone()));
        if fin {
            assert_eq!(server.receive_eof(NOW), Ok(None));
        }
        assert_eq!(server.transport(), TransportAction::Open);
        assert!(output(&mut server).starts_with(b"HTTP/1.1 400 "));
        let action = if fin { TransportAction::Close } else { TransportAction::ShutdownWrite };
        assert_eq!(server.transport(), action);
        assert_eq!(receive(&mut server, b"more"), Err(error.clone()));
    }
}

/// Before the answer, `abort` and `write_lost` end the connection, and the application cannot answer any more.
#[test]
fn the_handshake_of_a_lost_connection_ends() {
    for mut endpoint in [server(), server_with_request(config()), client(client_request())] {
        endpoint.abort(NOW);
        assert_eq!((endpoint.transport(), endpoint.ready_state()), (TransportAction::Abort, ReadyState::Closed));
        assert_eq!((endpoint.poll_timeout(), endpoint.wants_read()), (None, false));
        assert_eq!((output(&mut endpoint), endpoint.has_pending_event()), (vec![], false));
        assert_eq!(receive(&mut endpoint, response().as_bytes()), Ok(vec![]));
    }
    let lost = Err(Error::from(HandshakeError::UnexpectedEof));
    let mut server = server_with_request(config());
    server.write_lost(NOW);
    assert_eq!((server.transport(), server.has_pending_event()), (TransportAction::Abort, true));
    assert_eq!(server.accept(Accept::new().origin(OriginPolicy::Any), NOW), Err(AnswerError::NoRequest));
    assert_eq!(receive(&mut server, b"").map(drop), lost, "the failure is reported");
    assert!(!server.has_pending_event());

    // or by `receive_eof`, if that is what the driver calls next
    let mut server = server_with_request(config());
    server.write_lost(NOW);
    assert_eq!(server.receive_eof(NOW).map(drop), lost);
    assert_eq!((server.receive_eof(NOW), server.has_pending_event()), (Ok(None), false));
}

/// A client whose request could not be written completely still reads the response that refuses it.
#[test]
fn a_client_reads_a_refusal_after_its_write_side_is_lost() {
    let mut refused = client(client_request());
    refused.write_lost(NOW);
    assert_eq!((refused.output().remaining(), refused.wants_read()), (0, true));
    assert_eq!((refused.transport(), refused.poll_timeout().is_some()), (TransportAction::Open, true));
    let error = receive(&mut refused, b"HTTP/1.1 431 Too Large\r\nContent-Length: 2\r\n\r\nno").unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::Refused(response)) if response.body() == b"no"));
    assert_eq!(refused.transport(), TransportAction::Close);

    let mut silent = client(client_request());
    silent.write_lost(NOW);
    assert_eq!(silent.receive_eof(NOW), Err(HandshakeError::UnexpectedEof.into()));
    assert_eq!(silent.transport(), TransportAction::Close);
}

/// A client whose write side was lost before a 101 arrives opens and then ends, since nothing can be written.
#[test]
fn a_client_that_opens_after_its_write_side_is_lost_ends() {
    for all_at_once in [false, true] {
        let mut client = client(client_request());
        client.write_lost(NOW);
        let mut events = vec![];
        if all_at_once {
            events.extend(receive(&mut client, &[response().as_bytes(), HELLO].concat()).unwrap());
        } else {
            events.extend(receive(&mut client, response().as_bytes()).unwrap());
            assert!(client.send("lost").is_err());
            events.extend(receive(&mut client, HELLO).unwrap());
        }
        assert!(matches!(&events[..], [Event::Open(_), Event::Message(message)] if *message == Message::from("Hello")));
        assert_eq!((client.ready_state(), client.wants_read()), (ReadyState::Closing, true));
        assert!(client.poll_timeout().is_some());
        assert!(matches!(client.receive_eof(NOW), Ok(Some(Event::Close(close))) if !close.was_clean));
        assert_eq!(client.transport(), TransportAction::Abort);
    }
}

/// After a late `accept`, `Open` and the early frames are pending: `receive` returns them without new bytes.
#[test]
fn events_are_pending_after_a_late_accept() {
    for early in [&[][..], MASKED_HELLO, &[MASKED_HELLO, MASKED_HELLO, &MASKED_HELLO[..5]].concat()] {
        let mut server = server_with_request(config());
        assert!(!server.has_pending_event());
        receive(&mut server, early).unwrap();
        assert!(!server.has_pending_event(), "the request is not answered");
        server.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap();
        let mut events = vec![];
        while server.has_pending_event() {
            match server.receive(&mut Input::new(&mut []), NOW).unwrap() {
                Some(event) => events.push(event.into_owned()),
                // an incomplete frame
                None => assert!(!server.has_pending_event()),
            }
        }
        assert!(matches!(events[0], Event::Open(_)));
        assert_eq!(events[1..], vec![Event::Message(Message::from("Hello")); early.len() / MASKED_HELLO.len()]);
        assert_eq!(receive(&mut server, b""), Ok(vec![]));
    }
}

/// `receive_eof` reports that early frames broke the protocol, and then the end.
#[test]
fn an_error_in_early_frames_is_reported_at_eof() {
    let error = Error::from(ProtocolError::FrameNotMasked);
    for calls_again in [false, true] {
        let mut server = server_with_request(config());
        receive(&mut server, &[MASKED_HELLO, HELLO].concat()).unwrap();
        server.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap();
        assert!(matches!(server.receive_eof(NOW), Ok(Some(Event::Open(_)))));
        assert!(matches!(server.receive_eof(NOW), Ok(Some(Event::Message(_)))));
        assert_eq!(server.receive_eof(NOW), Err(error.clone()));
        // the call that returned the error also recorded the end of the stream
        if calls_again {
            assert_eq!(server.receive_eof(NOW), Ok(None), "the Close frame is pending");
        }
        assert_eq!((server.transport(), server.wants_read()), (TransportAction::Open, false));
        let sent = output(&mut server);
        assert!(sent.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == [0x03, 0xea]), "1002 is delivered");
        assert!(server.has_pending_event());
        let mut input = Input::new(&mut []);
        let Ok(Some(Event::Close(close))) = server.receive(&mut input, NOW) else { panic!() };
        assert_eq!((close.code, close.was_clean), (CloseCode::ABNORMAL, false));
        assert_eq!(close.initiator, Initiator::Local);
        assert_eq!(server.transport(), TransportAction::Close);
        assert_eq!(receive(&mut server, b"more"), Err(error.clone()));
    }
}

/// The same after `write_lost`: the error, and at once the end.
#[test]
fn an_error_in_early_frames_is_reported_after_write_lost() {
    let mut server = server_with_request(config());
    receive(&mut server, HELLO).unwrap();
    server.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap();
    server.write_lost(NOW);
    assert!(matches!(server.receive_eof(NOW), Ok(Some(Event::Open(_)))));
    assert_eq!(server.receive_eof(NOW), Err(ProtocolError::FrameNotMasked.into()));
    assert!(server.has_pending_event());
    assert!(matches!(server.receive_eof(NOW), Ok(Some(Event::Close(_)))));
    assert_eq!(server.transport(), TransportAction::Abort);
}

/// The client sends Close and FIN before the answer: the answer and our Close frame are delivered, a clean end.
#[test]
fn an_early_close_and_fin_are_clean() {
    let mut server = server_with_request(config());
    receive(&mut server, b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
    server.accept(Accept::new().origin(OriginPolicy::Any), NOW).unwrap();
    server.send("Hello").unwrap();
    let mut events = vec![];
    while let Some(event) = server.receive_eof(NOW).unwrap() {
        events.push(event);
    }
    assert!(matches!(&events[..], [Event::Open(_), Event::CloseReceived(_)]), "{events:?}");
    let sent = output(&mut server);
    assert!(sent.ends_with(&[HELLO, b"\x88\x02\x03\xe8"].concat()));
    let [Event::Close(close)] = &receive(&mut server, b"").unwrap()[..] else { panic!() };
    assert_eq!((close.code, close.was_clean), (CloseCode::NORMAL, true));
    assert_eq!(server.transport(), TransportAction::Close);
}

/// A client built by `WebSocket` reports progress to its connection.
#[test]
fn progress_reaches_the_connection_after_the_handshake() {
    let mut config = config();
    config.keepalive = sansocket::Keepalive::Every(30 * SECOND);
    let mut client = WebSocket::client(client_request(), config, Scripted::new(NONCE), NOW).unwrap();
    client.progress(NOW);
    receive(&mut client, response().as_bytes()).unwrap();
    assert_eq!(client.handle_timeout(NOW + 30 * SECOND), Ok(None));
    client.progress(NOW + 50 * SECOND);
    assert_eq!(client.poll_timeout(), Some(NOW + 80 * SECOND));
}
