//! `sansocket connect`: lines of stdin become text messages, messages become lines of stdout.
//!
//! The main thread reads from the connection and reports how it ended. Another thread reads stdin and sends, and a
//! third one waits for a signal.

mod diagnosis;
mod reply_counter;
mod route;
#[cfg(feature = "tls")]
mod tls;

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use sansocket_net::sansocket::{Initiator, SendError};
use sansocket_net::{Close, CloseCode, Connector, Error, Event, Message, Target, WebSocket};

use crate::compression::{Agreed, CompressionArgs};
use crate::escape::Escaped;
use crate::exit::{self, Exit, Failure};
use crate::interrupt::Interrupt;
use crate::threads;
use reply_counter::ReplyCounter;
use route::RouteArgs;
#[cfg(feature = "tls")]
use tls::TlsArgs;

type Writer = sansocket_net::Writer<TcpStream>;

/// Some servers refuse requests without this header field.
const USER_AGENT: &str = concat!("sansocket/", env!("CARGO_PKG_VERSION"));

/// Connect to a server: lines of stdin become text messages, messages become lines of stdout
///
/// Reports all other events (opened, ping, pong, close received, interrupted, closed) on stderr.
///
/// At the end of stdin, waits for the replies: until as many messages have arrived as lines were sent, or until none
/// has arrived for --wait seconds. Then closes the connection with code 1000. Ctrl-C closes an open connection with
/// code 1001; a second Ctrl-C ends the command at once.
///
/// Before the connection closes, all lines are delivered: for up to 5 minutes, as long as the server reads them. If the
/// server makes no progress for about 5 seconds, the command gives up with status 3.
#[derive(clap::Args, Debug)]
#[command(after_help = exit::STATUSES)]
pub(crate) struct Args {
    /// The URL of the server, such as ws://localhost:9001/chat, wss://user:password@example.com/, or
    /// ws+unix:/run/chat.sock:/chat for a Unix socket
    url: String,

    /// Offer a subprotocol; may be repeated, the preferred one first
    #[arg(short, long = "protocol", value_name = "P")]
    protocols: Vec<String>,

    /// Add a header field to the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Connect on behalf of a web page of this origin, as a browser does
    #[arg(long)]
    origin: Option<String>,

    #[command(flatten)]
    compression: CompressionArgs,

    /// How to write binary messages
    #[arg(long, value_enum, default_value_t = Binary::Hex)]
    binary: Binary,

    /// After the end of stdin, stop waiting for replies after this time without a message
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, allow_negative_numbers = true)]
    wait: Duration,

    #[command(flatten)]
    route: RouteArgs,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: TlsArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Binary {
    /// A line of hex digits
    Hex,
    /// The bytes as they are, without line ends
    Raw,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    let seconds = seconds.ok_or("expected a number of seconds, 0 or more")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected a number of seconds below 2^64".to_owned())
}

/// Connects, and exchanges messages until the connection has ended.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let target: Target = args.url.parse().map_err(|error| diagnosis::bad_url(&args.url, &error))?;
    // without credentials
    let url = target.to_string();
    let ws = connector(args)?.connect_to(target).map_err(|error| diagnosis::not_connected(&url, &error))?;
    let agreed = Agreed { protocol: ws.protocol(), compression: ws.compression() };
    exit::note(&format!("opened: {url}{agreed}"));
    talk(ws, args)
}

fn connector(args: &Args) -> Result<Connector, Failure> {
    let mut connector = args.route.apply(Connector::new().config(args.compression.config()))?;
    #[cfg(feature = "tls")]
    {
        connector = args.tls.apply(connector)?;
    }
    let mut has_user_agent = false;
    for header in &args.headers {
        let Some((name, value)) = header.split_once(':') else {
            // The text after the name may be a credential.
            let name = header.split_whitespace().next().unwrap_or_default();
            let message = format!("--header {name:?}: no colon; a header field is written 'Name: value'");
            return Err(Failure::new(Exit::Failed, message));
        };
        has_user_agent |= name.eq_ignore_ascii_case("User-Agent");
        connector = connector.header(name, value.trim());
    }
    if !has_user_agent {
        connector = connector.header("User-Agent", USER_AGENT);
    }
    if let Some(origin) = &args.origin {
        connector = connector.origin(origin);
    }
    Ok(args.protocols.iter().fold(connector, |connector, protocol| connector.protocol(protocol)))
}

fn talk(ws: WebSocket<TcpStream>, args: &Args) -> Result<Exit, Failure> {
    let split = |error| Failure::new(Exit::Failed, format_args!("cannot split the connection: {error}"));
    let (mut reader, writer) = ws.split().map_err(split)?;
    let interrupt = Interrupt::install()?;
    threads::start("closing", {
        let writer = writer.clone();
        move || {
            interrupt.wait();
            exit::note("interrupted: closing the connection; a second Ctrl-C ends at once");
            // This fails if the connection has ended already.
            let _ = writer.close(CloseCode::GOING_AWAY, "interrupted");
        }
    })?;
    let replies = Arc::new(ReplyCounter::default());
    let has_failed = Arc::new(AtomicBool::new(false));
    threads::start("stdin", {
        let (writer, replies, has_failed, wait) =
            (writer.clone(), Arc::clone(&replies), Arc::clone(&has_failed), args.wait);
        move || {
            if let Err(error) = send_lines(&writer, &replies) {
                has_failed.store(true, Ordering::Relaxed);
                exit::print_error(&error);
            }
            replies.wait(wait);
            // If the connection has ended already, the main thread reports how.
            let _ = writer.close(CloseCode::NORMAL, "");
        }
    })?;

    let mut printer = Printer { binary: args.binary, is_terminal: io::stdout().is_terminal(), is_closed: false };
    let mut failure = None;
    let mut end = None;
    loop {
        match reader.read() {
            Ok(Some(Event::Message(message))) => {
                if let Err(error) = printer.print(&message) {
                    has_failed.fetch_or(error.kind() != ErrorKind::BrokenPipe, Ordering::Relaxed);
                    exit::note(&format!("cannot write to stdout: {error}; closing the connection"));
                    let _ = writer.close(CloseCode::GOING_AWAY, "");
                }
                replies.count_received();
            }
            Ok(Some(Event::Ping(payload))) => exit::note(&format!("ping: {:?}", String::from_utf8_lossy(&payload))),
            Ok(Some(Event::Pong(payload))) => exit::note(&format!("pong: {:?}", String::from_utf8_lossy(&payload))),
            Ok(Some(Event::CloseReceived(frame))) => {
                exit::note(&format!("close received: {}", status(frame.code, &frame.reason)))
            }
            Ok(Some(Event::Close(close))) => end = Some(close),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => failure = Some(error),
        }
    }
    if let Some(close) = &end {
        exit::note(&closed(close));
    }
    match (failure, end) {
        (Some(error), _) => Err(Failure::new(Exit::Abnormal, error)),
        (None, Some(close)) if close.was_clean => Ok(match close.code {
            _ if has_failed.load(Ordering::Relaxed) => Exit::Failed,
            CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS => Exit::Clean,
            _ => Exit::OtherCode,
        }),
        _ => Err(Failure::new(Exit::Abnormal, "the connection ended without a closing handshake")),
    }
}

fn closed(close: &Close) -> String {
    let clean = if close.was_clean { "clean" } else { "not clean" };
    let initiator = match close.initiator {
        Initiator::Local => "us",
        Initiator::Peer => "the server",
    };
    format!("closed: {}, {clean}, begun by {initiator}", status(close.code, &close.reason))
}

/// Displays the code of a Close frame and its reason, if there is one.
fn status(code: CloseCode, reason: &str) -> String {
    if reason.is_empty() { code.to_string() } else { format!("{code} {reason:?}") }
}

/// Sends the lines of stdin until stdin or the connection ends.
///
/// # Errors
///
/// A line cannot be sent. The lines after it are not sent either.
fn send_lines(writer: &Writer, replies: &ReplyCounter) -> Result<(), String> {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        stdin.read_until(b'\n', &mut line).map_err(|error| format!("cannot read stdin: {error}"))?;
        if line.is_empty() {
            break;
        }
        let text = std::str::from_utf8(trim_end(&line)).map_err(|error| {
            format!("line {number} of stdin is not UTF-8 text ({error}); it and later lines are not sent")
        })?;
        // The count precedes the message, so that no reply can arrive before it.
        replies.count_sent();
        match writer.send(text) {
            Ok(()) => {}
            Err(Error::Send(error @ SendError::MessageTooLong { .. })) => {
                return Err(format!("line {number} of stdin was not sent: {error}; later lines are not sent"));
            }
            // The connection is closing or has failed: the main thread reports how.
            Err(_) => break,
        }
    }
    Ok(())
}

fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Prints messages to stdout until a write fails.
#[derive(Debug)]
struct Printer {
    binary: Binary,
    is_terminal: bool,
    is_closed: bool,
}

impl Printer {
    /// Returns the first error of stdout, and prints nothing after it.
    fn print(&mut self, message: &Message<'_>) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let result = self.write(message);
        self.is_closed = result.is_err();
        result
    }

    fn write(&self, message: &Message<'_>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match (message, self.binary) {
            // A peer must not control the terminal. A file or program receives the text as it was sent.
            (Message::Text(text), _) if self.is_terminal => writeln!(stdout, "{}", Escaped::new(text))?,
            (Message::Text(text), _) => writeln!(stdout, "{text}")?,
            (Message::Binary(bytes), Binary::Raw) => stdout.write_all(bytes)?,
            (Message::Binary(bytes), Binary::Hex) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(stdout, "{hex}")?;
            }
        }
        stdout.flush()
    }
}
