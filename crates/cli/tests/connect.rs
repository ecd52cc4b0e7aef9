//! `sansocket connect`, with `sansocket serve` and with other endpoints.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use sansocket_net::{Acceptor, CloseCode, Event, Incoming};
use support::{Running, last};

#[test]
fn the_end_of_stdin_waits_for_the_replies() {
    let (_server, address) = Running::serve(&[]);
    let mut client = Running::start(&["connect", &format!("ws://{address}/"), "--wait", "30"]);
    let lines: Vec<_> = (0..1000).map(|i| format!("line {i}")).collect();
    lines.iter().for_each(|line| client.type_line(line));
    client.end_stdin();
    let ended = client.end();
    assert_eq!((ended.code(), ended.stdout), (0, lines));
}

#[test]
fn the_end_of_stdin_waits_for_a_limited_time() {
    let url = server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.send("I do not reply").unwrap();
        last(&mut ws);
    });
    let mut client = Running::start(&["connect", &url, "--wait", "0.1"]);
    ["a", "b"].iter().for_each(|line| client.type_line(line));
    client.end_stdin();
    let ended = client.end();
    assert_eq!((ended.code(), &ended.stdout[..]), (0, &["I do not reply".to_owned()][..]));
}

#[test]
fn binary_as_hex_or_raw() {
    let send = |incoming: Incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.send(b"\x00A\n\xff".as_slice()).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        last(&mut ws);
    };
    let ended = Running::start(&["connect", &server(send)]).end();
    assert_eq!((ended.code(), &ended.stdout[..]), (0, &["0041 0aff".replace(' ', "")][..]));

    let output = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["connect", &server(send), "--binary", "raw"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"\x00A\n\xff");
}

#[test]
fn the_exit_status_depends_on_the_end() {
    let close = |code: CloseCode| {
        server(move |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.close(code, "done").unwrap();
            last(&mut ws);
        })
    };
    for (code, status) in [(CloseCode::NORMAL, 0), (CloseCode::GOING_AWAY, 0), (CloseCode::POLICY_VIOLATION, 4)] {
        let client = Running::start(&["connect", &close(code)]);
        let ended = client.end();
        assert_eq!(ended.code(), status, "{ended:?}");
        let notes = [
            format!("close received: {code} \"done\""),
            format!("closed: {code} \"done\", clean, begun by the server"),
        ];
        assert_eq!(ended.stderr[1..], notes);
    }

    let vanish = server(|incoming| drop(incoming.accept().unwrap()));
    let client = Running::start(&["connect", &vanish]);
    let ended = client.end();
    assert_eq!(ended.code(), 3, "{ended:?}");
    assert!(ended.stderr[1].starts_with("closed: 1006, not clean"), "{ended:?}");
    assert!(ended.stderr[2].starts_with("error: "), "{ended:?}");

    let broken = server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.stream_mut().write_all(&[0xff; 20]).unwrap();
        while let Ok(Some(_)) = ws.read() {}
    });
    let ended = Running::start(&["connect", &broken]).end();
    assert_eq!(ended.code(), 3, "{ended:?}");
    assert!(ended.stderr.last().unwrap().starts_with("error: the peer broke the protocol: "), "{ended:?}");
}

/// The connection may take long to end. The report shows the user at once that no more lines can be sent.
#[test]
fn the_close_of_the_server_is_reported_at_once() {
    let (end, is_ending) = mpsc::channel();
    let url = server(move |incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.close(CloseCode::GOING_AWAY, "maintenance").unwrap();
        is_ending.recv().unwrap();
        last(&mut ws);
    });
    let client = Running::start(&["connect", &url]);
    assert!(client.stderr_line().starts_with("opened: "));
    assert_eq!(client.stderr_line(), "close received: 1001 \"maintenance\"");
    end.send(()).unwrap();
    let ended = client.end();
    assert_eq!(ended.stderr, ["closed: 1001 \"maintenance\", clean, begun by the server"]);
    assert_eq!(ended.code(), 0);
}

#[test]
fn stdin_that_is_not_utf_8_is_not_sent() {
    let (_server, address) = Running::serve(&[]);
    let mut client = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["connect", &format!("ws://{address}/")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"good\nb\xffd\n").unwrap();
    let output = client.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b"good\n"[..]), "{stderr}");
    assert!(stderr.contains("error: line 2 of stdin is not UTF-8"), "{stderr}");
}

#[test]
fn a_closed_stdout_ends_the_client_cleanly() {
    let url = server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        while ws.send("more and more").is_ok() && ws.ready_state() == sansocket_net::ReadyState::Open {
            // The client's Close frame arrives only by reading.
            ws.ping(b"").ok();
            match ws.read() {
                Ok(Some(Event::Pong(_))) => {}
                _ => break,
            }
        }
        last(&mut ws);
    });
    let mut client = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["connect", &url])
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    // Reads a line and closes the pipe, as `head -1` does.
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let stdin = client.stdin.take();
    let mut stderr = String::new();
    client.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = client.wait().unwrap();
    drop(stdin);
    assert_eq!((first.as_str(), status.code()), ("more and more\n", Some(0)), "{stderr}");
    let about_stdout: Vec<_> = stderr.lines().filter(|line| line.starts_with("cannot write to stdout")).collect();
    assert_eq!(about_stdout.len(), 1, "{stderr}");
    assert!(!stderr.contains("panic"), "{stderr}");
}

#[test]
fn interrupting_the_client_closes_with_1001() {
    let (server, address) = Running::serve(&[]);
    let mut client = Running::start(&["connect", &format!("ws://{address}/")]);
    client.type_line("ready");
    client.stdout_line();
    client.interrupt();
    let ended = client.end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    server.stdout_line_with("closed: 1001, clean");
}

/// Starts a server for one connection. Returns its URL.
fn server(serve: impl FnOnce(Incoming) + Send + 'static) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", tcp.local_addr().unwrap());
    thread::spawn(move || serve(Acceptor::new().listen(tcp).unwrap().accept().unwrap().unwrap()));
    url
}

/// Accepts one connection, and returns the head of its request after it has answered with `respond`.
fn head_of_request(respond: impl FnOnce(&str) -> String + Send + 'static) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut head = String::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0);
        }
        stream.write_all(respond(&head).as_bytes()).unwrap();
        head
    });
    (address, server)
}

#[test]
fn the_request_has_a_user_agent_the_credentials_of_the_url_and_another_host() {
    let not_found = |_: &str| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (address, server) = head_of_request(not_found);
    let url = "ws://user:secret@server.example/";
    let ended = Running::start(&["connect", url, "--connect-to", &address, "--host", "other.example"]).end();
    assert_eq!(ended.code(), 2, "{ended:?}");
    assert!(ended.stderr[0].starts_with("error: ws://server.example/: HTTP: ") && !ended.stderr[0].contains("secret"));
    let head = server.join().unwrap();
    for line in
        ["\r\nHost: other.example\r\n", "\r\nUser-Agent: sansocket/", "\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n"]
    {
        assert!(head.contains(line), "{head}");
    }
    let (address, server) = head_of_request(not_found);
    Running::start(&["connect", &format!("ws://{address}/"), "-H", "user-agent: mine"]).end();
    let head = server.join().unwrap();
    assert!(head.contains("user-agent: mine\r\n") && !head.contains("sansocket"), "{head}");
}

#[test]
fn redirects_are_followed_only_with_follow() {
    let (_echo, target) = Running::serve(&[]);
    let redirect = move |_: &str| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n")
    };
    let (address, _server) = head_of_request(redirect);
    let ended = Running::start(&["connect", &format!("ws://{address}/")]).end();
    assert!(ended.code() == 2 && ended.stderr[0].contains("--follow"), "{ended:?}");
    let (address, _server) = head_of_request(redirect);
    let mut client = Running::start(&["connect", "--follow", &format!("ws://{address}/")]);
    client.type_line("Hello");
    client.end_stdin();
    let ended = client.end();
    assert_eq!((ended.code(), &ended.stdout[..]), (0, &["Hello".to_owned()][..]), "{ended:?}");
}

#[test]
#[cfg(unix)]
fn a_unix_socket_is_reached() {
    let path = std::env::temp_dir().join(format!("sansocket-cli-connect-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let incoming = Acceptor::new().incoming(listener.accept().unwrap().0);
        assert!(incoming.accept().unwrap().finish().unwrap().was_clean);
    });
    let client = Running::start(&["connect", &format!("ws+unix:{}:/chat", path.display())]).end();
    server.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(client.code(), 0, "{client:?}");
}
