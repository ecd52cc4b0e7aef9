//! The transcript: the calls and events of each end, and the bytes on the wire, within 100 columns.
//!
//! The left column names the end, with an arrow if it sends bytes. The right column describes the call, event or bytes.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use sansocket_net::ReadyState;
use sansocket_net::sansocket::frame::{FrameHeader, OpCode};

use super::tap::{End, Piece};

const WIDTH: usize = 100;
const LEFT_WIDTH: usize = 14;
const LABEL_WIDTH: usize = 14;
/// The largest number of bytes shown of a payload; the others are counted.
const MAX_SHOWN: usize = 16;
/// The length up to which a frame is shown whole. Of a longer one, `MAX_SHOWN` bytes leave room for the count.
const MAX_WHOLE_FRAME: usize = 24;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const CLIENT: Style = AnsiColor::Cyan.on_default().bold();
const SERVER: Style = AnsiColor::Green.on_default().bold();
const FIELDS: Style = AnsiColor::Yellow.on_default();
const KEY: Style = AnsiColor::Magenta.on_default();
const MASKED: Style = AnsiColor::Red.on_default();
const PLAIN: Style = AnsiColor::Blue.on_default();

/// Writes the transcript to `out`, with escape sequences for colours.
#[derive(Debug)]
pub(super) struct Transcript<W> {
    out: W,
    /// Whether the chapter has no line yet.
    is_chapter_empty: bool,
}

impl<W: Write> Transcript<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, is_chapter_empty: true }
    }

    pub(super) fn title(&mut self, title: &str, lines: &[&str]) -> io::Result<()> {
        writeln!(self.out, "{BOLD}{title}{BOLD:#}\n")?;
        lines.iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    pub(super) fn chapter(&mut self, title: &str) -> io::Result<()> {
        self.is_chapter_empty = true;
        let rule = "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4));
        writeln!(self.out, "\n{DIM}──{DIM:#} {BOLD}{title}{BOLD:#} {DIM}{rule}{DIM:#}\n")
    }

    /// Writes a call of an application, as a new paragraph.
    pub(super) fn call(&mut self, end: End, call: &str) -> io::Result<()> {
        if !std::mem::take(&mut self.is_chapter_empty) {
            writeln!(self.out)?;
        }
        self.line(end, "", &format!("{BOLD}{call}{BOLD:#}"))
    }

    /// Writes an event that an application receives.
    pub(super) fn event(&mut self, end: End, event: &str) -> io::Result<()> {
        self.line(end, "", &format!("{DIM}event{DIM:#}  {event}"))
    }

    pub(super) fn state(&mut self, end: End, state: ReadyState) -> io::Result<()> {
        let name = match state {
            ReadyState::Connecting => "CONNECTING",
            ReadyState::Open => "OPEN",
            ReadyState::Closing => "CLOSING",
            ReadyState::Closed => "CLOSED",
        };
        self.line(end, "", &format!("{DIM}readyState{DIM:#}  {} {name}", state as u8))
    }

    pub(super) fn buffered(&mut self, end: End, before: usize, after: usize, reason: &str) -> io::Result<()> {
        self.line(end, "", &format!("{DIM}bufferedAmount{DIM:#}  {before} → {after}: {reason}"))
    }

    /// Writes by how much a message got shorter, in bytes.
    pub(super) fn compressed(&mut self, end: End, before: usize, after: u64) -> io::Result<()> {
        self.line(end, "", &format!("{DIM}compressed{DIM:#}  {before} → {after} bytes; RSV1 (rsv 100) says so"))
    }

    /// Writes a piece of traffic.
    pub(super) fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        match piece {
            Piece::Head { from, bytes } => self.head(*from, bytes),
            Piece::Frame { from, header, bytes } => self.frame(*from, header, bytes),
            Piece::Fin { from } => self.line(*from, "──▶", &format!("{BOLD}FIN{BOLD:#}: TCP ends in this direction")),
        }
    }

    pub(super) fn end(mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "\n{BOLD}{line}{BOLD:#}")?;
        self.out.flush()
    }

    fn head(&mut self, from: End, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        let kind = if text.starts_with("HTTP/") { "response" } else { "request" };
        self.line(from, "──▶", &format!("{BOLD}{kind}{BOLD:#} of {} bytes", bytes.len()))?;
        for line in text.trim_end().lines() {
            let styled = match line.split_once(": ") {
                Some((name, value)) => format!("{FIELDS}{name}{FIELDS:#}: {value}"),
                None => line.to_owned(),
            };
            self.detail(&styled)?;
        }
        self.detail(&format!("{DIM}an empty line ends the head{DIM:#}"))
    }

    fn frame(&mut self, from: End, header: &FrameHeader, bytes: &[u8]) -> io::Result<()> {
        let payload = &bytes[bytes.len() - header.payload_length as usize..];
        let key = header.mask.map_or(&[][..], |key| &bytes[bytes.len() - payload.len() - key.len()..][..key.len()]);
        let fields = &bytes[..bytes.len() - payload.len() - key.len()];
        let wire = if key.is_empty() { PLAIN } else { MASKED };

        let name = opcode_name(header.opcode);
        self.line(from, "──▶", &format!("{BOLD}{name} frame{BOLD:#} of {} bytes", bytes.len()))?;
        let max_bytes = if bytes.len() <= MAX_WHOLE_FRAME { MAX_WHOLE_FRAME } else { MAX_SHOWN };
        let mut row = hex(FIELDS, fields, MAX_SHOWN);
        if !key.is_empty() {
            row += &format!(" {}", hex(KEY, key, MAX_SHOWN));
        }
        if !payload.is_empty() {
            row += &format!(" {}", hex(wire, payload, max_bytes.saturating_sub(bytes.len() - payload.len())));
        }
        self.row("bytes", &row)?;
        self.row("fields", &format!("{FIELDS}{}{FIELDS:#}", describe_fields(header)))?;
        if let Some(key) = header.mask {
            self.row("masking key", &hex(KEY, &key, MAX_SHOWN))?;
            self.row("masked", &hex(MASKED, payload, MAX_SHOWN))?;
        }
        let payload = unmasked(header, payload);
        match payload_text(header.opcode, &payload) {
            // RFC 7692 section 6: the payload of a frame with RSV1 is compressed.
            _ if header.rsv1 => self.row("deflated", &hex(PLAIN, &payload, MAX_SHOWN)),
            Some(text) => self.row("payload", &format!("{}  {text}", hex(PLAIN, &payload, MAX_SHOWN))),
            None => self.row("payload", &hex(PLAIN, &payload, MAX_SHOWN)),
        }
    }

    fn row(&mut self, label: &str, value: &str) -> io::Result<()> {
        self.detail(&format!("{DIM}{label:LABEL_WIDTH$}{DIM:#}{value}"))
    }

    fn detail(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:LEFT_WIDTH$}{text}", "")
    }

    fn line(&mut self, end: End, arrow: &str, text: &str) -> io::Result<()> {
        let (style, left) = match (end, arrow) {
            (End::Client, "") => (CLIENT, "  client".to_owned()),
            (End::Client, arrow) => (CLIENT, format!("  client {arrow}")),
            (End::Server, "") => (SERVER, "  server".to_owned()),
            (End::Server, arrow) => (SERVER, format!("  server {arrow}")),
        };
        writeln!(self.out, "{style}{left:LEFT_WIDTH$}{style:#}{text}")
    }
}

pub(super) fn opcode_name(opcode: OpCode) -> &'static str {
    match opcode {
        OpCode::Continuation => "continuation",
        OpCode::Text => "text",
        OpCode::Binary => "binary",
        OpCode::Close => "close",
        OpCode::Ping => "ping",
        OpCode::Pong => "pong",
        _ => "unknown",
    }
}

fn describe_fields(header: &FrameHeader) -> String {
    let FrameHeader { fin, rsv1, rsv2, rsv3, opcode, mask, payload_length } = *header;
    format!(
        "fin {}  rsv {}{}{}  opcode {:#x} {}  mask {}  length {payload_length}",
        u8::from(fin),
        u8::from(rsv1),
        u8::from(rsv2),
        u8::from(rsv3),
        opcode.as_u8(),
        opcode_name(opcode),
        u8::from(mask.is_some()),
    )
}

fn unmasked(header: &FrameHeader, payload: &[u8]) -> Vec<u8> {
    // 5.3: byte i of the payload is XORed with byte i mod 4 of the key.
    let key = header.mask.unwrap_or_default();
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// Returns a payload as text: the code and reason of a Close frame, or short UTF-8.
fn payload_text(opcode: OpCode, payload: &[u8]) -> Option<String> {
    match (opcode, payload) {
        (OpCode::Close, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            Some(if reason.is_empty() {
                code.to_string()
            } else {
                format!("{code} {:?}", String::from_utf8_lossy(reason))
            })
        }
        (_, payload) if payload.is_empty() || payload.len() > MAX_SHOWN => None,
        (_, payload) => std::str::from_utf8(payload).ok().map(|text| format!("{text:?}")),
    }
}

fn hex(style: Style, bytes: &[u8], max: usize) -> String {
    if bytes.is_empty() {
        return format!("{DIM}none{DIM:#}");
    }
    let shown: Vec<_> = bytes.iter().take(max).map(|byte| format!("{byte:02x}")).collect();
    let row = format!("{style}{}{style:#}", shown.join(" "));
    match bytes.len() - shown.len() {
        0 => row,
        more => format!("{row} {DIM}… {more} more{DIM:#}"),
    }
}
