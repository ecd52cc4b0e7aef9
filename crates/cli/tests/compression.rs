//! `--compress` of `serve` and `connect`: what both ends log, and that messages arrive.

mod support;

use support::{Running, with_each_server};

/// Checks what both ends log that they have agreed, and that messages are echoed.
#[track_caller]
fn check(server_options: &[&str], client_options: &[&str], agreed: &str) {
    let (server, address) = Running::serve(server_options);
    let url = format!("ws://{address}/");
    let mut client = Running::start(&[&["connect", &url], client_options].concat());
    assert_eq!(client.stderr_line(), format!("opened: {url}{agreed}"));
    let opened = server.stdout_line();
    assert!(opened.ends_with(&format!(" opened: /{agreed}")), "{opened}, not {agreed}");

    let long = "Grüße, 世界. ".repeat(1000);
    for line in ["Hello", "", &long, "Hello", &long, "Grüße, 世界"] {
        client.type_line(line);
        assert_eq!(client.stdout_line(), line);
    }
    client.end_stdin();
    assert_eq!(client.end().code(), 0);
}

#[test]
fn both_ends_log_what_they_agreed() {
    with_each_server(|kind| {
        let default = ", permessage-deflate; server_max_window_bits=12; client_max_window_bits=12";
        check(&[kind, "--compress"], &["--compress"], default);
        check(&[kind, "--compress=default"], &["--compress=default"], default);
        check(&[kind, "--compress=best"], &["--compress=best"], ", permessage-deflate");
        let alone = "; server_no_context_takeover; client_no_context_takeover";
        let small = format!(", permessage-deflate{alone}; server_max_window_bits=12");
        check(&[kind, "--compress=small"], &["--compress"], &small);
        check(&[kind, "--compress=best"], &["--compress=small"], &format!(", permessage-deflate{alone}"));
    });
}

#[test]
fn compression_needs_both_ends() {
    with_each_server(|kind| {
        check(&[kind, "--compress"], &[], "");
        check(&[kind], &["--compress"], "");
    });
}

#[test]
fn the_subprotocol_precedes_the_compression() {
    with_each_server(|kind| {
        check(
            &[kind, "--compress=best"],
            &["--compress=best", "--protocol", "chat"],
            ", subprotocol chat, permessage-deflate",
        );
    });
}
