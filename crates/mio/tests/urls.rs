//! URLs with hosts outside ASCII, and the redaction of credentials.

mod support;

use std::io::Write;
use std::net::TcpListener;

use sansocket_mio::{Accept, Answer, Connector, DialError, HttpResponse, Socket, Target, now};
use support::*;

/// UTS 46: the host is converted before it is looked up or sent.
#[test]
#[cfg(feature = "idna")]
fn hosts_outside_ascii_are_converted() {
    for (host, sent) in [
        ("b\u{fc}cher.example", "xn--bcher-kva.example"),
        ("example.com", "example.com"),
        // full-width digits, which the conversion turns into an address
        ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", "127.0.0.1"),
    ] {
        bounded(move || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let url = format!("ws://{host}:{}/chat", address.port());
            let client = run(
                &options(|_| ()),
                |_| (),
                |event_loop| {
                    let connected = match sent {
                        "127.0.0.1" => event_loop.connect(&url),
                        _ => event_loop.connect_with(&connector_to(&[address]), url.parse().unwrap(), ()),
                    };
                    connected.unwrap();
                },
            );
            let request = read_head(&mut listener.accept().unwrap().0);
            let line = request.lines().find(|line| line.starts_with("Host: ")).unwrap();
            assert_eq!(line, format!("Host: {sent}:{}", address.port()));
            client.stop();
        });
    }
}

#[test]
#[cfg(not(feature = "idna"))]
fn hosts_outside_ascii_are_refused() {
    let expected = "URL: the host \"b\u{fc}cher.example\" is not ASCII: write its ASCII form, which begins with xn--, \
                    or enable the feature `idna`";
    let connect = move |event_loop: &mut sansocket_mio::EventLoop<Recorder>| {
        let error = event_loop.connect("ws://b\u{fc}cher.example/").unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    bounded(move || run(&options(|_| ()), |_| (), connect).stop());
}

/// Neither `Debug`, plain or pretty, nor a message shows credentials.
#[test]
fn credentials_are_redacted() {
    bounded(|| {
        let check = |shown: [String; 2], visible: &str| {
            assert!(shown.iter().all(|shown| !shown.contains("hunter2") && shown.contains(visible)), "{shown:?}");
        };
        for name in ["Authorization", "cookie", "Proxy-Authorization", "SET-COOKIE"] {
            for answer in [
                Answer::from(Accept::new().header(name, "hunter2")),
                Answer::from(HttpResponse::new(401).header(name, "hunter2")),
            ] {
                check([format!("{answer:?}"), format!("{answer:#?}")], "<redacted>");
            }
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let target: Target = format!("ws://{address}/").parse().unwrap();
            let connector = Connector::new().header(name, "hunter2");
            let socket = Socket::connect(&connector, target.clone(), now()).unwrap();
            check([format!("{socket:?}"), format!("{socket:#?}")], "Connecting");
            check([format!("{connector:?}"), format!("{connector:#?}")], "<redacted>");

            let client = run(
                &options(|_| ()),
                |_| (),
                |event_loop| {
                    event_loop.connect_with(&connector, target, ()).unwrap();
                },
            );
            let mut stream = listener.accept().unwrap().0;
            assert!(read_head(&mut stream).contains("hunter2"));
            let response = format!("HTTP/1.1 401 No\r\n{name}: hunter2\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).unwrap();
            let error = client.connect_error();
            assert!(matches!(error, DialError::Opening(_)), "{error:?}");
            check([format!("{error:?}"), format!("{error:#?}")], "<redacted>");
            client.stop();
        }
    });
}

#[test]
fn passwords_in_urls_are_not_shown() {
    for url in ["ws://user:hunter2@localhost/", "ws://user:hunter2", "user:hunter2@localhost"] {
        let shown = match url.parse::<Target>() {
            Ok(target) => format!("{target:?} {target:#?} {target}"),
            Err(error) => format!("{error:?} {error:#?} {error}"),
        };
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
