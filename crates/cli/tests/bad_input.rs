//! Each mistake of the user leads to one line on stderr that explains it, and to its exit status.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use support::Running;

/// Runs the binary to its end. Expects nothing on stdout, and one line on stderr that contains each of `words`.
fn check(arguments: &[&str], status: i32, words: &[&str]) -> String {
    let ended = Running::start(arguments).end();
    let [line] = &ended.stderr[..] else { panic!("{arguments:?}: not one line: {ended:#?}") };
    assert!(line.starts_with("error: "), "{arguments:?}: {line}");
    for word in words {
        assert!(line.contains(word), "{arguments:?}: no {word:?} in {line:?}");
    }
    assert_eq!(ended.code(), status, "{arguments:?}: {line}");
    assert_eq!(ended.stdout, [""; 0], "{arguments:?}");
    line.clone()
}

#[test]
fn bad_urls() {
    check(&["connect", "http://127.0.0.1/"], 1, &["http://127.0.0.1/", "write ws instead"]);
    check(&["connect", "ws://127.0.0.1/#top"], 1, &["ws://127.0.0.1/#top", "fragment"]);
    let line =
        check(&["connect", "ws://user:secret@127.0.0.1:99999/"], 1, &["ws://<redacted>@127.0.0.1:99999/", "port"]);
    assert!(!line.contains("secret"), "{line}");
    check(&["connect", "ws+unix:relative.sock"], 1, &["not absolute", "ws+unix:/run/chat.sock:/path"]);
    check(&["connect", "ws://127.0.0.1:99999/"], 1, &["port"]);
    check(&["connect", "127.0.0.1:9001"], 1, &["127.0.0.1:9001", "write ws://"]);
    check(&["connect", ""], 1, &["'': ", "write ws://"]);
    check(&["connect", "ws://127.0.0.1/a b"], 1, &["ws://127.0.0.1/a b", "at byte offset 16", "write %20"]);
    check(&["connect", "ws://127.0.0.1?\u{e4}"], 1, &["write %C3%A4"]);
    check(&["connect", "ws://\u{e4} b.example/"], 1, &["at byte offset 7"]);
    // Converted to ASCII before it is looked up.
    check(&["connect", "ws://b\u{fc}cher.invalid/"], 1, &["no address for xn--bcher-kva.invalid"]);
}

#[test]
fn invalid_waits() {
    for wait in ["-1", "-0.5", "nan", "inf", "soon", "1e300"] {
        let ended = Running::start(&["connect", "ws://127.0.0.1:1/", "--wait", wait]).end();
        let line = &ended.stderr[0];
        assert!(
            line.starts_with("error: ") && line.contains("--wait") && line.contains("a number of seconds"),
            "{line}"
        );
        assert_eq!(ended.code(), 1, "{line}");
    }
}

#[test]
fn unknown_presets_of_compression() {
    for command in [["serve", "127.0.0.1:0"], ["connect", "ws://127.0.0.1:1/"]] {
        for preset in ["--compress=none", "--compress=", "--compress=Small"] {
            let ended = Running::start(&[&command[..], &[preset]].concat()).end();
            let lines = ended.stderr.join("\n");
            for word in ["error: ", "--compress[=<PRESET>]", "small, default, best"] {
                assert!(lines.contains(word), "{preset}: no {word:?} in {lines}");
            }
            assert_eq!((ended.code(), &ended.stdout[..]), (1, &[][..]), "{preset}");
        }
    }
}

#[test]
#[cfg(not(feature = "tls"))]
fn wss_urls_need_the_feature() {
    check(&["connect", "wss://127.0.0.1/"], 1, &["wss", "built without TLS", "`tls`"]);
}

#[test]
fn bad_ways_to_the_server() {
    let url = "ws://127.0.0.1:1/";
    check(&["connect", url, "--connect-to", "127.0.0.1"], 1, &["--connect-to", "port"]);
    check(&["connect", url, "--host", "a b"], 1, &["--host", "a b"]);
    let line = check(&["connect", url, "--proxy", "ftp://user:secret@127.0.0.1:1/"], 1, &["--proxy", "socks5"]);
    assert!(!line.contains("secret"), "{line}");
    let line = check(&["connect", url, "--proxy", "http://user:secret@127.0.0.1:1/"], 1, &["proxy", "127.0.0.1:1"]);
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn bad_header_fields() {
    // These errors precede any connection.
    let url = "ws://127.0.0.1:1/";
    let connect = |header| ["connect", url, "--header", header];
    let line = check(&connect("Authorization Bearer"), 1, &["--header \"Authorization\"", "no colon", "Name: value"]);
    assert!(!line.contains("Bearer"), "{line}");
    check(&connect("a b: c"), 1, &["--header", "a b"]);
    check(&connect("X: a\r\nEvil: b"), 1, &["X"]);
    check(&connect("Upgrade: h2c"), 1, &["Upgrade"]);
}

#[test]
fn bad_subprotocols() {
    let url = "ws://127.0.0.1:1/";
    check(&["connect", url, "--protocol", "a b"], 1, &["--protocol", "a b"]);
    check(&["connect", url, "--protocol", "chat", "--protocol", "chat"], 1, &["--protocol", "chat", "twice"]);
}

#[test]
fn no_server_listens() {
    // A port in use, so that no other program gets it, without a listener. The port of a dropped listener would not do:
    // a process that another test is starting may still hold the listener for a moment.
    let unrelated = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = TcpStream::connect(unrelated.local_addr().unwrap()).unwrap();
    let address = in_use.local_addr().unwrap();
    check(&["connect", &format!("ws://{address}/")], 1, &[&address.to_string(), "refused"]);
}

#[test]
fn no_such_host() {
    check(&["connect", "ws://no-such-host.invalid/"], 1, &["no-such-host.invalid"]);
}

/// The arguments of each kind of server.
const SERVERS: [&[&str]; 3] = [&["serve"], &["serve", "--threads", "2"], &["serve", "--blocking"]];

#[test]
fn a_busy_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for server in SERVERS {
        check(&[server, &[&address]].concat(), 1, &[&address, "in use"]);
    }
    // The event loops of one server share their port, but not with another server.
    let (_server, address) = Running::serve(&["--threads", "2"]);
    let address = address.to_string();
    for server in SERVERS {
        check(&[server, &[&address]].concat(), 1, &[&address, "in use"]);
    }
}

#[test]
fn invalid_addresses() {
    for server in SERVERS {
        check(&[server, &["nowhere"]].concat(), 1, &["nowhere", "an address looks like"]);
        check(&[server, &[""]].concat(), 1, &["cannot listen on '': ", "an address looks like"]);
        check(&[server, &["no-such-host.invalid:1"]].concat(), 1, &["no-such-host.invalid:1", "check the name"]);
        // Reserved for documentation (RFC 5737).
        check(&[server, &["192.0.2.1:0"]].concat(), 1, &["192.0.2.1:0", "this machine does not have that address"]);
    }
}

#[test]
#[cfg(unix)]
fn more_event_loops_than_descriptors() {
    let command = "ulimit -n 32 && exec \"$0\" serve 127.0.0.1:0 --threads 100";
    let ended = Running::start_through("sh", &["-c", command]).end();
    let [line] = &ended.stderr[..] else { panic!("not one line: {ended:#?}") };
    assert!(line.starts_with("error: cannot listen on 127.0.0.1:0: ") && !line.contains("an address looks"), "{line}");
    assert_eq!(ended.code(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let ended = Running::start_through("sh", &["-c", "exec \"$0\" demo >/dev/full"]).end();
    let [line] = &ended.stderr[..] else { panic!("not one line: {ended:#?}") };
    assert!(line.starts_with("error: cannot write to stdout: "), "{line}");
    assert_eq!(ended.code(), 1);
}

#[test]
fn conflicting_options_of_the_server() {
    let check = |options: &[&str], words: &[&str]| {
        let ended = Running::start(&[&["serve", "127.0.0.1:0"], options].concat()).end();
        assert_eq!((ended.code(), &ended.stdout[..]), (1, &[][..]), "{ended:?}");
        let line = &ended.stderr[0];
        assert!(line.starts_with("error: ") && words.iter().all(|word| line.contains(word)), "{line}");
    };
    check(&["--blocking", "--threads", "2"], &["--blocking", "cannot be used with", "--threads"]);
    check(&["--blocking", "--mio"], &["--blocking", "cannot be used with", "--mio"]);
    check(&["--threads", "0"], &["--threads", "1..=1024"]);
    check(&["--threads", "1025"], &["--threads", "1..=1024"]);
}

#[test]
fn a_refused_handshake_shows_status_and_body() {
    let address = answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 18\r\n\r\nnot\x1b[2J on\nSundays");
    check(&["connect", &format!("ws://{address}/")], 2, &["403", "Forbidden", "on\\nSundays", "\\u{1b}"]);
}

#[test]
fn a_server_that_speaks_something_else() {
    let address = answer("SSH-2.0-OpenSSH_9.9\r\n");
    let words = [&address.to_string(), "the server sent \"SSH-2.0-OpenSSH_9.9\", which is not HTTP"];
    check(&["connect", &format!("ws://{address}/")], 2, &words);
}

#[test]
fn invalid_origins() {
    for server in SERVERS {
        let serve = |origin| [server, &["127.0.0.1:0", "--origin", "https://example.com", "--origin", origin]].concat();
        check(
            &serve("example.com"),
            1,
            &["--origin: \"example.com\" is not an origin", "such as \"https://example.com\""],
        );
        check(&serve("*"), 1, &["error: --origin '*': use --any-origin to let any page connect"]);
    }
}

#[test]
fn a_server_that_closes_without_an_answer() {
    let address = answer("");
    check(&["connect", &format!("ws://{address}/")], 2, &[&address.to_string()]);
}

#[test]
fn bad_usage_is_not_a_refused_handshake() {
    let ended = Running::start(&["connect"]).end();
    assert_eq!(ended.code(), 1, "{ended:?}");
    let ended = Running::start(&["connect", "--help"]).end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.stdout.iter().any(|line| line == "Exit status:"), "{ended:?}");
}

/// Starts a server that answers one request with `response`. Returns its address.
fn answer(response: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(response.as_bytes()).unwrap();
    });
    address
}
