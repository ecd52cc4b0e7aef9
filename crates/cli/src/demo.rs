//! `sansocket demo`: a server and a client in one process, and a transcript of their traffic over loopback TCP.
//!
//! Client and server take turns, so that all transcripts are the same except for ports, keys and masks. Where both must
//! act at once (the handshakes, a message that TCP may not buffer) the server has a thread, and the record gives the
//! order.

mod tap;
mod transcript;

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use sansocket_net::sansocket::{Compression, Initiator, WindowBits};
use sansocket_net::{Acceptor, CloseCode, Config, Connector, Event, Message, MessageKind, ReadyState};

use crate::compression::Agreed;
use crate::exit::{Exit, Failure};
use tap::{End, Piece, Tap, Wire};
use transcript::Transcript;

type Reader = sansocket_net::Reader<Tap>;
type Writer = sansocket_net::Writer<Tap>;
type Server = sansocket_net::WebSocket<Tap>;
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const PROTOCOL: &str = "demo.sansocket";
/// The length of the long message: more than one write of the client, and more than a 16-bit length can express.
const LONG_LENGTH: usize = 100_000;
/// The message that is compressed. It repeats itself, and fits into a line.
const REPETITIVE: &str = "a woodchuck would chuck wood if a woodchuck could chuck";

/// Show two connections in full, the second one compressed: a server, a client, and every byte between them
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the demonstration.
pub(crate) fn run(_: &Args) -> Result<Exit, Failure> {
    let mut out = FailureRecorder { out: anstream::stdout().lock(), failure: None };
    match (show(&mut out), out.failure) {
        (Ok(()), _) => Ok(Exit::Clean),
        // The reader of stdout has closed it, as `head` does: this is no failure.
        (Err(_), Some(ErrorKind::BrokenPipe)) => Ok(Exit::Clean),
        (Err(error), Some(_)) => Err(Failure::new(Exit::Failed, format_args!("cannot write to stdout: {error}"))),
        (Err(error), None) => Err(Failure::new(Exit::Failed, format_args!("the demo failed: {error}"))),
    }
}

/// Records errors of stdout, to distinguish them from those of the sockets.
struct FailureRecorder<W> {
    out: W,
    /// The error of the latest write.
    failure: Option<ErrorKind>,
}

impl<W: Write> Write for FailureRecorder<W> {
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
        "sansocket demo: two WebSocket connections, seen from both ends",
        &[
            "A server and a client in this process talk over loopback TCP. The transcript shows the calls of each",
            "application, the bytes that its end sends (──▶), the events that it receives, and each change of",
            "readyState and bufferedAmount. Sections (§) are those of RFC 6455 unless another RFC is named.",
        ],
    )?;
    transcript.chapter("1. The opening handshake (§4)")?;
    let mut demo = Demo::open(transcript, Config::default())?;
    demo.text()?;
    demo.fragments()?;
    demo.binary()?;
    demo.long()?;
    demo.transcript
        .chapter("6. The closing handshake (§7), and the end of TCP: the server sends its FIN first (§7.1.1)")?;
    let mut transcript = demo.close()?;

    transcript.chapter("7. A second connection, whose client offers compression: permessage-deflate (RFC 7692)")?;
    // The answer fits into a line with one of the windows that the ends can agree.
    let compression = Compression::default().peer_window_bits(WindowBits::MAX);
    let mut demo = Demo::open(transcript, Config::default().compression(compression))?;
    demo.compressed()?;
    demo.transcript.chapter("9. The second connection closes")?;
    let transcript = demo.close()?;
    Ok(transcript.end("Both ends report the same end, and neither had to wait for a timeout.")?)
}

struct Demo<W> {
    transcript: Transcript<W>,
    wire: Wire,
    reader: Reader,
    writer: Writer,
    server: Server,
}

impl<W: Write> Demo<W> {
    fn open(mut transcript: Transcript<W>, config: Config) -> Outcome<Self> {
        let wire = Wire::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let url = format!("ws://{address}/demo");

        let client = wire.tap(TcpStream::connect(address)?, End::Client);
        let server = wire.tap(listener.accept()?.0, End::Server);
        transcript.call(End::Client, &format!("connect({url:?}, [{PROTOCOL:?}])"))?;
        // There is no connection to ask before it is open; this is its state until then.
        transcript.state(End::Client, ReadyState::Connecting)?;

        let acceptor = Acceptor::new().protocol(PROTOCOL).config(config.clone());
        let accepting = thread::spawn(move || -> Outcome<Server> { Ok(acceptor.incoming(server).accept()?) });
        let client = Connector::new().protocol(PROTOCOL).config(config).handshake(&url, client)?;
        let server = accepting.join().map_err(|_| "the server panicked")??;
        wire.take_pieces()?.iter().try_for_each(|piece| transcript.piece(piece))?;

        for (end, protocol, compression, state) in [
            (End::Server, server.protocol(), server.compression(), server.ready_state()),
            (End::Client, client.protocol(), client.compression(), client.ready_state()),
        ] {
            transcript.event(end, &format!("open{}", Agreed { protocol, compression }))?;
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
        self.expect_at_server("message: text \"Hello\"")?;
        self.transcript.call(End::Server, "send(\"Hello\")")?;
        self.server.send("Hello")?;
        self.expect_at_client("message: text \"Hello\"")
    }

    fn fragments(&mut self) -> Outcome {
        self.transcript.chapter("3. A message in fragments (§5.4), and a ping between two of them")?;
        let fragment = MessageKind::Text;
        self.transcript.call(End::Client, "send_fragment(\"one \", last: false)")?;
        self.writer.send_fragment(fragment, b"one ", false)?;
        self.show_traffic()?;
        self.transcript.call(End::Client, "ping(\"still there?\")")?;
        self.writer.ping(b"still there?")?;
        self.expect_at_server("ping: \"still there?\"")?;
        // The server has queued the Pong, without a call of its application.
        self.server.flush()?;
        self.expect_at_client("pong: \"still there?\"")?;
        for (text, last) in [("message, ", false), ("three frames", true)] {
            self.transcript.call(End::Client, &format!("send_fragment({text:?}, last: {last})"))?;
            self.writer.send_fragment(fragment, text.as_bytes(), last)?;
            self.show_traffic()?;
        }
        self.expect_at_server("message: text \"one message, three frames\"")
    }

    fn binary(&mut self) -> Outcome {
        self.transcript.chapter("4. A binary message: any bytes")?;
        self.transcript.call(End::Server, "send([de ad be ef 00 ff])")?;
        self.server.send(&[0xde, 0xad, 0xbe, 0xef, 0x00, 0xff])?;
        self.expect_at_client("message: binary, 6 bytes")
    }

    fn long(&mut self) -> Outcome {
        self.transcript.chapter("5. A long message while TCP accepts no bytes: bufferedAmount counts them")?;
        let bytes: Vec<u8> = (0..LONG_LENGTH).map(|i| i as u8).collect();
        let before = self.writer.buffered_amount();
        self.transcript.call(End::Client, &format!("send([00 01 02 … {LONG_LENGTH} bytes])"))?;

        let valve = self.wire.shut();
        let Self { transcript, writer, server, .. } = self;
        let event = thread::scope(|scope| -> Outcome<String> {
            let sending = scope.spawn(|| writer.send(&bytes));
            valve.wait_until_blocked();
            let pending = writer.buffered_amount();
            let reason = format!("{pending} of {LONG_LENGTH} bytes are not delivered");
            transcript.buffered(End::Client, before, pending, &reason)?;
            // From here on both ends must act, since TCP's buffers may be smaller than the message.
            let reading = scope.spawn(|| describe(server.events().next()));
            drop(valve);
            sending.join().map_err(|_| "the client panicked")??;
            let event = reading.join().map_err(|_| "the server panicked")??;
            transcript.buffered(End::Client, pending, writer.buffered_amount(), "TCP accepts bytes again")?;
            Ok(event)
        })?;
        self.show_traffic()?;
        self.check_event(End::Server, &event, &format!("message: binary, {LONG_LENGTH} bytes"))
    }

    fn compressed(&mut self) -> Outcome {
        self.transcript.chapter("8. A compressed message, and the same again: it refers back to the first one")?;
        for _ in 0..2 {
            self.transcript.call(End::Client, &format!("send({REPETITIVE:?})"))?;
            self.writer.send(REPETITIVE)?;
            let event = describe(self.server.events().next())?;
            for piece in self.wire.take_pieces()? {
                self.transcript.piece(&piece)?;
                let Piece::Frame { header, .. } = piece else { continue };
                if !header.rsv1 {
                    return Err("the message is not compressed".into());
                }
                self.transcript.compressed(End::Client, REPETITIVE.len(), header.payload_length)?;
            }
            self.check_event(End::Server, &event, &format!("message: text {REPETITIVE:?}"))?;
        }
        Ok(())
    }

    /// Performs the closing handshake, and returns the transcript.
    fn close(mut self) -> Outcome<Transcript<W>> {
        self.transcript.call(End::Client, "close(1000, \"that was all\")")?;
        self.writer.close(CloseCode::NORMAL, "that was all")?;
        self.transcript.state(End::Client, self.writer.ready_state())?;
        self.show_traffic()?;

        self.expect_at_server("close received: 1000 \"that was all\"")?;
        self.transcript.state(End::Server, self.server.ready_state())?;
        // The server has queued its Close frame, without a call of its application.
        self.server.flush()?;
        self.expect_at_client("close received: 1000")?;

        let Self { reader, server, .. } = &mut self;
        let (client_event, server_event) = thread::scope(|scope| {
            let serving = scope.spawn(|| describe(server.events().next()));
            let client_event = describe(reader.events().next());
            (client_event, serving.join())
        });
        let server_event = server_event.map_err(|_| "the server panicked")??;
        self.show_traffic()?;
        self.check_event(End::Server, &server_event, "close: 1000 \"that was all\", clean, begun by the peer")?;
        self.transcript.state(End::Server, self.server.ready_state())?;
        self.check_event(End::Client, &client_event?, "close: 1000, clean, begun by this end")?;
        self.transcript.state(End::Client, self.reader.ready_state())?;
        Ok(self.transcript)
    }

    fn expect_at_server(&mut self, expected: &str) -> Outcome {
        let event = describe(self.server.events().next())?;
        self.show_traffic()?;
        self.check_event(End::Server, &event, expected)
    }

    fn expect_at_client(&mut self, expected: &str) -> Outcome {
        let event = describe(self.reader.events().next())?;
        self.show_traffic()?;
        self.check_event(End::Client, &event, expected)
    }

    /// Shows an event. Fails if it is not the expected one.
    fn check_event(&mut self, end: End, event: &str, expected: &str) -> Outcome {
        self.transcript.event(end, event)?;
        if event == expected { Ok(()) } else { Err(format!("got {event:?}, expected {expected:?}").into()) }
    }

    fn show_traffic(&mut self) -> Outcome {
        self.wire.take_pieces()?.iter().try_for_each(|piece| self.transcript.piece(piece))?;
        Ok(())
    }
}

/// Describes an event in words.
fn describe(event: Option<Result<Event<'_>, sansocket_net::Error>>) -> Outcome<String> {
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

/// Returns a reason in quotes, after a space; nothing if there is none.
fn quoted(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" {reason:?}") }
}
