//! Offers that are not valid: each is declined alone, and the connection continues.

use sansocket::{Compression, HandshakeError};

use crate::support::{Served, answer, permissive, serve_lines};

/// A valid offer, and its answer.
const FALLBACK: &str = "permessage-deflate; client_no_context_takeover";

/// Window bits that are tokens and not from 8 to 15. Deflate 12.
pub(crate) const INVALID_BITS: [&str; 18] = [
    "0",
    "1",
    "7",
    "16",
    "99",
    "08",
    "015",
    "0x9",
    "+9",
    "-9",
    "9x",
    "9.0",
    "1e1",
    "\"0\"",
    "256",
    "265",
    "4294967305",
    "1000000000000000000000000000000",
];

/// Checks that the offer is declined: alone, there is no answer; before a valid offer, that one is accepted.
#[track_caller]
fn assert_declined(params: &str) {
    let offer = ["permessage-deflate; ", params].concat();
    for settings in [permissive(), Compression::default(), Compression::small()] {
        assert_eq!(serve_lines(&[&offer], settings), Ok(Served { answer: vec![], agreement: None }), "{offer}");
    }
    assert_eq!(answer(&format!("{offer}, {FALLBACK}"), permissive()).as_deref(), Some(FALLBACK), "{offer}");
}

/// Deflate 7.
#[test]
fn server_max_window_bits_needs_a_value() {
    assert_declined("server_max_window_bits");
    assert_declined("client_max_window_bits; server_max_window_bits");
}

/// Deflate 11: with or without quotes.
#[test]
fn takeover_has_no_value() {
    for parameter in ["server_no_context_takeover", "client_no_context_takeover"] {
        for value in ["true", "\"true\"", "false", "1", "0", "15"] {
            assert_declined(&format!("{parameter}={value}"));
        }
    }
}

/// Deflate 12, CVE-2026-2229: values that are not window bits never reach a codec, which would fail to be created.
#[test]
fn window_bits_are_from_8_to_15_without_leading_zeros() {
    for parameter in ["server_max_window_bits", "client_max_window_bits"] {
        for value in INVALID_BITS {
            assert_declined(&format!("{parameter}={value}"));
        }
    }
}

/// Deflate 13: quotes and escapes are removed before the value is examined.
#[test]
fn quoted_values() {
    for value in ["10", "\"10\"", "\"1\\0\"", "\"\\1\\0\"", " \t10\t "] {
        let offer = format!("permessage-deflate; server_max_window_bits={value}; client_max_window_bits = {value}");
        let expected = "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10";
        assert_eq!(answer(&offer, permissive()).as_deref(), Some(expected), "{value}");
    }
}

/// Deflate 14: names are compared with case.
#[test]
fn unknown_parameters() {
    for parameter in [
        "x",
        "x=1",
        "server_max_window_bit=10",
        "Server_No_Context_Takeover",
        "server_no_context_takeover; mem_level=9",
        "constructor",
        "__proto__=1",
        "permessage-deflate",
    ] {
        assert_declined(parameter);
    }
}

/// Deflate 15.
#[test]
fn repeated_parameters() {
    for (first, second) in [
        ("server_no_context_takeover", "server_no_context_takeover"),
        ("client_no_context_takeover", "client_no_context_takeover"),
        ("server_max_window_bits=10", "server_max_window_bits=10"),
        ("server_max_window_bits=10", "server_max_window_bits=11"),
        ("client_max_window_bits", "client_max_window_bits"),
        ("client_max_window_bits", "client_max_window_bits=15"),
        ("client_max_window_bits=9", "client_max_window_bits=\"9\""),
    ] {
        assert_declined(&format!("{first}; {second}"));
        assert_declined(&format!("{second}; {first}"));
        assert_declined(&format!("{first}; server_max_window_bits=\"8\"; {second}; client_no_context_takeover"));
    }
}

/// Deflate 18: a list that does not follow the grammar fails the handshake with 400, even if its first element is a
/// valid offer. An empty value, and one that is no token without its quotes, is such a fault too (Deflate 11, 12, 13).
#[test]
fn a_malformed_list_fails_the_handshake() {
    for list in [
        "",
        ",",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"9 \"",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate; server_max_window_bits=9 9",
        "permessage-deflate; server_no_context_takeover=\"\"",
        "permessage-deflate; server_no_context_takeover=",
        "permessage-deflate;",
        "permessage-deflate; ; client_max_window_bits",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate=1",
        "permessage-deflate, x;;",
    ] {
        for lines in [&[list][..], &["permessage-deflate", list]] {
            if lines.len() == 2 && matches!(list, "" | ",") {
                // several lines are one list, whose empty elements do not count
                continue;
            }
            let served = serve_lines(lines, Compression::default());
            assert_eq!(served, Err(HandshakeError::ExtensionsMalformed), "{lines:?}");
        }
    }
}
