//! Valid offers, and what a server answers.

use sansocket::{Accept, AnswerError, Compression, RequestError};

use crate::support::{NOW, Served, answer, bits, client_request, permissive, serve_lines, server_with_offer, short};

/// Settings of servers, from which every answer to a valid offer follows.
fn servers() -> [(&'static str, Compression); 4] {
    [
        ("permissive", permissive()),
        ("default", Compression::default()),
        ("small", Compression::small()),
        ("8 bits", Compression::default().window_bits(bits(8)).peer_window_bits(bits(8))),
    ]
}

/// Checks the answers of the four servers to an offer, without the name of the extension.
#[track_caller]
fn check(offer: &str, expected: [&str; 4]) {
    let join = |params: &str| ["permessage-deflate", params].concat();
    for ((name, settings), expected) in servers().into_iter().zip(expected) {
        assert_eq!(answer(&join(offer), settings).as_deref(), Some(&*join(expected)), "{name}: {offer}");
    }
}

/// Deflate 1, 9: a server may limit its own data without an offer, and ask for no takeover.
#[test]
fn a_bare_offer() {
    check(
        "",
        [
            "",
            "; client_no_context_takeover; server_max_window_bits=12",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            "; client_no_context_takeover; server_max_window_bits=8",
        ],
    );
}

/// Deflate 2, 20: without `client_max_window_bits` in the offer, the answer has none. A server that permits fewer bits
/// accepts 15, without takeover for the data that it receives.
#[test]
fn a_client_that_cannot_lower_its_window() {
    for offer in ["permessage-deflate", "permessage-deflate; server_max_window_bits=10; server_no_context_takeover"] {
        for (name, settings) in servers() {
            let keeps_history = settings.peer_window_bits == bits(15) && settings.peer_context_takeover;
            let served = serve_lines(&[offer], settings).unwrap();
            assert!(!served.answer[0].contains("client_max_window_bits"), "{name}: {served:?}");
            assert_eq!(short(served.agreement.unwrap())[1], (!keeps_history, 15), "{name}");
        }
    }
}

/// Deflate 3: the answer to the parameter without a value is 8 to 15, or nothing.
#[test]
fn client_max_window_bits_without_a_value() {
    check(
        "; client_max_window_bits",
        [
            "",
            "; server_max_window_bits=12; client_max_window_bits=12",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            "; server_max_window_bits=8; client_max_window_bits=8",
        ],
    );
}

/// Deflate 4: the answer is at most the value offered, and at most the server's.
#[test]
fn client_max_window_bits_with_a_value() {
    for offered in 8..=15 {
        for wanted in 8..=15 {
            let offer = format!("permessage-deflate; client_max_window_bits={offered}");
            let served = serve_lines(&[&offer], permissive().peer_window_bits(bits(wanted))).unwrap();
            let expected = match offered.min(wanted) {
                15 => "permessage-deflate".into(),
                bits => format!("permessage-deflate; client_max_window_bits={bits}"),
            };
            assert_eq!(served.answer, [expected]);
            assert_eq!(short(served.agreement.unwrap()), [(false, 15), (false, offered.min(wanted))]);
        }
    }
}

/// Deflate 5, 6: the answer always has the parameter, with at most the value offered: also 15, and 8, which is not
/// raised to 9.
#[test]
fn server_max_window_bits() {
    for offered in 8..=15 {
        for wanted in 8..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={offered}");
            let served = serve_lines(&[&offer], permissive().window_bits(bits(wanted))).unwrap();
            let bits = offered.min(wanted);
            assert_eq!(served.answer, [format!("permessage-deflate; server_max_window_bits={bits}")]);
            assert_eq!(short(served.agreement.unwrap()), [(false, bits), (false, 15)]);
        }
    }
}

/// Deflate 8: the answer has the parameter.
#[test]
fn server_no_context_takeover() {
    check(
        "; server_no_context_takeover; client_max_window_bits",
        [
            "; server_no_context_takeover",
            "; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            "; server_no_context_takeover; server_max_window_bits=8; client_max_window_bits=8",
        ],
    );
}

/// Deflate 9: each direction is answered by itself, without an offer.
#[test]
fn takeover_that_the_server_declines() {
    for (sent, received) in [(false, false), (false, true), (true, false), (true, true)] {
        let settings = permissive().context_takeover(sent).peer_context_takeover(received);
        let served = serve_lines(&["permessage-deflate; client_max_window_bits"], settings).unwrap();
        assert_eq!(served.answer[0].contains("server_no_context_takeover"), !sent);
        assert_eq!(served.answer[0].contains("client_no_context_takeover"), !received);
        assert_eq!(short(served.agreement.unwrap()), [(!sent, 15), (!received, 15)]);
    }
}

/// Deflate 10: the answer repeats the hint, which costs nothing, so the server keeps no history of received data.
#[test]
fn client_no_context_takeover() {
    check(
        "; client_no_context_takeover; client_max_window_bits",
        [
            "; client_no_context_takeover",
            "; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            "; client_no_context_takeover; server_max_window_bits=8; client_max_window_bits=8",
        ],
    );
}

/// Deflate 16, 17: the first valid offer wins, in one line or in several, also between other extensions; the answer
/// relates to that offer alone.
#[test]
fn the_first_valid_offer_wins() {
    const A: &str = "permessage-deflate; server_max_window_bits=10";
    const B: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    const INVALID: &str = "permessage-deflate; server_max_window_bits";
    const OTHER: &str = "x-webkit-deflate-frame; server_no_context_takeover";
    for (offers, expected) in [
        (vec![A, B], A),
        (vec![B, A], B),
        (vec![INVALID, A, B], A),
        (vec![INVALID, B, INVALID, A], B),
        (vec![OTHER, "permessage-bzip2", B, OTHER, A], B),
        (vec!["permessage-deflate; permessage-deflate", OTHER, A], A),
    ] {
        let lists = [vec![offers.join(", ")], offers.iter().map(|&offer| offer.to_owned()).collect()];
        for lines in lists {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let served = serve_lines(&lines, permissive()).unwrap();
            assert_eq!(served.answer, [expected], "{lines:?}");
        }
    }
}

/// Deflate 19: the response has no header, which is not the same as an empty header.
#[test]
fn no_answer() {
    let none = Served { answer: vec![], agreement: None };
    for lines in [&[][..], &["permessage-bzip2"], &["permessage-deflate; x"], &["Permessage-Deflate"]] {
        assert_eq!(serve_lines(lines, Compression::default()).unwrap(), none, "{lines:?}");
    }
    assert_eq!(serve_lines(&["permessage-deflate; client_max_window_bits"], None).unwrap(), none);
}

/// Deflate 21: the application cannot add the field.
#[test]
fn the_application_cannot_add_the_field() {
    for name in ["Sec-WebSocket-Extensions", "sec-websocket-extensions"] {
        let mut ws = server_with_offer("permessage-deflate", Compression::default());
        let added = ws.accept(Accept::new().header(name, "permessage-deflate"), NOW);
        assert_eq!(added, Err(AnswerError::HeaderReserved(name.into())));
        let request = client_request().header(name, "permessage-deflate");
        assert_eq!(request.check(), Err(RequestError::HeaderReserved(name.into())));
    }
}
