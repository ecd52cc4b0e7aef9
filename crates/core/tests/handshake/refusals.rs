//! `testdata/handshake/refusals.txt`: each record gets its status (Conformance 6, 7, 8, 9, 12, 13, 14, 19; sections
//! 4.2.1, 4.2.2, 4.4).

use sansocket::{Event, ReadyState, TransportAction};

use crate::support::{Outcome, records, served, testdata};

#[test]
fn every_record_gets_its_status() {
    let text = String::from_utf8(testdata("refusals.txt")).unwrap();
    let records = records(&text);
    assert!(records.len() > 100);
    for record in records {
        let get = |key: &str| record.iter().find(|(each, _)| *each == key).map(|(_, value)| *value);
        let name = get("name").unwrap();
        println!("{name}");
        let outcome = served(bytes(&record));
        let status: u16 = get("status").unwrap().parse().unwrap();
        assert_eq!(outcome.status(), status, "{name}");
        for (_, header) in record.iter().filter(|(key, _)| *key == "header") {
            let (field, member) = header.split_once(": ").unwrap();
            assert!(outcome.has_list_element(field, member), "{name}: {header} in {}", outcome.head());
        }
        if status == 101 {
            check_accepted(name, &outcome, get("target").unwrap(), get("subprotocols").unwrap_or_default());
        } else {
            check_refused(name, &outcome, get("plain") == Some("yes"));
        }
    }
}

fn check_accepted(name: &str, outcome: &Outcome, target: &str, subprotocols: &str) {
    let request = outcome.request();
    let query = request.query().map_or(String::new(), |query| format!("?{query}"));
    assert_eq!(format!("{}{query}", request.path()), target, "{name}");
    assert_eq!(request.protocols().collect::<Vec<_>>().join(" "), subprotocols, "{name}");
    assert!(matches!(outcome.events[..], [Event::Request(_), Event::Open(_)]), "{name}");
    assert_eq!((&outcome.error, outcome.ready_state), (&None, ReadyState::Open), "{name}");
}

fn check_refused(name: &str, outcome: &Outcome, is_plain: bool) {
    if is_plain {
        assert!(matches!(outcome.events[..], [Event::HttpRequest(_)]), "{name}");
        assert_eq!(outcome.error, None, "{name}");
    } else {
        // CVE-2025-11677: a refused request causes no event
        assert_eq!(outcome.events, [], "{name}");
        assert_eq!(outcome.handshake_error().status(), Some(outcome.status()), "{name}");
    }
    assert_eq!(
        (outcome.ready_state, outcome.transport),
        (ReadyState::Closing, TransportAction::ShutdownWrite),
        "{name}"
    );
    assert!(outcome.has_list_element("Connection", "close"), "{name}");
    // RFC 9112 6.3: the length gives the end of the body; a response to HEAD has no body
    let length: usize = outcome.header("Content-Length").unwrap().parse().unwrap();
    let body = outcome.output.len() - outcome.head().len() - 4;
    assert_eq!(body, if name.starts_with("method-head") { 0 } else { length }, "{name}");
    assert_ne!(length, 0, "{name}: a word on what is wrong");
}

/// Returns the request of a record.
fn bytes(record: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in record {
        match *key {
            "send" => bytes.extend(unescaped(value)),
            "repeat" => {
                let (count, text) = value.split_once(' ').unwrap();
                bytes.extend(unescaped(text).repeat(count.parse().unwrap()));
            }
            _ => {}
        }
    }
    bytes
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            bytes.extend(character.to_string().bytes());
            continue;
        }
        bytes.push(match characters.next().unwrap() {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => u8::from_str_radix(&characters.by_ref().take(2).collect::<String>(), 16).unwrap(),
            other => panic!("\\{other}"),
        });
    }
    bytes
}
