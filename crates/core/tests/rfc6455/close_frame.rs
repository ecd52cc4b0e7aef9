//! Sections 5.5.1 and 7.4: the body of a Close frame, and its codes.

use sansocket::{
    CloseCode, Connection, Error, HandshakeError, Instant, ProtocolError, ReadyState, Role, SendError, TimeoutKind,
    TransportAction,
};

use crate::support::*;

const CLOSE_CODES: &str = include_str!("../../../../testdata/close_codes.txt");
const NO_STATUS: u16 = 1005;

// Conformance 40; sections 5.5.1 and 7.1.5.
#[test]
fn a_close_body_of_one_byte_breaks_the_protocol_and_an_empty_one_has_no_status() {
    check_both(&[Frame::new(CLOSE, [3])], &[], Err(ProtocolError::CloseBodyTooShort));
    check_both(&[Frame::new(CLOSE, [])], &[closed(NO_STATUS, "")], Ok(()));
}

// Conformance 41; section 5.5.1.
#[test]
fn a_reason_must_be_utf8_and_fit() {
    for reason in ["", "bye", "Grüße", "𝄞", &"r".repeat(123), &"€".repeat(41)] {
        check_both(&[Frame::close(1000, reason)], &[closed(1000, reason)], Ok(()));
    }
    for reason in [&b"\xff"[..], b"cut \xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"] {
        let body = [&1000_u16.to_be_bytes(), reason].concat();
        check_both(&[Frame::new(CLOSE, body)], &[], Err(ProtocolError::Utf8Invalid));
    }
    check_both(&[Frame::close(1000, &"r".repeat(124))], &[], Err(ProtocolError::ControlFrameTooLong));
    // the code is checked before the reason
    check_both(&[Frame::new(CLOSE, b"\x03\xed\xff")], &[], Err(ProtocolError::CloseCodeInvalid));
}

// Conformance 41; section 5.5.1: the reasons that we generate fit uncut.
#[test]
fn the_name_of_every_broken_rule_fits_a_close_frame() {
    use ProtocolError::*;
    for error in [
        CloseCodeInvalid,
        CloseBodyTooShort,
        ContinuationUnexpected,
        ControlFrameFragmented,
        ControlFrameTooLong,
        ContinuationMissing,
        FrameNotMasked,
        FrameMasked,
        LengthTopBitSet,
        LengthNotMinimal,
        OpCodeReserved,
        ReservedBitSet,
        Utf8Invalid,
    ] {
        assert!(error.to_string().len() <= 123, "{error}");
        let code = if error == Utf8Invalid { CloseCode::INVALID_PAYLOAD } else { CloseCode::PROTOCOL_ERROR };
        assert_eq!(Error::from(error).close_code(), Some(code), "{error}");
    }
    // no Close frame is sent to a peer that does not answer, or before the connection is open
    assert_eq!(Error::from(TimeoutKind::Pong).close_code(), None);
    assert_eq!(Error::from(HandshakeError::UnexpectedEof).close_code(), None);
}

/// Returns the records of the table: code, and whether it can be sent.
fn close_codes() -> Vec<(u16, bool)> {
    let lines = CLOSE_CODES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let codes = lines.map(|line| {
        let mut columns = line.split_whitespace();
        let code = columns.next().unwrap().parse().unwrap();
        let is_sendable = match columns.next().unwrap() {
            "accept" => true,
            "refuse" => false,
            other => panic!("neither accepted nor refused: {other}"),
        };
        (code, is_sendable)
    });
    codes.collect()
}

// Conformance 42, 46; sections 7.4.1 and 7.4.2, and the IANA registry.
#[test]
fn codes_from_the_peer_are_accepted_and_echoed_or_refused() {
    let codes = close_codes();
    assert!(codes.len() > 30, "the table was read");
    for (code, is_sendable) in codes {
        for reason in ["", "reason"] {
            match is_sendable {
                true => check_both(&[Frame::close(code, reason)], &[closed(code, reason)], Ok(())),
                false => check_both(&[Frame::close(code, reason)], &[], Err(ProtocolError::CloseCodeInvalid)),
            }
        }
    }
}

// Conformance 42, section 7.4: tries all 65,536 codes. The endpoint sends and accepts exactly the valid ones.
#[test]
fn every_code_is_accepted_exactly_if_it_can_be_sent() {
    for code in 0..=u16::MAX {
        let is_sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(CloseCode::new(code).map(CloseCode::as_u16), is_sendable.then_some(code));
        let role = if code % 2 == 0 { Role::Client } else { Role::Server };
        let mut connection = open(role);
        let (_, result) = feed(&mut connection, &wire(role, &[Frame::close(code, "")]));
        assert_eq!(result.is_ok(), is_sendable, "{code}");
    }
}

// Conformance 42; section 7.4.
#[test]
fn sendable_codes_are_sent_unchanged() {
    for (code, is_sendable) in close_codes() {
        assert_eq!(CloseCode::new(code).is_some(), is_sendable, "{code}");
        for role in BOTH {
            let Some(sendable) = CloseCode::new(code) else { continue };
            let mut connection = open(role);
            connection.close(sendable, "why", Instant::EPOCH).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::close(code, "why")]);
        }
    }
}

// CVE-2026-45736; section 5.5.1: a Close frame contains these bytes and no others.
#[test]
fn a_close_frame_is_exactly_its_code_and_reason() {
    let mut server = open(Role::Server);
    close(&mut server, 1000, "bye");
    assert_eq!(take(&mut server, 100), b"\x88\x05\x03\xe8bye");

    let mut client = open(Role::Client);
    close(&mut client, 1000, "bye");
    let bytes = take(&mut client, 100);
    let (head, body) = bytes.split_at(6);
    assert_eq!(head[..2], [0x88, 0x85]);
    let unmasked: Vec<_> = body.iter().zip(head[2..].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(unmasked, b"\x03\xe8bye");
}

// Conformance 42; sections 7.1.5 and 7.4.1: codes for reports are refused, and the connection stays usable.
#[test]
fn reserved_codes_cannot_be_sent() {
    for role in BOTH {
        let mut connection = open(role);
        let refused = connection.close(CloseCode::ABNORMAL, "", Instant::EPOCH);
        assert_eq!(refused, Err(SendError::CloseCodeNotSendable(CloseCode::ABNORMAL)));
        let refused = connection.close(CloseCode::NO_STATUS, "a reason", Instant::EPOCH);
        assert_eq!(refused, Err(SendError::ReasonTooLong), "a reason follows a code");
        assert_usable(&mut connection);
    }
}

// Sections 5.5.1 and 7.1.5: a Close frame may have no body.
#[test]
fn closing_without_a_status_sends_an_empty_body() {
    for role in BOTH {
        let mut connection = open(role);
        connection.close(CloseCode::NO_STATUS, "", Instant::EPOCH).unwrap();
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        assert_eq!(take_output(&mut connection), [Frame::new(CLOSE, [])]);
        // the reply to a Close without a code has none
        let mut peer = open(role);
        let _ = feed(&mut peer, &wire(role, &[Frame::new(CLOSE, [])]));
        assert_eq!(take_output(&mut peer), [Frame::new(CLOSE, [])]);
    }
}

// Conformance 41; section 5.5: 125 bytes, of which the code takes two.
#[test]
fn a_reason_of_123_bytes_is_sent_and_one_of_124_refused() {
    for role in BOTH {
        for reason in ["r".repeat(123), "€".repeat(41), format!("{}r", "ü".repeat(61))] {
            let mut connection = open(role);
            connection.close(CloseCode::NORMAL, &reason, Instant::EPOCH).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::close(1000, &reason)]);
        }
        for reason in ["r".repeat(124), "ü".repeat(62), "€".repeat(42), "r".repeat(70_000)] {
            let mut connection = open(role);
            assert_eq!(connection.close(CloseCode::NORMAL, &reason, Instant::EPOCH), Err(SendError::ReasonTooLong));
            assert_usable(&mut connection);
        }
    }
}

/// Checks that a connection that refused to close is open, and closes with a valid code.
fn assert_usable(connection: &mut Connection) {
    let role = connection.role();
    assert_eq!((connection.ready_state(), connection.transport()), (ReadyState::Open, TransportAction::Open));
    assert_eq!(connection.poll_timeout(), None);
    assert_eq!(connection.send("open"), Ok(()));
    assert_eq!(feed(connection, &wire(role, &[Frame::text("open")])), (vec![text("open")], Ok(())));
    close(connection, 1000, "");
    assert_eq!(take_output(connection), [Frame::text("open"), Frame::close(1000, "")]);
}
