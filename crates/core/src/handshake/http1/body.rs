//! The body of a response that refuses, RFC 9112 sections 6 and 7: read so that the application may see it.

use alloc::vec::Vec;

use crate::handshake::Headers;
use crate::handshake::syntax::elements;
use crate::input::Input;

/// A body on its way in.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    framing: Framing,
    /// How many more bytes are kept.
    room: usize,
}

/// How its end is told.
#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked {
        stage: Chunk,
        /// How many more bytes between the chunks are read.
        room: usize,
    },
    UntilEof,
}

/// Where in a chunked body the next byte belongs.
#[derive(Debug)]
enum Chunk {
    /// In the line with its size, of which this has arrived.
    Size(Vec<u8>),
    /// In its data, of which this many bytes are to come.
    Data(u64),
    /// In the end of the line behind its data.
    End,
}

impl Framing {
    /// RFC 9112 section 6.3: the transfer codings tell, if there are any, and only otherwise a length.
    fn of(status: u16, headers: &Headers, limit: usize) -> Self {
        let codings = || headers.get_all("Transfer-Encoding");
        let is_chunked =
            || codings().flat_map(elements).last().is_some_and(|last| last.eq_ignore_ascii_case("chunked"));
        match status {
            204 | 304 => Self::Length(0),
            _ if is_chunked() => Self::Chunked { stage: Chunk::Size(Vec::new()), room: limit },
            _ if codings().next().is_some() => Self::UntilEof,
            _ => length(headers).map_or(Self::UntilEof, Self::Length),
        }
    }
}

impl Body {
    /// The body that follows a head with this status and these fields, up to `limit` bytes.
    pub(crate) fn new(status: u16, headers: &Headers, limit: usize) -> Self {
        Self { bytes: Vec::new(), framing: Framing::of(status, headers, limit), room: limit }
    }

    /// Takes bytes of the input. Whether the body is over: complete, longer than is kept, or malformed from here on.
    pub(crate) fn receive(&mut self, input: &mut Input<'_>) -> bool {
        loop {
            let is_over = match &mut self.framing {
                Framing::Length(0) => true,
                Framing::Length(left) => {
                    *left -= keep(&mut self.bytes, &mut self.room, input, *left);
                    false
                }
                Framing::UntilEof => {
                    keep(&mut self.bytes, &mut self.room, input, u64::MAX);
                    false
                }
                Framing::Chunked { stage: Chunk::Data(left), .. } if *left > 0 => {
                    *left -= keep(&mut self.bytes, &mut self.room, input, *left);
                    false
                }
                Framing::Chunked { stage, room } => match input.take(1) {
                    [] => return false,
                    [byte] if *room > 0 => {
                        *room -= 1;
                        stage.receive(*byte)
                    }
                    _ => true,
                },
            };
            if is_over || self.room == 0 {
                return true;
            }
            if input.is_empty() && !matches!(self.framing, Framing::Length(0)) {
                return false;
            }
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What all `Content-Length` fields say (RFC 9110 section 8.6), if they agree.
fn length(headers: &Headers) -> Option<u64> {
    // a sign, which Rust would read, is none of HTTP's
    let is_number = |length: &str| length.bytes().all(|digit| digit.is_ascii_digit());
    let mut lengths = headers
        .get_all("Content-Length")
        .flat_map(elements)
        .map(|length| length.parse::<u64>().ok().filter(|_| is_number(length)));
    let first = lengths.next()?;
    first.filter(|_| lengths.all(|other| other == first))
}

/// Copies up to `count` bytes; returns how many.
fn keep(bytes: &mut Vec<u8>, room: &mut usize, input: &mut Input<'_>, count: u64) -> u64 {
    let part = input.take(usize::try_from(count).unwrap_or(usize::MAX).min(*room));
    bytes.extend_from_slice(part);
    *room -= part.len();
    part.len() as u64
}

impl Chunk {
    /// Takes a byte that is not data. Whether it ends the body; what may follow the last chunk is of no interest.
    fn receive(&mut self, byte: u8) -> bool {
        match self {
            Self::Size(line) => {
                line.push(byte);
                if byte != b'\n' {
                    return false;
                }
                match httparse::parse_chunk_size(line) {
                    Ok(httparse::Status::Complete((_, size))) if size > 0 => *self = Self::Data(size),
                    _ => return true,
                }
            }
            Self::Data(_) if byte == b'\r' => *self = Self::End,
            Self::End if byte == b'\n' => *self = Self::Size(Vec::new()),
            Self::Data(_) | Self::End => return true,
        }
        false
    }
}
