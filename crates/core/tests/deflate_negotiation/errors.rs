//! The messages of answers that a client refuses: the parameter, its value, and the offer.

use sansocket::{Compression, DeflateOffer, HandshakeError};

use crate::refused_offers::INVALID_BITS;
use crate::support::{bits, confirm, confirm_lines};

/// Deflate 26 to 29.
#[test]
fn messages() {
    let settings = Compression::default().offers([DeflateOffer::default()
        .server_no_context_takeover(true)
        .server_max_window_bits(Some(bits(10)))
        .client_max_window_bits(Some(bits(9)))]);
    for (params, expected) in [
        ("x", "\"x\", which is not one of its parameters"),
        ("mem_level=9", "\"mem_level\", which is not one of its parameters"),
        ("server_max_window_bits=9; server_max_window_bits=9", "server_max_window_bits more than once"),
        ("server_no_context_takeover; server_no_context_takeover", "server_no_context_takeover more than once"),
        ("server_max_window_bits", "server_max_window_bits without a value: its value must be a number from 8 to 15"),
        ("client_max_window_bits", "client_max_window_bits without a value: its value must be a number from 8 to 15"),
        ("client_max_window_bits=16", "client_max_window_bits=\"16\": its value must be a number from 8 to 15"),
        ("client_no_context_takeover=1", "client_no_context_takeover=\"1\": it must not have a value"),
        (
            "server_no_context_takeover; server_max_window_bits=11",
            "server_max_window_bits=11; the offer was at most 10",
        ),
        (
            "server_no_context_takeover; server_max_window_bits=8; client_max_window_bits=10",
            "client_max_window_bits=10; the offer was at most 9",
        ),
    ] {
        let error = confirm(&["permessage-deflate; ", params].concat(), settings.clone()).unwrap_err();
        assert_eq!(error, ["the server accepted permessage-deflate with ", expected].concat());
    }
    for (params, missing) in
        [("", "server_no_context_takeover"), ("; server_no_context_takeover", "server_max_window_bits")]
    {
        let error = confirm(&["permessage-deflate", params].concat(), settings.clone()).unwrap_err();
        let expected = "the server accepted permessage-deflate without ".to_owned() + missing;
        assert_eq!(error, expected + ", which was offered and is not optional");
    }
    let without = Compression::default().offers([DeflateOffer::default().client_max_window_bits(None)]);
    assert_eq!(
        confirm("permessage-deflate; client_max_window_bits=9", without).unwrap_err(),
        "the server accepted permessage-deflate with client_max_window_bits=9, but client_max_window_bits was not offered"
    );
}

/// Deflate 12, 26, CVE-2026-2229: no value but 8 to 15 reaches a codec.
#[test]
fn window_bits_are_from_8_to_15_without_leading_zeros() {
    for parameter in ["server_max_window_bits", "client_max_window_bits"] {
        for value in INVALID_BITS {
            let answer = format!("permessage-deflate; {parameter}={value}");
            let error = confirm_lines(&[&answer], Compression::default()).unwrap_err();
            assert!(matches!(error, HandshakeError::CompressionInvalid(_)), "{answer}: {error}");
        }
    }
}

/// With several offers, the message is about the last one, which demands least.
#[test]
fn several_offers() {
    let lowered = DeflateOffer::default().server_max_window_bits(Some(bits(10)));
    let settings = Compression::default().offers([lowered, DeflateOffer::default().server_no_context_takeover(true)]);
    let error = confirm("permessage-deflate", settings).unwrap_err();
    assert!(error.contains("without server_no_context_takeover"), "{error}");
}
