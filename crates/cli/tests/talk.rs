//! `sansocket serve` and `sansocket connect`, with each other and with other endpoints.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use sansocket_net::{Close, CloseCode, Connector, Event, Incoming, Listener, WebSocket};
use support::{PATIENCE, Running};

#[test]
fn lines_go_there_and_come_back() {
    let (server, address) = Running::serve(&[]);
    let url = format!("ws://{address}/chat?room=1");
    let mut client = Running::start(&["connect", &url, "--protocol", "b", "--protocol", "a"]);
    assert_eq!(client.stderr_line(), format!("opened: {url}, subprotocol b"));
    let opened = server.stdout_line();
    assert!(opened.ends_with(" opened: /chat?room=1, subprotocol b"), "{opened}");

    for line in ["Hello", "", "Grüße, 世界"] {
        client.type_line(line);
        assert_eq!(client.stdout_line(), line);
    }
    client.end_stdin();
    let ended = client.end();
    assert_eq!((ended.code(), &ended.stdout[..]), (0, &[][..]), "{ended:?}");
    assert_eq!(ended.stderr, ["closed: 1000, clean, begun by us"]);
    let closed = server.stdout_line();
    assert!(closed.contains(" closed: 1000, clean, 3 messages echoed (20 bytes) in "), "{closed}");
}

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
fn the_end_of_stdin_does_not_wait_for_ever() {
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
fn the_exit_status_tells_how_it_ended() {
    let close = |code: CloseCode| {
        server(move |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.close(code, "so it is").unwrap();
            last(&mut ws);
        })
    };
    for (code, status) in [(CloseCode::NORMAL, 0), (CloseCode::GOING_AWAY, 0), (CloseCode::POLICY_VIOLATION, 4)] {
        let client = Running::start(&["connect", &close(code)]);
        let ended = client.end();
        assert_eq!(ended.code(), status, "{ended:?}");
        assert_eq!(ended.stderr[1..], [format!("closed: {code} \"so it is\", clean, begun by the server")]);
    }

    let vanish = server(|incoming| drop(incoming.accept().unwrap()));
    let client = Running::start(&["connect", &vanish]);
    let ended = client.end();
    assert_eq!(ended.code(), 3, "{ended:?}");
    assert!(ended.stderr[1].starts_with("closed: 1006, not clean"), "{ended:?}");
    assert!(ended.stderr[2].starts_with("error: "), "{ended:?}");

    let babble = server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        ws.stream_mut().write_all(&[0xff; 20]).unwrap();
        while let Ok(Some(_)) = ws.read() {}
    });
    let ended = Running::start(&["connect", &babble]).end();
    assert_eq!(ended.code(), 3, "{ended:?}");
    assert!(ended.stderr.last().unwrap().starts_with("error: the peer broke the protocol: "), "{ended:?}");
}

#[test]
fn stdin_that_is_not_text_is_not_sent() {
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
fn a_closed_stdout_ends_it_quietly() {
    let url = server(|incoming| {
        let mut ws = incoming.accept().unwrap();
        while ws.send("more and more").is_ok() && ws.ready_state() == sansocket_net::ReadyState::Open {
            // Without reading, the client's Close frame would not be noticed.
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
    // As `head -1` does: reads a line, and goes.
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
fn interrupting_the_server_closes_every_connection_with_1001() {
    let (server, address) = Running::serve(&[]);
    let url = format!("ws://{address}/");
    let client = Running::start(&["connect", &url]);
    client.stderr_line();
    let mut others: Vec<_> = (0..10).map(|_| sansocket_net::connect(&url).unwrap()).collect();
    // One that never answers, and one that has not asked yet, must not keep the server.
    let _silent = sansocket_net::connect(&url).unwrap();
    let _mute = TcpStream::connect(address).unwrap();
    for ws in &mut others {
        ws.send("here").unwrap();
        assert!(matches!(ws.read(), Ok(Some(Event::Message(_)))));
    }

    server.interrupt();
    for ws in &mut others {
        let close = last(ws).expect("a Close event");
        assert_eq!((close.code, close.was_clean), (CloseCode::GOING_AWAY, true), "{close:?}");
    }
    let ended = client.end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.stderr[0].starts_with("closed: 1001, clean"), "{ended:?}");
    assert_eq!(server.end().code(), 0);
}

#[test]
fn a_second_interrupt_ends_the_server_at_once() {
    let (server, address) = Running::serve(&[]);
    let mut silent = sansocket_net::connect(&format!("ws://{address}/")).unwrap();
    server.stdout_line_with("opened");
    server.interrupt();
    // The Close frame is there: the first interrupt has been heard, and waits for an answer that does not come.
    let mut head = [0; 1];
    silent.stream_mut().read_exact(&mut head).unwrap();
    assert_eq!(head, [0x88]);
    server.interrupt();
    assert_eq!(server.end().code(), 130);
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

#[test]
fn http_gets_its_answer() {
    let (server, address) = Running::serve(&[]);
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status).unwrap();
        status
    };
    let plain = "GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n";
    assert!(ask(plain).starts_with("HTTP/1.1 426 "));
    assert!(server.stdout_line().ends_with(" refused: GET /page asks for no WebSocket: told 426"));
    assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(server.stdout_line().contains(" refused: "));
}

#[test]
fn pages_of_other_origins_are_refused_unless_the_flag_lets_them_in() {
    let connect = |address| Connector::new().origin("https://elsewhere.example").connect(&format!("ws://{address}/"));
    let (server, address) = Running::serve(&[]);
    let error = connect(address).unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
    let refused = server.stdout_line();
    assert!(refused.contains("https://elsewhere.example") && refused.contains("--any-origin"), "{refused}");

    let (_server, address) = Running::serve(&["--any-origin"]);
    connect(address).unwrap();
}

#[test]
fn quiet_says_where_it_listens_and_no_more() {
    let (server, address) = Running::serve(&["--quiet"]);
    let mut ws = sansocket_net::connect(&format!("ws://{address}/")).unwrap();
    ws.close(CloseCode::NORMAL, "").unwrap();
    last(&mut ws);
    server.interrupt();
    let ended = server.end();
    assert_eq!((ended.code(), ended.stdout, ended.stderr), (0, vec![], vec![]));
}

#[test]
fn a_client_killed_midway_leaves_the_server_serving() {
    let (server, address) = Running::serve(&[]);
    let url = format!("ws://{address}/");
    let client = Running::start(&["connect", &url]);
    server.stdout_line_with("opened");
    drop(client);
    server.stdout_line_with("closed: 1006, not clean");

    let mut ws = sansocket_net::connect(&url).unwrap();
    ws.send("still there?").unwrap();
    assert!(matches!(ws.read(), Ok(Some(Event::Message(_)))));
}

#[test]
#[cfg(unix)]
fn too_many_open_files_are_said_once_and_pass() {
    let server = Running::start_through("sh", &["-c", "ulimit -n 32 && exec \"$0\" serve 127.0.0.1:0 --quiet"]);
    let line = server.stdout_line();
    let url = line.strip_prefix("listening on ").unwrap();
    let address = url.strip_prefix("ws://").unwrap();

    // TCP connects whether the server accepts or not: the system does it.
    let crowd: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
    let said = server.stderr_line();
    assert!(said.starts_with("cannot accept connections for now: "), "{said}");
    drop(crowd);
    assert_eq!(server.stderr_line(), "accepting connections again");
    let mut ws = sansocket_net::connect(url).unwrap();
    ws.send("still there?").unwrap();
    assert!(matches!(ws.read(), Ok(Some(Event::Message(_)))));
}

#[test]
#[cfg(unix)]
fn a_server_that_nobody_reads_serves_on() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["serve", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let url = first.trim().strip_prefix("listening on ").unwrap();
    for _ in 0..2 {
        let mut ws = sansocket_net::connect(url).unwrap();
        ws.send("anyone?").unwrap();
        assert!(matches!(ws.read(), Ok(Some(Event::Message(_)))));
    }
    server.kill().unwrap();
    let stderr = String::from_utf8(server.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("cannot write to stdout: "), "{stderr}");
}

/// A server for one connection; its URL.
fn server(serve: impl FnOnce(Incoming) + Send + 'static) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", tcp.local_addr().unwrap());
    thread::spawn(move || serve(Listener::from(tcp).accept().unwrap()));
    url
}

/// Reads to the end.
fn last(ws: &mut WebSocket<TcpStream>) -> Option<Close> {
    ws.events().filter_map(Result::ok).find_map(|event| match event {
        Event::Close(close) => Some(close),
        _ => None,
    })
}
