//! The examples work as documented.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use support::*;
use tungstenite::Message as Theirs;

struct Example {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Example {
    /// Starts an example. Cargo has built it with the tests.
    fn start(name: &str, arguments: &[&str]) -> Self {
        let test: PathBuf = std::env::current_exe().unwrap();
        let folder = test.parent().unwrap().parent().unwrap().join("examples");
        let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let mut command = Command::new(program);
        let mut process = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    /// Reads the address at which the example listens.
    fn address(&mut self) -> SocketAddr {
        self.line().rsplit_once("//").unwrap().1.parse().unwrap()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn echo_server_echoes() {
    bounded(|| {
        let mut example = Example::start("echo_server", &["127.0.0.1:0"]);
        let mut client = client(example.address());
        client.send(Theirs::text("Hello")).unwrap();
        assert_eq!(client.read().unwrap(), Theirs::text("Hello"));
    });
}

#[test]
fn fan_out_server_sends_to_all_connections() {
    bounded(|| {
        let mut example = Example::start("fan_out_server", &["127.0.0.1:0"]);
        let address = example.address();
        let mut clients = [client(address), client(address), client(address)];
        clients[0].send(Theirs::text("Hello")).unwrap();
        clients[0].send(Theirs::text("everyone")).unwrap();
        for client in &mut clients {
            assert_eq!(client.read().unwrap(), Theirs::text("Hello"));
            assert_eq!(client.read().unwrap(), Theirs::text("everyone"));
        }
    });
}

#[test]
fn chat_has_rooms_and_names() {
    bounded(|| {
        let mut example = Example::start("chat", &["127.0.0.1:0"]);
        let address = example.address();
        let join = |guest: &str| {
            let url = format!("ws://{address}/{guest}");
            tungstenite::client(url, tcp(address)).unwrap().0
        };
        let mut ann = join("tea?Ann");
        assert_eq!(ann.read().unwrap(), Theirs::text("Ann is here"));
        let mut bob = join("tea?Bob");
        let mut cid = join("coffee?Cid");
        assert_eq!(ann.read().unwrap(), Theirs::text("Bob is here"));
        assert_eq!(bob.read().unwrap(), Theirs::text("Bob is here"));
        assert_eq!(cid.read().unwrap(), Theirs::text("Cid is here"));
        ann.send(Theirs::text("more tea?")).unwrap();
        assert_eq!(ann.read().unwrap(), Theirs::text("Ann: more tea?"));
        assert_eq!(bob.read().unwrap(), Theirs::text("Ann: more tea?"));
        drop(bob);
        assert_eq!(ann.read().unwrap(), Theirs::text("Bob has left"));
        cid.send(Theirs::text("alone")).unwrap();
        assert_eq!(cid.read().unwrap(), Theirs::text("Cid: alone"));
        // lines typed at the terminal reach every room
        example.process.stdin.as_mut().unwrap().write_all(b"closing soon\n").unwrap();
        assert_eq!(ann.read().unwrap(), Theirs::text("the host: closing soon"));
        assert_eq!(cid.read().unwrap(), Theirs::text("the host: closing soon"));
        // a client without a name is refused
        assert!(tungstenite::client(format!("ws://{address}/tea"), tcp(address)).is_err());
    });
}

#[test]
fn own_poll_carries_udp_to_a_server() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| {
            assert_eq!(ws.read().unwrap(), Theirs::binary(&b"by UDP"[..]));
            ws.send(Theirs::text("received")).unwrap();
            ws.close(None).unwrap();
            while ws.read().is_ok() {}
        });
        let mut example = Example::start("own_poll", &[&address.to_string()]);
        let udp = example.address();
        assert_eq!(example.line(), "open");
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"by UDP", udp).unwrap();
        assert_eq!(example.line(), "received");
        assert_eq!(example.line(), "closed with 1005");
        peer.join();
    });
}

#[test]
fn updates_come_every_second() {
    bounded(|| {
        let mut example = Example::start("updates", &["127.0.0.1:0"]);
        let mut client = client(example.address());
        for _ in 0..2 {
            assert!(client.read().unwrap().to_text().unwrap().starts_with("the state is "));
        }
    });
}
