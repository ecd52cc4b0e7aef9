//! The log of the feature `tracing`, compared line by line.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use sansocket::bytes::Buf;
use sansocket::{Accept, ClientRequest, CloseCode, Config, Event, HttpResponse, Instant, OriginPolicy, WebSocket};
use sansocket_drive::{Driver, LayerScratch};
use tracing_subscriber::fmt::MakeWriter;

const NOW: Instant = Instant::EPOCH;
const REQUEST: &str = "GET /chat?token=SECRET HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Origin: https://server.example.com\r\nCookie: session=SECRET\r\nAuthorization: Bearer SECRET\r\n\r\n";

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Returns the lines that the scenario logs.
fn logged(scenario: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).without_time().with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, scenario);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    log.lines().map(|line| line.trim().to_owned()).collect()
}

fn server(id: &str) -> Driver {
    let mut driver = Driver::new(WebSocket::server(Config::default(), NOW));
    driver.set_log_id(id);
    driver.set_log_peer("192.0.2.1:50000".parse().unwrap());
    driver
}

fn client(id: &str) -> Driver {
    let request: ClientRequest = "ws://server.example.com/chat".parse().unwrap();
    let request = request.protocol("chat").header("Authorization", "Bearer SECRET");
    let ws = WebSocket::client(request, Config::default(), ChaCha12Rng::from_seed([0; 32]), NOW).unwrap();
    let mut driver = Driver::new(ws);
    driver.set_log_id(id);
    driver
}

/// Feeds bytes, and lets `answer` answer each event.
fn feed(driver: &mut Driver, bytes: &[u8], mut answer: impl FnMut(&mut Driver, &Event<'_>)) {
    let (mut bytes, mut scratch) = (bytes.to_vec(), LayerScratch::new());
    let mut input = driver.open(&mut bytes, &mut scratch);
    loop {
        match driver.next_event(&mut input, NOW) {
            Ok(None) => break,
            Ok(Some(event)) => answer(driver, &event),
            Err(_) => {}
        }
    }
}

fn written(driver: &mut Driver) -> Vec<u8> {
    let mut outgoing = driver.to_write();
    outgoing.copy_to_bytes(outgoing.remaining()).to_vec()
}

fn accept(driver: &mut Driver, event: &Event<'_>) {
    if let Event::Request(_) = event {
        driver.accept(Accept::new(), NOW).unwrap();
    }
}

#[test]
fn a_connection_is_logged_when_it_opens_and_when_it_ends() {
    let lines = logged(|| {
        let mut server = server("0.7.1");
        feed(&mut server, REQUEST.as_bytes(), accept);
        feed(&mut server, b"\x81\x86\0\0\0\0SECRET", |_, _| {});
        server.websocket_mut().close(CloseCode::GOING_AWAY, "SECRET", NOW).unwrap();
        written(&mut server);
        feed(&mut server, b"\x88\x82\0\0\0\0\x03\xe9", |_, _| {});
        server.write_shut_down();
        server.eof();
        feed(&mut server, b"", |_, _| {});
    });
    let span = r"INFO connection{id=0.7.1 role=Server peer=192.0.2.1:50000}: sansocket:";
    assert_eq!(lines, [format!("{span} opened"), format!("{span} closed code=1001 was_clean=true initiator=Local"),]);
}

#[test]
fn a_client_logs_the_subprotocol() {
    let lines = logged(|| {
        let mut client = client("a");
        let request = written(&mut client);
        let mut server = server("b");
        feed(&mut server, &request, |server, event| {
            if let Event::Request(_) = event {
                server.accept(Accept::new().protocol("chat"), NOW).unwrap();
            }
        });
        feed(&mut client, &written(&mut server), |_, _| {});
    });
    assert_eq!(
        lines,
        [
            r#"INFO connection{id=b role=Server peer=192.0.2.1:50000}: sansocket: opened subprotocol="chat""#,
            r#"INFO connection{id=a role=Client}: sansocket: opened subprotocol="chat""#,
        ]
    );
}

#[test]
fn a_refusal_is_logged_with_its_status_and_reason() {
    let foreign = REQUEST.replace("https://server", "https://other");
    let old = REQUEST.replace("Version: 13", "Version: 8");
    let lines = logged(|| {
        feed(&mut server("application"), REQUEST.as_bytes(), |server, _| {
            server.respond(HttpResponse::new(401).header("WWW-Authenticate", "Basic"), NOW).unwrap();
        });
        let health = "GET /healthz HTTP/1.0\r\n\r\n";
        feed(&mut server("health"), health.as_bytes(), |server, _| {
            server.respond(HttpResponse::new(200), NOW).unwrap();
        });
        feed(&mut server("origin"), foreign.as_bytes(), |server, _| {
            server.accept(Accept::new(), NOW).unwrap_err();
        });
        feed(&mut server("answer"), REQUEST.as_bytes(), |server, _| {
            server.accept(Accept::new().origin(OriginPolicy::Any).protocol("chat"), NOW).unwrap_err();
        });
        feed(&mut server("request"), old.as_bytes(), |_, _| {});
        let response = b"HTTP/1.1 403 Forbidden\r\nSet-Cookie: SECRET\r\nContent-Length: 0\r\n\r\n";
        feed(&mut client("client"), response, |_, _| {});
    });
    let span = |id: &str| format!("INFO connection{{id={id} role=Server peer=192.0.2.1:50000}}: sansocket: refused");
    assert_eq!(
        lines,
        [
            format!("{} status=401", span("application")),
            span("health").replace("refused", "responded status=200"),
            format!("{} status=403 error=the origin may not open a connection: refused with 403", span("origin")),
            format!("{} status=500 error=the subprotocol \"chat\" was not offered", span("answer")),
            format!("{} status=426 error=the Sec-WebSocket-Version field is not 13", span("request")),
            "INFO connection{id=client role=Client}: sansocket: refused status=403 \
            error=the server refused with status 403"
                .to_owned(),
        ]
    );
}

#[test]
fn a_failure_is_logged_as_a_warning() {
    let lines = logged(|| {
        let mut server = server("peer");
        feed(&mut server, REQUEST.as_bytes(), accept);
        feed(&mut server, b"\x81\x06SECRET", |_, _| {});
        let mut server = self::server("io");
        feed(&mut server, REQUEST.as_bytes(), accept);
        server.read_lost(io::Error::other("the cable is cut"), NOW);
        feed(&mut server, b"", |_, _| {});
    });
    let span = |id: &str| format!("connection{{id={id} role=Server peer=192.0.2.1:50000}}: sansocket:");
    assert_eq!(
        lines,
        [
            format!("INFO {} opened", span("peer")),
            format!(
                "WARN {} failed error=the peer broke the protocol: a client sent a frame without masking it",
                span("peer")
            ),
            format!("INFO {} opened", span("io")),
            format!("WARN {} failed error=transport: the cable is cut", span("io")),
            format!("INFO {} closed code=1006 was_clean=false initiator=Peer", span("io")),
        ]
    );
}

#[test]
fn a_connection_without_a_name_gets_a_number() {
    let lines = logged(|| {
        let mut driver = Driver::new(WebSocket::server(Config::default(), NOW));
        driver.set_log_peer("192.0.2.1:50000".parse().unwrap());
        feed(&mut driver, REQUEST.as_bytes(), accept);
    });
    let [line] = &*lines else { panic!("{lines:?}") };
    let id = line
        .strip_prefix("INFO connection{id=")
        .and_then(|rest| rest.strip_suffix(" role=Server peer=192.0.2.1:50000}: sansocket: opened"));
    assert!(id.unwrap().parse::<u64>().unwrap() > 0, "{line}");
}
