//! `sansocket serve`: the same behaviour and output with event loops and with a thread for each connection.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::{CloseCode, Connector, Event, Message, WebSocket};
use support::{Running, TIMEOUT, interrupt, last, lines, with_each_server};

type Client = WebSocket<TcpStream>;

/// Longer than a server that is not blocked takes to answer.
const STALL: Duration = Duration::from_millis(300);

#[test]
fn lines_are_echoed() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
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
        assert_eq!(ended.stderr, ["close received: 1000", "closed: 1000, clean, begun by us"]);
        let closed = server.stdout_line();
        assert!(closed.contains(" closed: 1000, clean, 3 messages echoed (20 bytes) in "), "{closed}");
    });
}

#[test]
fn each_line_names_its_connection() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let open = |target: &str| {
            let client = connect(&format!("ws://{address}{target}"));
            let local = client.stream().local_addr().unwrap();
            assert_eq!(server.stdout_line(), format!("{local} opened: {target}"));
            (client, local)
        };
        let assert_closed = |local: SocketAddr, how: &str| {
            let closed = server.stdout_line();
            assert!(closed.starts_with(&format!("{local} closed: {how} in ")), "{closed:?}, not {how:?}");
        };
        let mut clients: Vec<_> = ["/a", "/b", "/c"].map(open).into();
        for (number, (client, _)) in clients.iter_mut().enumerate() {
            (0..number).for_each(|_| assert_echo(client, "Hello"));
        }
        for summary in ["2 messages echoed (10 bytes)", "1 message echoed (5 bytes)", "0 messages echoed (0 bytes)"] {
            let (client, local) = clients.pop().unwrap();
            close(client, CloseCode::new(4000).unwrap(), "over");
            assert_closed(local, &format!("4000, clean, \"over\", {summary}"));
            // A new connection takes the place of the closed one.
            let (next, local) = open("/next");
            drop(next);
            assert_closed(local, "1006, not clean, 0 messages echoed (0 bytes)");
        }
    });
}

#[test]
fn the_closing_line_names_the_error_of_the_client() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let mut client = connect(&format!("ws://{address}/"));
        server.stdout_line_with("opened");
        client.stream_mut().write_all(b"\x81\x05Hello").unwrap();
        last(&mut client);
        let closed = server.stdout_line();
        let expected =
            " closed: 1006, not clean, the peer broke the protocol: a client sent a frame without masking it, 0 ";
        assert!(closed.contains(expected), "{closed}");
    });
}

#[test]
fn refusals_are_answered_and_logged() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let check = |request: &str, status: &str, logged: &str| {
            assert_eq!(ask(address, request), status);
            let line = server.stdout_line();
            assert!(line.ends_with(logged), "{line:?}, not {logged:?}");
        };
        check(
            "GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "HTTP/1.1 426 Upgrade Required",
            " refused: GET /page is not a WebSocket request: answered 426",
        );
        check(
            "nonsense\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
            " refused: opening handshake failed: the request is malformed",
        );
        let silent = TcpStream::connect(address).unwrap();
        let local = silent.local_addr().unwrap();
        drop(silent);
        let line = server.stdout_line();
        assert!(line.starts_with(&format!("{local} refused: opening handshake failed: ")), "{line}");
    });
}

#[test]
fn pages_of_other_origins_are_refused_unless_an_option_permits_them() {
    with_each_server(|kind| {
        let connect =
            |address| Connector::new().origin("https://elsewhere.example").connect(&format!("ws://{address}/chat"));
        let (server, address) = Running::serve(&[kind]);
        let error = connect(address).unwrap_err().to_string();
        assert!(error.contains("403"), "{error}");
        let refused = server.stdout_line();
        let logged =
            "GET /chat from a page of https://elsewhere.example: answered 403 (--origin or --any-origin permits it)";
        assert!(refused.ends_with(logged), "{refused}");

        let (_server, address) = Running::serve(&[kind, "--any-origin"]);
        connect(address).unwrap();
        let options = [kind, "--origin", "https://a.example", "--origin", "https://*.example/"];
        let (_server, address) = Running::serve(&options);
        connect(address).unwrap();
        let same = Connector::new().origin(format!("http://{address}")).connect(&format!("ws://{address}/"));
        assert!(same.unwrap_err().to_string().contains("403"));
    });
}

#[test]
fn a_quiet_server_prints_only_its_address() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind, "--quiet"]);
        let mut client = connect(&format!("ws://{address}/"));
        assert_echo(&mut client, "Hello");
        close(client, CloseCode::NORMAL, "");
        ask(address, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        server.interrupt();
        let ended = server.end();
        assert_eq!((ended.code(), ended.stdout, ended.stderr), (0, vec![], vec![]));
    });
}

#[test]
fn a_client_killed_midway_leaves_the_server_serving() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let url = format!("ws://{address}/");
        let client = Running::start(&["connect", &url]);
        server.stdout_line_with("opened");
        drop(client);
        server.stdout_line_with("closed: 1006, not clean");
        assert_echo(&mut connect(&url), "still there?");
    });
}

#[test]
fn a_client_that_reads_late_gets_every_echo() {
    const MESSAGES: usize = 24;
    const LENGTH: usize = 1 << 20;
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let (mut reader, writer) = connect(&format!("ws://{address}/")).split().unwrap();
        let (sent, sends) = mpsc::channel();
        let sending = thread::spawn(move || {
            for number in 0..MESSAGES {
                writer.send(vec![number as u8; LENGTH]).unwrap();
                sent.send(()).unwrap();
            }
            writer.close(CloseCode::NORMAL, "").unwrap();
        });
        // Until all is sent or sending stalls: the server does not read from a client that does not read.
        while sends.recv_timeout(STALL).is_ok() {}
        for number in 0..MESSAGES {
            let message = reader.events().map(Result::unwrap).find_map(|event| match event {
                Event::Message(Message::Binary(bytes)) => Some(bytes),
                _ => None,
            });
            let message = message.expect("an echo");
            assert!(message.len() == LENGTH && message.iter().all(|&byte| byte == number as u8), "echo {number}");
        }
        assert!(matches!(reader.events().last(), Some(Ok(Event::Close(close))) if close.was_clean));
        sending.join().unwrap();
        let logged = format!("closed: 1000, clean, {MESSAGES} messages echoed ({} bytes)", MESSAGES * LENGTH);
        server.stdout_line_with(&logged);
    });
}

#[test]
fn interrupting_the_server_closes_every_connection_with_1001() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let url = format!("ws://{address}/");
        let client = Running::start(&["connect", &url]);
        client.stderr_line();
        let mut others: Vec<_> = (0..10).map(|_| connect(&url)).collect();
        // Neither a client that never answers nor one without a request yet may keep the server from ending.
        let _silent = connect(&url);
        let _mute = TcpStream::connect(address).unwrap();
        others.iter_mut().for_each(|other| assert_echo(other, "here"));

        let interrupted = Instant::now();
        server.interrupt();
        others.iter_mut().for_each(assert_going_away);
        let ended = client.end();
        assert_eq!(ended.code(), 0, "{ended:?}");
        assert_eq!(ended.stderr, ["close received: 1001", "closed: 1001, clean, begun by the server"]);
        let ended = server.end();
        assert_eq!(ended.code(), 0, "{ended:?}");
        assert_eq!(ended.stderr, ["1 connection was dropped: there was no closing handshake in time"]);
        // The log is complete.
        let count = |what| ended.stdout.iter().filter(|line| line.contains(what)).count();
        assert_eq!((count(" closed: 1001, clean, "), count(" closed: 1006, not clean, ")), (11, 1), "{ended:?}");
        // The end after the deadline takes a moment on a busy machine.
        assert!(interrupted.elapsed() < sansocket_net::Config::default().closing_timeout * 2);
    });
}

#[test]
fn a_second_interrupt_ends_the_server_at_once() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let mut silent = connect(&format!("ws://{address}/"));
        server.stdout_line_with("opened");
        server.interrupt();
        // The Close frame shows that the server has handled the first interrupt. It waits for an answer that does not
        // come.
        let mut head = [0; 1];
        silent.stream_mut().read_exact(&mut head).unwrap();
        assert_eq!(head, [0x88]);
        server.interrupt();
        assert_eq!(server.end().code(), 130);
    });
}

#[test]
fn a_server_that_is_ending_accepts_no_more_clients() {
    with_each_server(|kind| {
        let (server, address) = Running::serve(&[kind]);
        let mut silent = connect(&format!("ws://{address}/"));
        server.stdout_line_with("opened");
        server.interrupt();
        let mut head = [0; 1];
        silent.stream_mut().read_exact(&mut head).unwrap();
        assert_eq!(head, [0x88]);
        // The server waits for the client's answer.
        while TcpStream::connect(address).is_ok() {
            thread::yield_now();
        }
        server.interrupt();
        assert_eq!(server.end().code(), 130);
    });
}

#[test]
fn several_event_loops_serve_and_close_all() {
    const CLIENTS: usize = 24;
    let (server, address) = Running::serve(&["--threads", "2"]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|number| connect(&format!("ws://{address}/{number}"))).collect();
    for client in &mut clients {
        for message in ["Hello", "again"] {
            assert_echo(client, message);
        }
    }
    server.interrupt();
    clients.iter_mut().for_each(assert_going_away);
    let ended = server.end();
    assert_eq!((ended.code(), &ended.stderr[..]), (0, &[][..]), "{ended:?}");
    let count = |what| ended.stdout.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count(" opened: /"), CLIENTS, "{ended:?}");
    assert_eq!(count(" closed: 1001, clean, 2 messages echoed (10 bytes) in "), CLIENTS, "{ended:?}");
}

/// Each loop's epoll watches its share of the connections, besides a waker and a listener.
#[test]
#[cfg(target_os = "linux")]
fn event_loops_have_even_shares_of_the_connections() {
    for count in [2, 4, 8] {
        let (server, address) = Running::serve(&["--threads", &count.to_string()]);
        let watched = || -> Vec<usize> {
            let files = std::fs::read_dir(format!("/proc/{}/fdinfo", server.id())).unwrap();
            let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
            let watched = texts.map(|text| text.lines().filter(|line| line.starts_with("tfd:")).count());
            watched.filter(|&watched| watched > 0).collect()
        };
        let before = watched();
        assert_eq!(before, vec![2; count]);
        let mut clients: Vec<_> = (0..3 * count).map(|_| connect(&format!("ws://{address}/"))).collect();
        clients.iter_mut().for_each(|client| assert_echo(client, "Hello"));
        assert_eq!(watched(), vec![5; count]);
    }
}

/// The default is one event loop. Options add event loops, or a thread for each connection.
#[test]
#[cfg(target_os = "linux")]
fn options_set_the_number_of_threads() {
    let threads = |arguments: &[&str]| {
        let (server, address) = Running::serve(arguments);
        let mut clients: Vec<_> = (0..10).map(|_| connect(&format!("ws://{address}/"))).collect();
        clients.iter_mut().for_each(|client| assert_echo(client, "Hello"));
        std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().count()
    };
    let one = threads(&[]);
    assert!(one < 10, "{one} threads");
    assert_eq!(threads(&["--mio"]), one);
    assert_eq!(threads(&["--threads", "3"]), one + 2);
    assert!(threads(&["--blocking"]) > 10);
}

#[test]
#[cfg(unix)]
fn too_many_open_files_are_reported_once_and_the_server_recovers() {
    with_each_server(|kind| {
        let command = format!("ulimit -n 32 && exec \"$0\" serve 127.0.0.1:0 --quiet {kind}");
        let server = Running::start_through("sh", &["-c", &command]);
        let line = server.stdout_line();
        let url = line.strip_prefix("listening on ").unwrap();
        let address = url.strip_prefix("ws://").unwrap();

        // TCP connects whether the server accepts or not: the system does it.
        let crowd: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let note = server.stderr_line();
        assert!(note.starts_with("cannot accept connections for now: "), "{note}");
        drop(crowd);
        assert_eq!(server.stderr_line(), "accepting connections again");
        assert_echo(&mut connect(url), "still there?");
    });
}

#[test]
#[cfg(unix)]
fn a_closed_stdout_does_not_end_the_server() {
    with_each_server(|kind| {
        let (mut server, url, stdout) = serve_unread(kind);
        drop(stdout);
        let stderr = lines(server.stderr.take().unwrap());
        // A process that another test has forked holds the pipe open until it executes its program.
        let started = Instant::now();
        let note = loop {
            assert_echo(&mut connect(&url), "anyone?");
            match stderr.try_recv() {
                Ok(note) => break note,
                Err(_) => assert!(started.elapsed() < TIMEOUT, "no note"),
            }
        };
        assert!(note.starts_with("cannot write to stdout: "), "{note}");
        assert_echo(&mut connect(&url), "anyone?");
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(stderr.iter().collect::<Vec<_>>(), [""; 0]);
    });
}

#[test]
#[cfg(unix)]
fn an_unread_stdout_does_not_delay_the_end() {
    with_each_server(|kind| {
        let (server, url, _stdout) = serve_unread(kind);
        let address = url.trim_start_matches("ws://");
        // This client does not answer the server's Close frame.
        let mut silent = connect(&url);
        assert_echo(&mut silent, "Hello");
        // The lines of a few such clients fill the pipe.
        let request = format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "x".repeat(8000)
        );
        let mut clients = Vec::new();
        for _ in 0..40 {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(STALL)).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            let is_stuck = client.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            clients.push(client);
            if is_stuck {
                break;
            }
        }
        interrupt(server.id());
        let (ended, ends) = mpsc::channel();
        thread::spawn(move || ended.send(server.wait_with_output().unwrap()));
        let ended = ends.recv_timeout(TIMEOUT).expect("the server ends");
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{stderr}");
        assert!(stderr.contains(" dropped: there was no closing handshake in time"), "{stderr}");
    });
}

/// Starts a server. Returns it, its URL, and its stdout after the first line.
fn serve_unread(kind: &str) -> (Child, String, BufReader<ChildStdout>) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_sansocket"))
        .args(["serve", "127.0.0.1:0", kind])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    let url = first.trim().strip_prefix("listening on ").unwrap().to_owned();
    (server, url, stdout)
}

fn connect(url: &str) -> Client {
    let client = sansocket_net::connect(url).unwrap();
    client.stream().set_read_timeout(Some(TIMEOUT)).unwrap();
    client
}

fn assert_echo(client: &mut Client, message: &str) {
    client.send(message).unwrap();
    match client.read().unwrap() {
        Some(Event::Message(echo)) => assert_eq!(echo.as_text(), Some(message)),
        other => panic!("{other:?} instead of {message:?}"),
    }
}

fn assert_going_away(client: &mut Client) {
    let close = last(client).expect("a Close event");
    assert_eq!((close.code, close.was_clean), (CloseCode::GOING_AWAY, true), "{close:?}");
}

fn close(mut client: Client, code: CloseCode, reason: &str) {
    client.close(code, reason).unwrap();
    assert!(last(&mut client).is_some_and(|close| close.was_clean));
}

/// Sends a request. Returns the first line of the answer.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).unwrap();
    status.trim_end().to_owned()
}
