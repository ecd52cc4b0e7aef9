//! Any split of the same bytes gives the same events and the same output.

use proptest::prelude::*;
use sansocket::{Config, Event, Input, WebSocket};

use crate::support::{
    HELLO, MASKED_HELLO, NOW, client, client_request, drive, request, request_with, response, response_with, server,
};

fn to_server() -> Vec<Vec<u8>> {
    let good = request().into_bytes();
    vec![
        [good.as_slice(), MASKED_HELLO, MASKED_HELLO].concat(),
        [good.as_slice(), HELLO].concat(),
        request_with("Upgrade", None, "").into_bytes(),
        request_with("", None, "X: \n\r\n").into_bytes(),
        request_with("Host", Some("a b"), "").into_bytes(),
    ]
}

fn to_client() -> Vec<Vec<u8>> {
    let good = response().into_bytes();
    vec![
        [good.as_slice(), HELLO, HELLO, b"\x88\x02\x03\xe8"].concat(),
        [good.as_slice(), MASKED_HELLO].concat(),
        response_with("Upgrade", None, "").into_bytes(),
        b"HTTP/1.1 103 \r\n\r\nHTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n".to_vec(),
        b"HTTP/1.1 400 No\r\nContent-Length: 20\r\n\r\n0123456789abcdefghij and more".to_vec(),
    ]
}

proptest! {
    #[test]
    fn servers(case in 0..5_usize, mut cuts in proptest::collection::vec(0..300_usize, 0..12)) {
        cuts.sort_unstable();
        let bytes = &to_server()[case];
        prop_assert_eq!(drive(server(), bytes, &cuts), drive(server(), bytes, &[]));
    }

    #[test]
    fn clients(case in 0..5_usize, mut cuts in proptest::collection::vec(0..300_usize, 0..12)) {
        cuts.sort_unstable();
        let bytes = &to_client()[case];
        let client = || client(client_request());
        prop_assert_eq!(drive(client(), bytes, &cuts), drive(client(), bytes, &[]));
    }

    /// No bytes cause a panic, or an `Event::Close` without an open connection.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..200_usize, cut in 0..400_usize) {
        for (good, endpoint) in [(request(), server()), (response(), client(client_request()))] {
            let mut good = good.into_bytes();
            let at = at.min(good.len());
            good.splice(at..(at + bytes.len() / 4).min(good.len()), bytes.iter().copied());
            let outcome = drive(endpoint, &good, &[cut]);
            prop_assert!(!outcome.events.iter().any(|event| matches!(event, Event::Close(_))));
        }
    }

    /// Calls in any order are harmless.
    #[test]
    fn any_calls(calls in proptest::collection::vec((0..12_u8, 0..40_u64), 0..40), is_server in any::<bool>()) {
        let mut ws = if is_server { server() } else { client(client_request()) };
        let bytes = if is_server { to_server() } else { to_client() }.swap_remove(0);
        let mut rest = bytes;
        let mut closes = 0;
        let mut opens = 0;
        for (call, number) in calls {
            let now = NOW + core::time::Duration::from_secs(number);
            let mut count = |event: Option<Event<'_>>| match event {
                Some(Event::Close(_)) => closes += 1,
                Some(Event::Open(_)) => opens += 1,
                _ => {}
            };
            match call {
                0..=2 => {
                    let mut piece: Vec<u8> = rest.drain(..(number as usize * 5).min(rest.len())).collect();
                    let mut input = Input::new(&mut piece);
                    while let Ok(Some(event)) = ws.receive(&mut input, now) {
                        count(Some(event));
                    }
                    prop_assert!(input.is_empty());
                }
                3 => drop(ws.accept(sansocket::Accept::new(), now)),
                4 if number < 10 => drop(ws.respond(sansocket::HttpResponse::new(404), now)),
                5 => drop(ws.close(sansocket::CloseCode::NORMAL, "", now)),
                6 => drop(ws.send("Hello")),
                7 => {
                    if let Ok(event) = ws.handle_timeout(now) {
                        count(event);
                    }
                }
                8 if number < 10 => {
                    while let Ok(Some(event)) = ws.receive_eof(now) {
                        count(Some(event));
                    }
                }
                _ => {
                    use bytes::Buf;
                    let output = ws.output();
                    output.advance((number as usize * 3).min(output.remaining()));
                }
            }
            let _ = (ws.transport(), ws.wants_read(), ws.ready_state(), ws.buffered_amount(), ws.protocol());
        }
        prop_assert!(closes <= 1 && opens <= 1);
    }

    /// After `handle_timeout(t)`, `poll_timeout` is none or later than `t`.
    #[test]
    fn quiet_timers(seconds in proptest::collection::vec(0..20_u64, 1..10), is_server in any::<bool>(), zero in any::<bool>()) {
        let mut config = Config::default();
        if zero {
            config.opening_timeout = core::time::Duration::ZERO;
        }
        let mut ws = if is_server { WebSocket::server(config, NOW) } else { client(client_request()) };
        let mut latest = NOW;
        for second in seconds {
            let now = NOW + core::time::Duration::from_secs(second);
            latest = latest.max(now);
            let _ = ws.handle_timeout(now);
            prop_assert!(ws.poll_timeout().is_none_or(|next| next > latest));
        }
    }
}
