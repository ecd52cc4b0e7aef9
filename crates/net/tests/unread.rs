//! What has arrived counts, though the application reads it only after a deadline has passed. The application is busy for
//! longer than its deadlines here: that is what the sleeps are.

mod support;

use std::thread::sleep;
use std::time::Duration;

use sansocket_net::{Acceptor, CloseCode, Config, Connector, Event};
use support::*;

const BUSY: Duration = Duration::from_millis(400);

/// Deadlines shorter than the application is busy.
fn impatient() -> Config {
    config(|config| {
        config.keepalive = sansocket_net::Keepalive::Every(SHORT);
        config.pong_timeout = SHORT;
        config.closing_timeout = SHORT;
        config.opening_timeout = SHORT;
    })
}

#[test]
fn a_pong_that_waits_to_be_read_is_an_answer() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(impatient()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            for _ in 0..3 {
                ws.send("progress").unwrap();
                sleep(BUSY);
                assert!(ws.events().any(|event| matches!(event, Ok(Event::Message(_)))));
            }
            ws.close(CloseCode::NORMAL, "").unwrap();
            assert!(close(&mut ws).was_clean);
        });
        let mut ws = connect(address);
        while let Some(event) = ws.read().unwrap() {
            if let Event::Message(message) = event.into_owned() {
                ws.send(message).unwrap();
            }
        }
        server.join();
    });
}

#[test]
fn who_only_sends_gives_nobody_up_that_takes_it() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(impatient()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            for _ in 0..5 {
                sleep(BUSY / 2);
                ws.send("update").unwrap();
            }
            let (_reader, writer) = ws.split().unwrap();
            for _ in 0..5 {
                sleep(BUSY / 2);
                writer.send("update").unwrap();
            }
        });
        let mut ws = connect(address);
        let updates = ws.events().filter(|event| matches!(event, Ok(Event::Message(_)))).count();
        server.join();
        assert_eq!(updates, 10);
    });
}

#[test]
fn a_closing_handshake_that_was_answered_in_time_is_clean() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.send("last words").unwrap();
            close(&mut ws);
        });
        let mut ws = Connector::new().config(impatient()).connect(&url(address)).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        sleep(BUSY);
        let events: Vec<_> = ws.events().map(Result::unwrap).collect();
        server.join();
        let [Event::Message(_), Event::CloseReceived(_), Event::Close(close)] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(close.was_clean);
    });
}

#[test]
fn a_request_that_came_in_time_is_accepted_late() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(impatient()));
        let server = serve(listener, |incoming| {
            sleep(BUSY);
            close(&mut incoming.accept().unwrap())
        });
        let mut ws = connect(address);
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(close(&mut ws).was_clean);
        assert!(server.join().was_clean);
    });
}
