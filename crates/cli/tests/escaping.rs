//! Text that a peer chose is escaped before it reaches a log or a terminal.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use sansocket_net::{Acceptor, CloseCode, Connector, Incoming};
use support::{Running, last, with_each_server};

/// One character of each category that is escaped, and text that stays as it is.
const HOSTILE: &str = "Grüße\u{85}\u{202e}\u{2066}\u{200b}\u{2028}\u{2029}\u{e000}\u{378}世界";
const ESCAPED: &str = r"Grüße\u{85}\u{202e}\u{2066}\u{200b}\u{2028}\u{2029}\u{e000}\u{378}世界";

#[test]
fn requests_and_reasons_in_the_log() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let url = format!("ws://{address}/");
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {HOSTILE}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0; b"HTTP/1.1 403".len()]).unwrap();
        // The blocking server waits for the end of the connection before it logs.
        drop(stream);
        let refused = server.stdout_line();
        let logged =
            format!(" refused: GET / from a page of {ESCAPED}: answered 403 (--origin or --any-origin permits it)");
        assert!(refused.ends_with(&logged), "{refused}");

        let mut client = Connector::new().connect(&url).unwrap();
        client.close(CloseCode::NORMAL, HOSTILE).unwrap();
        last(&mut client);
        let closed = server.stdout_line_with("closed");
        assert!(closed.contains(&format!(" closed: 1000, clean, \"{ESCAPED}\", 0 messages")), "{closed}");
    });
}

#[test]
fn long_parts_of_a_request_are_cut() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let path = "a".repeat(6000);
        let origin = "\u{202e}".repeat(2000);
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        TcpStream::connect(address).unwrap().write_all(request.as_bytes()).unwrap();
        let refused = server.stdout_line();
        assert!(refused.len() < 1100, "{} bytes: {refused}", refused.len());
        assert!(refused.contains(" refused: GET /aaa"), "{refused}");
        assert!(refused.contains(&format!("a… ({} bytes cut) from a page of \\u{{202e}}", 6001 - 512)), "{refused}");
        assert!(refused.contains(r"\u{202e}… ("), "{refused}");
        assert!(refused.ends_with(" bytes cut): answered 403 (--origin or --any-origin permits it)"), "{refused}");
    });
}

#[test]
fn pings_pongs_and_reasons_on_stderr() {
    let url = server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.ping(HOSTILE.as_bytes()).unwrap();
        ws.pong(HOSTILE.as_bytes()).unwrap();
        ws.close(CloseCode::NORMAL, HOSTILE).unwrap();
        last(&mut ws);
    });
    let ended = Running::start(&["connect", &url]).end();
    let notes =
        ["ping: ", "pong: ", "close received: 1000 ", "closed: 1000 "].map(|what| format!("{what}\"{ESCAPED}\""));
    assert_eq!(ended.stderr[1..4], notes[..3]);
    assert_eq!(ended.stderr[4], format!("{}, clean, begun by the server", notes[3]));
}

#[test]
fn refusals_on_stderr() {
    let refusal = |location: &str, body: &str| {
        let (location, body) = (location.to_owned(), body.to_owned());
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", tcp.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = tcp.accept().unwrap();
            let (length, head) = (body.len(), "HTTP/1.1 302 Found\r\nLocation: ");
            write!(stream, "{head}{location}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            // Waits until the client has disconnected.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let ended = Running::start(&["connect", &url]).end();
        assert_eq!((ended.code(), ended.stderr.len()), (2, 1), "{ended:?}");
        ended.stderr[0].clone()
    };
    let line = refusal(HOSTILE, HOSTILE);
    assert!(line.ends_with(&format!(": 302 Found, to {ESCAPED}: {ESCAPED}")), "{line}");
    let line = refusal(&"/".repeat(10_000), &"\u{202e}".repeat(500));
    assert!(line.contains(", to ////") && line.contains("/… (9744 bytes cut): \\u{202e}"), "{line}");
    assert!(line.ends_with(r"\u{202e}… (1404 bytes cut)"), "{line}");
}

#[test]
fn messages_reach_a_pipe_as_they_were_sent() {
    let ended = Running::start(&["connect", &greeter()]).end();
    assert_eq!((ended.code(), &ended.stdout[..]), (0, &[HOSTILE.to_owned()][..]), "{ended:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn messages_are_escaped_on_a_terminal() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::{Command, Stdio};

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    // It must not become the controlling terminal of the tests.
    let terminal = File::options()
        .write(true)
        .custom_flags(OpenptFlags::NOCTTY.bits() as i32)
        .open(std::ffi::OsStr::from_bytes(name.to_bytes()))
        .unwrap();
    let shown = support::lines(File::from(master));

    let mut client = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["connect", &greeter()])
        .stdin(Stdio::null())
        .stdout(terminal)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let line = shown.recv_timeout(support::TIMEOUT);
    let _ = client.wait();
    assert_eq!(line.expect("a line").trim_end(), ESCAPED);
}

/// Starts a server that sends one message. Returns its URL.
fn greeter() -> String {
    server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.send(HOSTILE).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        last(&mut ws);
    })
}

/// Starts a server for one connection. Returns its URL.
fn server(serve: impl FnOnce(Incoming) + Send + 'static) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", tcp.local_addr().unwrap());
    thread::spawn(move || serve(Acceptor::new().listen(tcp).unwrap().accept().unwrap().unwrap()));
    url
}
