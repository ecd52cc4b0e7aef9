//! What a client offers, and what it makes of a server's answer.

use sansocket::{Compression, DeflateOffer, Error, HandshakeError, ProtocolError, ReadyState, TransportAction};

use crate::support::{
    answered, bits, confirm, confirm_lines, offered, open_client, output, permissive, receive, short,
};

/// Returns settings of a client that makes these offers.
fn offering<const N: usize>(offers: [DeflateOffer; N]) -> Compression {
    Compression::default().offers(offers)
}

fn offer() -> DeflateOffer {
    DeflateOffer::default()
}

/// Deflate 23: the default offer, and what the settings add to it.
#[test]
fn the_offer_that_follows_from_the_settings() {
    for (settings, expected) in [
        (Compression::default(), "permessage-deflate; client_max_window_bits"),
        (Compression::best_ratio(), "permessage-deflate; client_max_window_bits"),
        (
            Compression::small(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (
            Compression::default().context_takeover(false),
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
        ),
        (
            Compression::default().peer_context_takeover(false),
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        ),
    ] {
        assert_eq!(offered(settings).as_deref(), Some(expected));
    }
    assert_eq!(offered(None), None);
}

/// Deflate 23: fallbacks keep their order.
#[test]
fn offers_keep_their_order() {
    let first = offer().server_max_window_bits(Some(bits(10))).client_max_window_bits(Some(bits(9)));
    let second = offer().server_no_context_takeover(true).server_max_window_bits(Some(bits(15)));
    let third = offer().client_max_window_bits(None);
    assert_eq!(
        offered(offering([first, second, third])).as_deref(),
        Some(
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9, \
             permessage-deflate; server_no_context_takeover; server_max_window_bits=15; client_max_window_bits, \
             permessage-deflate"
        )
    );
    assert_eq!(offered(offering([third, first])).unwrap().find("permessage-deflate,"), Some(0));
}

/// Deflate 24: without an answer, RSV1 fails the connection with 1002.
#[test]
fn without_an_answer_the_connection_is_not_compressed() {
    assert_eq!(confirm_lines(&[], Compression::default()), Ok(None));
    let mut ws = open_client(&[], Compression::default());
    let error = receive(&mut ws, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00").unwrap_err();
    assert_eq!(error, Error::Protocol(ProtocolError::ReservedBitSet));
    assert_eq!(error.close_code().map(|code| code.as_u16()), Some(1002));
}

/// Deflate 25: an answer without an offer, of another extension, or with two elements.
#[test]
fn answers_that_were_not_offered() {
    let not_offered = |name: &str| Err(HandshakeError::ExtensionNotOffered(name.into()));
    assert_eq!(confirm_lines(&["permessage-deflate"], None), not_offered("permessage-deflate"));
    assert_eq!(confirm_lines(&["permessage-deflate; x"], None), not_offered("permessage-deflate"));
    for (name, answer) in [
        ("x", "x"),
        ("x", "permessage-deflate, x"),
        ("Permessage-Deflate", "Permessage-Deflate"),
        ("x-webkit-deflate-frame", "x-webkit-deflate-frame"),
    ] {
        assert_eq!(confirm_lines(&[answer], Compression::default()), not_offered(name), "{answer}");
    }
    let twice = confirm("permessage-deflate, permessage-deflate", Compression::default());
    assert_eq!(twice.unwrap_err(), "the server accepted permessage-deflate more than once");
    let two_lines = confirm_lines(&["permessage-deflate"; 2], Compression::default());
    assert_eq!(two_lines, Err(HandshakeError::ResponseExtensionsRepeated));
}

/// Deflate 26: malformed lists; the next module has parameters.
#[test]
fn malformed_answers() {
    for answer in
        ["", ",", "permessage-deflate;", "permessage-deflate; server_max_window_bits=\"\"", "permessage-deflate, ;"]
    {
        let error = confirm_lines(&[answer], Compression::default()).unwrap_err();
        assert_eq!(error, HandshakeError::ResponseExtensionsMalformed(answer.into()));
    }
}

/// Deflate 27: the answer is at most the offer, which is 15 without a value, and none if there was no offer.
#[test]
fn client_max_window_bits() {
    for offered in 8..=15 {
        let settings = offering([offer().client_max_window_bits(Some(bits(offered)))]);
        for answered in 8..=15 {
            let answer = format!("permessage-deflate; client_max_window_bits={answered}");
            let confirmed = confirm(&answer, settings.clone());
            assert_eq!(confirmed.is_ok(), answered <= offered, "{offered} {answered}");
            if let Ok(agreement) = confirmed {
                assert_eq!(short(agreement), [(false, 15), (false, answered)]);
            }
            let not_offered = offering([offer().client_max_window_bits(None)]);
            assert!(confirm(&answer, not_offered).is_err(), "{answered}");
        }
        // the client keeps to the window that it offered
        assert_eq!(short(confirm("permessage-deflate", settings).unwrap()), [(false, 15), (false, offered)]);
    }
}

/// Deflate 28: accepted without an offer; otherwise required, with at most the value offered.
#[test]
fn server_max_window_bits() {
    for answered in 8..=15 {
        let answer = format!("permessage-deflate; server_max_window_bits={answered}");
        let expected = [(false, answered), (false, 15)];
        assert_eq!(short(confirm(&answer, Compression::default()).unwrap()), expected);
        for offered in 8..=15 {
            let settings = offering([offer().server_max_window_bits(Some(bits(offered)))]);
            let confirmed = confirm(&answer, settings.clone()).map(short);
            assert_eq!(confirmed.ok(), (answered <= offered).then_some(expected), "{offered} {answered}");
            assert!(confirm("permessage-deflate", settings).is_err(), "{offered}");
        }
    }
}

/// Deflate 29: accepted without an offer; otherwise required.
#[test]
fn server_no_context_takeover() {
    let demanding = offering([offer().server_no_context_takeover(true)]);
    for settings in [demanding.clone(), permissive()] {
        let agreement = confirm("permessage-deflate; server_no_context_takeover", settings).unwrap();
        assert_eq!(short(agreement), [(true, 15), (false, 15)]);
    }
    assert!(confirm("permessage-deflate", demanding).is_err());
    assert_eq!(short(confirm("permessage-deflate", permissive()).unwrap()), [(false, 15), (false, 15)]);
}

/// Deflate 30: the client obeys the answer, offered or not, and does what its offer announced without an answer.
#[test]
fn client_no_context_takeover() {
    for offers in [false, true] {
        let settings = offering([offer().client_no_context_takeover(offers)]);
        let agreement = confirm("permessage-deflate; client_no_context_takeover", settings.clone()).unwrap();
        assert_eq!(short(agreement)[1], (true, 15));
        assert_eq!(short(confirm("permessage-deflate", settings).unwrap())[1], (offers, 15));
    }
}

/// Deflate 31: the smallest window is agreed as it was answered.
#[test]
fn a_window_of_256_bytes() {
    let agreement = confirm("permessage-deflate; client_max_window_bits=8", Compression::default()).unwrap();
    assert_eq!(short(agreement), [(false, 15), (false, 8)]);
}

/// Deflate 23, 28: an answer accepts the first offer that it fits, and need not fit the others.
#[test]
fn an_answer_accepts_one_of_several_offers() {
    let settings = offering([
        offer().server_max_window_bits(Some(bits(10))).client_no_context_takeover(true),
        offer().server_no_context_takeover(true),
        offer().client_max_window_bits(Some(bits(9))),
    ]);
    for (params, expected) in [
        ("; server_max_window_bits=10", [(false, 10), (true, 15)]),
        ("; server_max_window_bits=11; server_no_context_takeover", [(true, 11), (false, 15)]),
        ("; server_max_window_bits=11", [(false, 11), (false, 9)]),
        ("", [(false, 15), (false, 9)]),
    ] {
        let agreement = confirm(&["permessage-deflate", params].concat(), settings.clone()).unwrap();
        assert_eq!(short(agreement), expected, "{params}");
    }
    assert!(confirm("permessage-deflate; client_max_window_bits=10", settings).is_err());
}

/// Deflate 32: after a failed handshake, the client sends no Close frame, and ends TCP. Later bytes change nothing.
#[test]
fn no_close_frame_after_a_failed_handshake() {
    for answer in ["permessage-deflate; x", "permessage-deflate;", "x"] {
        let (mut ws, received) = answered(&[("Sec-WebSocket-Extensions", answer)], Some(&Compression::default()));
        let error = received.unwrap_err();
        for _ in 0..2 {
            assert_eq!((output(&mut ws), ws.transport()), (vec![], TransportAction::Close), "{answer}");
            assert_eq!(receive(&mut ws, b"\x81\x05Hello"), Err(error.clone()));
        }
        assert_eq!((ws.compression(), ws.ready_state()), (None, ReadyState::Closed));
    }
}
