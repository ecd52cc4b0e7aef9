//! Requests and their answers.

use sansocket::{Accept, AnswerError, Config, HttpResponse, Initiator, Instant, ReadyState, Role};
use sansocket_drive::{Action, Driver, Error};

use crate::support::{
    CLOSE, End, KIB, Pipe, REQUEST, Seen, TEXT, TICK, broken_frame, close, closed, feed, frame, frames, opened,
    pending, seconds, websocket, written,
};

const NOW: Instant = Instant::EPOCH;

fn server() -> Driver {
    Driver::new(websocket(Role::Server, &Config::default()))
}

/// Returns a server that has received these bytes, which contain a request.
fn asked(bytes: &[u8]) -> Driver {
    let mut driver = server();
    assert_eq!(feed(&mut driver, bytes, NOW), [Seen::Request]);
    driver
}

/// Returns a request with an additional header field.
fn request_with(field: &str) -> Vec<u8> {
    let end = REQUEST.len() - 2;
    [&REQUEST[..end], field.as_bytes(), b"\r\n\r\n"].concat()
}

/// Checks that the client gets this status, and that TCP ends.
#[track_caller]
fn check_refused(driver: &mut Driver, status: &str) {
    assert_eq!(pending(driver, NOW), []);
    let response = String::from_utf8(written(driver)).unwrap();
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    assert_eq!(driver.next_action(), Action::ShutdownWrite);
    driver.write_shut_down();
    driver.eof();
    assert_eq!(pending(driver, NOW), []);
    assert_eq!(driver.next_action(), Action::Close);
}

// Once a fault: "After a late `accept`, the `Open` event is not delivered until the next byte arrives."
#[test]
fn after_a_late_accept_the_driver_asks_for_the_open_event() {
    let mut driver = asked(REQUEST);
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: false, until: Some(_) }));
    driver.accept(Accept::new(), NOW).unwrap();
    assert!(!driver.is_quiet());
    assert_eq!(driver.next_action(), Action::Again);
    assert_eq!(pending(&mut driver, NOW), [Seen::Open]);
    assert!(written(&mut driver).starts_with(b"HTTP/1.1 101 "));
    assert_eq!(driver.next_action(), Action::Wait { read: true, write: false, until: None });
    assert!(driver.is_quiet());
}

#[test]
fn frames_that_came_before_a_late_accept_follow_the_open_event() {
    let early = [REQUEST, &frame(Role::Server, TEXT, b"one"), &frame(Role::Server, TEXT, b"two")].concat();
    let mut driver = asked(&early);
    driver.accept(Accept::new(), NOW).unwrap();
    assert_eq!(driver.next_action(), Action::Again);
    let messages = [Seen::Open, Seen::Message(b"one".to_vec()), Seen::Message(b"two".to_vec())];
    assert_eq!(pending(&mut driver, NOW), messages);
    assert!(matches!(driver.next_action(), Action::Wait { read: true, .. }));
}

// Once a fault: "If frames that arrived before the request was answered contain a `ProtocolError`, the core drops that
// error at EOF and reports only 1006."
#[test]
fn a_protocol_error_in_early_frames_is_reported_at_the_end_of_the_stream() {
    let mut driver = asked(&[REQUEST, &frame(Role::Server, TEXT, b"fine"), &broken_frame(Role::Server)].concat());
    driver.accept(Accept::new(), NOW).unwrap();
    driver.eof();
    let seen = pending(&mut driver, NOW);
    assert!(
        matches!(&seen[..], [Seen::Open, Seen::Message(_), Seen::Peer(error)] if error.contains("opcode")),
        "{seen:?}"
    );
    let bytes = written(&mut driver);
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let frames = frames(&bytes[head..]);
    assert_eq!((frames[0].opcode, &frames[0].payload[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]));
    assert_eq!(pending(&mut driver, NOW), [closed(1006, false, Initiator::Local)]);
    assert_eq!(driver.next_action(), Action::Close);
}

#[test]
fn an_answer_after_the_client_has_disconnected_is_an_error_and_nothing_else() {
    let mut driver = asked(REQUEST);
    driver.eof();
    assert!(matches!(pending(&mut driver, NOW)[..], [Seen::Peer(_)]));
    let answer = driver.accept(Accept::new(), NOW);
    assert!(matches!(answer, Err(Error::Answer(AnswerError::NoRequest))));
    assert_eq!((pending(&mut driver, NOW), driver.next_action()), (vec![], Action::Close));
}

#[test]
fn an_acceptance_that_is_not_valid_is_answered_with_500() {
    let not_offered = Accept::new().protocol("chat");
    let bad_field = Accept::new().header("X-Evil", "a\r\nb");
    for accept in [not_offered, bad_field] {
        let mut driver = asked(REQUEST);
        let answer = driver.accept(accept, NOW);
        assert!(matches!(answer, Err(Error::Answer(error)) if error != AnswerError::NoRequest));
        check_refused(&mut driver, "500");
    }
}

#[test]
fn a_response_that_is_not_valid_is_answered_with_500() {
    let mut driver = asked(REQUEST);
    let answer = driver.respond(HttpResponse::new(403).header("X-Evil", "a\r\nb"), NOW);
    assert!(matches!(answer, Err(Error::Answer(_))));
    check_refused(&mut driver, "500");
}

#[test]
fn a_forbidden_origin_is_answered_with_403() {
    let mut driver = asked(&request_with("Origin: http://evil.example"));
    let answer = driver.accept(Accept::new(), NOW);
    assert!(matches!(answer, Err(Error::Answer(AnswerError::OriginForbidden))));
    check_refused(&mut driver, "403");
}

#[test]
fn an_answer_without_a_request_changes_nothing() {
    let no_request = |answer| assert!(matches!(answer, Err(Error::Answer(AnswerError::NoRequest))));
    let mut early = server();
    let mut open = opened(Role::Server, &Config::default());
    let mut client = Driver::new(websocket(Role::Client, &Config::default()));
    for driver in [&mut early, &mut open, &mut client] {
        let before = (driver.next_action(), driver.websocket().ready_state());
        no_request(driver.accept(Accept::new(), NOW));
        no_request(driver.respond(HttpResponse::new(404), NOW));
        assert_eq!((driver.next_action(), driver.websocket().ready_state()), before);
    }
    assert!(written(&mut early).is_empty() && written(&mut open).is_empty());
    assert_eq!(feed(&mut early, REQUEST, NOW), [Seen::Request]);
    assert_eq!(feed(&mut open, &frame(Role::Server, TEXT, b"hi"), NOW), [Seen::Message(b"hi".to_vec())]);
}

#[test]
fn a_second_answer_changes_nothing() {
    let mut driver = asked(REQUEST);
    driver.respond(HttpResponse::new(404), NOW).unwrap();
    let answer = driver.respond(HttpResponse::new(200), NOW);
    assert!(matches!(answer, Err(Error::Answer(AnswerError::NoRequest))));
    check_refused(&mut driver, "404");
}

#[test]
fn a_plain_request_that_is_accepted_is_answered_with_426() {
    let mut driver = server();
    let request = b"GET / HTTP/1.1\r\nHost: server.example.com\r\n\r\n";
    assert_eq!(feed(&mut driver, request, NOW), [Seen::HttpRequest]);
    assert!(matches!(driver.accept(Accept::new(), NOW), Err(Error::Answer(AnswerError::NotWebSocket))));
    check_refused(&mut driver, "426");
}

#[test]
fn a_plain_request_may_be_answered_later() {
    let mut driver = server();
    let request = b"GET / HTTP/1.1\r\nHost: server.example.com\r\n\r\n";
    assert_eq!(feed(&mut driver, request, NOW), [Seen::HttpRequest]);
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: false, until: Some(_) }));
    driver.eof();
    assert_eq!(pending(&mut driver, NOW), []);
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: false, until: Some(_) }));
    driver.respond(HttpResponse::new(204), seconds(3.0)).unwrap();
    assert!(written(&mut driver).starts_with(b"HTTP/1.1 204 No Content\r\n"));
    assert_eq!(driver.next_action(), Action::Close);
}

#[test]
fn a_connection_that_closes_before_its_request_was_answered_answers_503() {
    let mut driver = asked(REQUEST);
    close(&mut driver, NOW);
    check_refused(&mut driver, "503");
}

/// Runs a server whose client sends these bytes and no FIN. Returns the bytes that the client has read.
fn run_server(mut end: End, bytes: &[u8]) -> (Vec<u8>, End) {
    end.inbox.extend(bytes);
    let (mut now, mut read) = (NOW, vec![]);
    while end.ended.is_none() {
        assert!(now < seconds(400.0), "{:?}", end.driver);
        end.pipe.begin_tick();
        end.turn(now);
        read.extend(end.pipe.read(usize::MAX));
        now = now + TICK;
    }
    (read, end)
}

#[test]
fn the_body_of_a_response_is_delivered_to_a_slow_client() {
    for knows_outstanding in [true, false] {
        let request = b"GET / HTTP/1.1\r\nHost: server.example.com\r\n\r\n";
        let pipe = Pipe::new(20 * KIB, 64 * KIB);
        let mut end = End::new(Role::Server, &Config::default(), pipe).on_event(|driver, seen, now| {
            if *seen == Seen::HttpRequest {
                let response = HttpResponse::new(200).body("text/plain", vec![b'x'; 1000 * KIB]);
                driver.respond(response, now).unwrap();
            }
        });
        end.knows_outstanding = knows_outstanding;
        let (read, end) = run_server(end, request);
        let head = read.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(read.len() - head, 1000 * KIB);
        let (action, at) = end.ended.unwrap();
        assert!(action == Action::Close && at >= seconds(45.0) && at <= seconds(60.0), "{action:?} at {at:?}");
    }
}

#[test]
fn a_client_that_sends_no_request_is_answered_with_408() {
    let end = End::new(Role::Server, &Config::default(), Pipe::fast());
    let (read, end) = run_server(end, b"GET / HT");
    assert!(read.starts_with(b"HTTP/1.1 408 "));
    assert!(matches!(&end.seen[..], [Seen::Peer(_)]), "reported once, without Close: {:?}", end.seen);
    let (action, at) = end.ended.unwrap();
    assert_eq!((action, end.driver.websocket().ready_state()), (Action::Close, ReadyState::Closed));
    assert!(at >= seconds(15.0) && at <= seconds(17.5), "{at:?}");
}
