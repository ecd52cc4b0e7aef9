//! `sansocket demo`: a server and a client in one process, over loopback TCP, and all that passes between them.
//!
//! Client and server take turns, so that the transcript is the same every time but for ports, keys and masks. Where both
//! must act at once (the opening and the closing handshake, a message that TCP does not take at once) the server has a
//! thread, and the record of the wire says what came first.

mod tap;
mod transcript;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use sansocket_net::sansocket::Initiator;
use sansocket_net::{Acceptor, CloseCode, Connector, Event, Message, MessageKind, ReadyState};

use crate::exit::{Exit, Failure};
use tap::{End, Tap, Wire};
use transcript::Transcript;

type Reader = sansocket_net::Reader<Tap>;
type Writer = sansocket_net::Writer<Tap>;
type Server = sansocket_net::WebSocket<Tap>;
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const PROTOCOL: &str = "demo.sansocket";
/// Bytes of the long message: more than the client hands to TCP at a time, and than 16 bits of length can say.
const LONG: usize = 100_000;

/// Show a WebSocket's whole life: a server, a client, and every byte between them
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the demonstration.
pub(crate) fn run(_: &Args) -> Result<Exit, Failure> {
    let mut out = Watched { out: anstream::stdout().lock(), failure: None };
    match (show(&mut out), out.failure) {
        (Ok(()), _) => Ok(Exit::Clean),
        // Whoever reads has seen enough.
        (Err(_), Some(ErrorKind::BrokenPipe)) => Ok(Exit::Clean),
        (Err(error), Some(_)) => Err(Failure::new(Exit::Failed, format_args!("cannot write to stdout: {error}"))),
        (Err(error), None) => Err(Failure::new(Exit::Failed, format_args!("the demo went wrong: {error}"))),
    }
}

/// Tells the errors of stdout from those of the sockets.
struct Watched<W> {
    out: W,
    /// How the latest write failed, if it did.
    failure: Option<ErrorKind>,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.failure = result.as_ref().err().map(io::Error::kind);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.failure = result.as_ref().err().map(io::Error::kind);
        result
    }
}

fn show(out: impl Write) -> Outcome {
    let mut transcript = Transcript::new(out);
    transcript.title(
        "sansocket demo: the life of one WebSocket, seen from both ends",
        &[
            "A server and a client in this process talk over loopback TCP. Shown is what each is asked to do,",
            "what it then sends (──▶), what its application is told (event), and what its readyState and",
            "bufferedAmount become. Sections (§) are those of RFC 6455.",
        ],
    )?;
    let mut demo = Demo::open(transcript)?;
    demo.text()?;
    demo.fragments()?;
    demo.binary()?;
    demo.long()?;
    demo.close()
}

struct Demo<W> {
    transcript: Transcript<W>,
    wire: Wire,
    reader: Reader,
    writer: Writer,
    server: Server,
}

impl<W: Write> Demo<W> {
    fn open(mut transcript: Transcript<W>) -> Outcome<Self> {
        transcript.chapter("1. The opening handshake (§4)")?;
        let wire = Wire::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let url = format!("ws://{address}/demo");

        let client = wire.tap(TcpStream::connect(address)?, End::Client);
        let server = wire.tap(listener.accept()?.0, End::Server);
        transcript.call(End::Client, &format!("connect({url:?}, [{PROTOCOL:?}])"))?;
        // A connection can be looked at once it is open; this is what it is until then.
        transcript.state(End::Client, ReadyState::Connecting)?;

        let accepting = thread::spawn(move || -> Outcome<Server> {
            Ok(Acceptor::new().protocol(PROTOCOL).incoming(server).accept()?)
        });
        let client = Connector::new().protocol(PROTOCOL).handshake(&url, client)?;
        let server = accepting.join().map_err(|_| "the server panicked")??;
        wire.take()?.iter().try_for_each(|piece| transcript.piece(piece))?;

        for (end, protocol, state) in [
            (End::Server, server.protocol(), server.ready_state()),
            (End::Client, client.protocol(), client.ready_state()),
        ] {
            transcript.event(end, &format!("open: subprotocol {}", protocol.unwrap_or("none")))?;
            transcript.state(end, state)?;
        }
        let (reader, writer) = client.split()?;
        Ok(Self { transcript, wire, reader, writer, server })
    }

    fn text(&mut self) -> Outcome {
        self.transcript
            .chapter("2. A text message and its echo: a client masks what it sends (§5.3), a server does not")?;
        self.transcript.call(End::Client, "send(\"Hello\")")?;
        self.writer.send("Hello")?;
        self.server_reads("message: text \"Hello\"")?;
        self.transcript.call(End::Server, "send(\"Hello\")")?;
        self.server.send("Hello")?;
        self.client_reads("message: text \"Hello\"")
    }

    fn fragments(&mut self) -> Outcome {
        self.transcript
            .chapter("3. A message in fragments (§5.4), and a ping that does not wait for the last of them")?;
        let fragment = MessageKind::Text;
        self.transcript.call(End::Client, "send_fragment(\"one \", last: false)")?;
        self.writer.send_fragment(fragment, b"one ", false)?;
        self.travelled()?;
        self.transcript.call(End::Client, "ping(\"still there?\")")?;
        self.writer.ping(b"still there?")?;
        self.server_reads("ping: \"still there?\"")?;
        // The pong is the server's own doing, and waits to be written.
        self.server.flush()?;
        self.client_reads("pong: \"still there?\"")?;
        for (text, last) in [("message, ", false), ("three frames", true)] {
            self.transcript.call(End::Client, &format!("send_fragment({text:?}, last: {last})"))?;
            self.writer.send_fragment(fragment, text.as_bytes(), last)?;
            self.travelled()?;
        }
        self.server_reads("message: text \"one message, three frames\"")
    }

    fn binary(&mut self) -> Outcome {
        self.transcript.chapter("4. A binary message: any bytes at all")?;
        self.transcript.call(End::Server, "send([de ad be ef 00 ff])")?;
        self.server.send(&[0xde, 0xad, 0xbe, 0xef, 0x00, 0xff])?;
        self.client_reads("message: binary, 6 bytes")
    }

    fn long(&mut self) -> Outcome {
        self.transcript.chapter("5. A long message, while TCP takes no more: what waits is counted")?;
        let bytes: Vec<u8> = (0..LONG).map(|i| i as u8).collect();
        let before = self.writer.buffered_amount();
        self.transcript.call(End::Client, &format!("send([00 01 02 … {LONG} bytes])"))?;

        let valve = self.wire.shut();
        let Self { transcript, writer, server, .. } = self;
        let told = thread::scope(|scope| -> Outcome<String> {
            let sending = scope.spawn(|| writer.send(&bytes));
            valve.wait();
            let waiting = writer.buffered_amount();
            let under_way = format!("{waiting} of {LONG} bytes are not delivered");
            transcript.buffered(End::Client, before, waiting, &under_way)?;
            // From here on both ends must act: TCP need not hold all of it.
            let reading = scope.spawn(|| told(server.events().next()));
            valve.open();
            sending.join().map_err(|_| "the client panicked")??;
            let told = reading.join().map_err(|_| "the server panicked")??;
            transcript.buffered(End::Client, waiting, writer.buffered_amount(), "TCP takes more")?;
            Ok(told)
        })?;
        self.travelled()?;
        self.happened(End::Server, &told, &format!("message: binary, {LONG} bytes"))
    }

    fn close(mut self) -> Outcome {
        self.transcript
            .chapter("6. The closing handshake (§7), down to TCP's last FIN: the server's comes first (§7.1.1)")?;
        self.transcript.call(End::Client, "close(1000, \"that was all\")")?;
        self.writer.close(CloseCode::NORMAL, "that was all")?;
        self.transcript.state(End::Client, self.writer.ready_state())?;
        self.travelled()?;

        self.server_reads("close received: 1000 \"that was all\"")?;
        self.transcript.state(End::Server, self.server.ready_state())?;
        // The reply is the server's own doing, and waits to be written.
        self.server.flush()?;
        self.client_reads("close received: 1000")?;

        let Self { reader, server, .. } = &mut self;
        let (client_told, server_told) = thread::scope(|scope| {
            let serving = scope.spawn(|| told(server.events().next()));
            let client_told = told(reader.events().next());
            (client_told, serving.join())
        });
        let server_told = server_told.map_err(|_| "the server panicked")??;
        self.travelled()?;
        self.happened(End::Server, &server_told, "close: 1000 \"that was all\", clean, begun by the peer")?;
        self.transcript.state(End::Server, self.server.ready_state())?;
        self.happened(End::Client, &client_told?, "close: 1000, clean, begun by this end")?;
        self.transcript.state(End::Client, self.reader.ready_state())?;
        self.transcript.end("Both ends agree how it ended, and neither was left waiting.")?;
        Ok(())
    }

    fn server_reads(&mut self, expected: &str) -> Outcome {
        let told = told(self.server.events().next())?;
        self.travelled()?;
        self.happened(End::Server, &told, expected)
    }

    fn client_reads(&mut self, expected: &str) -> Outcome {
        let told = told(self.reader.events().next())?;
        self.travelled()?;
        self.happened(End::Client, &told, expected)
    }

    /// A demonstration of something else than it says would be a lie.
    fn happened(&mut self, end: End, told: &str, expected: &str) -> Outcome {
        self.transcript.event(end, told)?;
        if told == expected { Ok(()) } else { Err(format!("{told:?} instead of {expected:?}").into()) }
    }

    fn travelled(&mut self) -> Outcome {
        self.wire.take()?.iter().try_for_each(|piece| self.transcript.piece(piece))?;
        Ok(())
    }
}

/// An event, in words.
fn told(event: Option<Result<Event<'_>, sansocket_net::Error>>) -> Outcome<String> {
    Ok(match event.transpose()? {
        Some(Event::Message(Message::Text(text))) => format!("message: text {text:?}"),
        Some(Event::Message(Message::Binary(bytes))) => format!("message: binary, {} bytes", bytes.len()),
        Some(Event::Ping(payload)) => format!("ping: {:?}", String::from_utf8_lossy(&payload)),
        Some(Event::Pong(payload)) => format!("pong: {:?}", String::from_utf8_lossy(&payload)),
        Some(Event::Close(close)) => {
            let clean = if close.was_clean { "clean" } else { "not clean" };
            let initiator = match close.initiator {
                Initiator::Local => "this end",
                Initiator::Peer => "the peer",
            };
            format!("close: {}{}, {clean}, begun by {initiator}", close.code, quoted(&close.reason))
        }
        Some(Event::CloseReceived(frame)) => format!("close received: {}{}", frame.code, quoted(&frame.reason)),
        other => return Err(format!("unexpected {other:?}").into()),
    })
}

/// A reason, if there is one.
fn quoted(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" {reason:?}") }
}
