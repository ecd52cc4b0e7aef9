//! Reads the body of a response that refuses the handshake, for the application (RFC 9112 sections 6 and 7).

use alloc::vec::Vec;

use crate::data::Input;
use crate::handshake::Headers;
use crate::handshake::negotiation::elements;

/// A body that is being received.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    framing: Framing,
    /// The number of further bytes that the limit permits.
    room: usize,
}

/// The rule that finds the end of the body.
#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked {
        position: ChunkPosition,
        /// The number of further bytes outside of the data that the limit permits.
        room: usize,
    },
    UntilEof,
}

/// The part of a chunk that the next byte belongs to.
#[derive(Debug)]
enum ChunkPosition {
    /// The line with the size, of which these bytes have arrived.
    Size(Vec<u8>),
    /// The data, of which this many bytes are missing. At zero, CR LF follows.
    Data(u64),
    /// The LF behind the data.
    End,
}

impl Framing {
    /// Chooses the framing (RFC 9112 section 6.3): by the transfer codings, if there are any, otherwise by the length.
    fn new(status: u16, headers: &Headers, limit: usize) -> Self {
        let codings = || headers.get_all("Transfer-Encoding");
        let is_chunked =
            || codings().flat_map(elements).last().is_some_and(|last| last.eq_ignore_ascii_case("chunked"));
        match status {
            204 | 304 => Self::Length(0),
            _ if is_chunked() => Self::Chunked { position: ChunkPosition::Size(Vec::new()), room: limit },
            _ if codings().next().is_some() => Self::UntilEof,
            _ => length(headers).map_or(Self::UntilEof, Self::Length),
        }
    }
}

impl Body {
    /// Creates the body behind a head with this status and these fields. Keeps up to `limit` bytes.
    pub(crate) fn new(status: u16, headers: &Headers, limit: usize) -> Self {
        Self { bytes: Vec::new(), framing: Framing::new(status, headers, limit), room: limit }
    }

    /// Takes bytes from the input. Returns whether the body has ended: is complete, malformed, or at the limit.
    pub(crate) fn receive(&mut self, input: &mut Input<'_>) -> bool {
        loop {
            let has_ended = match &mut self.framing {
                Framing::Length(0) => true,
                Framing::Length(missing) => {
                    *missing -= copy(&mut self.bytes, &mut self.room, input, *missing);
                    false
                }
                Framing::UntilEof => {
                    copy(&mut self.bytes, &mut self.room, input, u64::MAX);
                    false
                }
                Framing::Chunked { position: ChunkPosition::Data(missing), .. } if *missing > 0 => {
                    *missing -= copy(&mut self.bytes, &mut self.room, input, *missing);
                    false
                }
                Framing::Chunked { position, room } => match input.take(1) {
                    [] => return false,
                    [byte] if *room > 0 => {
                        *room -= 1;
                        position.receive(*byte)
                    }
                    _ => true,
                },
            };
            if has_ended || self.room == 0 {
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

/// Returns the length in `Content-Length` (RFC 9110 section 8.6), if all its values are the same.
fn length(headers: &Headers) -> Option<u64> {
    // `parse` accepts a plus sign, HTTP does not
    let is_number = |length: &str| length.bytes().all(|digit| digit.is_ascii_digit());
    let mut lengths = headers
        .get_all("Content-Length")
        .flat_map(elements)
        .map(|length| length.parse::<u64>().ok().filter(|_| is_number(length)));
    let first = lengths.next()?;
    first.filter(|_| lengths.all(|other| other == first))
}

/// Copies up to `count` bytes of the input, within the limit. Returns how many.
fn copy(bytes: &mut Vec<u8>, room: &mut usize, input: &mut Input<'_>, count: u64) -> u64 {
    let part = input.take(usize::try_from(count).unwrap_or(usize::MAX).min(*room));
    bytes.extend_from_slice(part);
    *room -= part.len();
    part.len() as u64
}

impl ChunkPosition {
    /// Takes a byte that is not data. Returns whether the body ends there. Does not read trailers.
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
