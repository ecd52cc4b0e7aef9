//! `sansocket demo`: the transcript is complete, in order, and readable.

mod support;

use support::Running;

#[test]
fn the_transcript_holds_every_milestone_in_order() {
    let ended = Running::start(&["demo"]).end();
    assert_eq!((ended.code(), &ended.stderr[..]), (0, &[][..]), "{ended:#?}");

    let mut lines = ended.stdout.iter();
    for milestone in [
        "readyState  0 CONNECTING",
        "GET /demo HTTP/1.1",
        "Sec-WebSocket-Key: ",
        "HTTP/1.1 101 Switching Protocols",
        "Sec-WebSocket-Accept: ",
        "event  open",
        "readyState  1 OPEN",
        "text frame of 11 bytes",
        "fin 1  rsv 000  opcode 0x1 text  mask 1  length 5",
        "masking key",
        "masked",
        "48 65 6c 6c 6f  \"Hello\"",
        "event  message: text \"Hello\"",
        "81 05 48 65 6c 6c 6f",
        "fin 1  rsv 000  opcode 0x1 text  mask 0  length 5",
        "fin 0  rsv 000  opcode 0x1 text",
        "opcode 0x9 ping",
        "event  ping",
        "opcode 0xa pong",
        "event  pong",
        "fin 0  rsv 000  opcode 0x0 continuation",
        "fin 1  rsv 000  opcode 0x0 continuation",
        "event  message: text",
        "opcode 0x2 binary",
        "event  message: binary, 6 bytes",
        "bufferedAmount  0 → ",
        " → 0",
        "length 100000",
        "event  message: binary, 100000 bytes",
        "close(1000",
        "readyState  2 CLOSING",
        "opcode 0x8 close",
        "1000 \"",
        "event  close received: 1000",
        "FIN",
        "FIN",
        "event  close: 1000",
        "readyState  3 CLOSED",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12",
        "event  open, subprotocol demo.sansocket, permessage-deflate",
        "fin 1  rsv 100  opcode 0x1 text  mask 1",
        "compressed  55 → ",
        "event  message: text \"a woodchuck",
        "fin 1  rsv 100  opcode 0x1 text  mask 1",
        "compressed  55 → ",
        "event  message: text \"a woodchuck",
        "readyState  3 CLOSED",
    ] {
        assert!(lines.any(|line| line.contains(milestone)), "no {milestone:?} at its place in {:#?}", ended.stdout);
    }
}

#[test]
fn the_second_compressed_message_is_much_shorter() {
    let ended = Running::start(&["demo"]).end();
    let after = |line: &String| line.split_once("compressed  55 → ")?.1.split_once(' ')?.0.parse::<usize>().ok();
    let lengths: Vec<_> = ended.stdout.iter().filter_map(after).collect();
    let [first, second] = lengths[..] else { panic!("not two compressed messages: {:#?}", ended.stdout) };
    assert!(first < 55 && second < first / 2, "{first} and {second} bytes");
}

#[test]
fn the_transcript_in_a_pipe_is_plain_and_within_100_columns() {
    let ended = Running::start(&["demo"]).end();
    for line in &ended.stdout {
        assert!(!line.contains('\x1b'), "an escape in {line:?}");
        assert!(line.chars().count() <= 100, "more than 100 columns: {line}");
    }
}

#[test]
fn all_transcripts_are_the_same_except_for_random_values_and_ports() {
    let transcript = || -> Vec<String> {
        let lines = Running::start(&["demo"]).end().stdout;
        let random =
            ["Host: ", "Sec-WebSocket-Key: ", "Sec-WebSocket-Accept: ", "masking key", "masked", "bytes  ", "ws://"];
        lines.into_iter().filter(|line| !random.iter().any(|random| line.contains(random))).collect()
    };
    assert_eq!(transcript(), transcript());
}
