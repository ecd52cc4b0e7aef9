//! The head of a message: start line and header fields up to the empty line, RFC 9112 section 2.
//!
//! The reader searches for the end as bytes arrive, and continues where the last search stopped. The complete head is
//! then parsed once. (A request that arrives in one piece is parsed without this search.)

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::data::token::is_token_byte;
use crate::data::{Config, Input};

/// Why bytes are not the head of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeadFault {
    /// The first byte cannot begin a head.
    NotHttp,
    /// A line ends in LF alone. RFC 9112 section 2.2 permits a recipient to accept that, but attackers have exploited
    /// intermediaries that disagree about it.
    BareLineFeed,
    TooLong,
    TooManyLines,
}

/// The beginning of a request whose method is HEAD.
const METHOD_HEAD: &[u8] = b"HEAD ";

/// Collects a head, which may arrive in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    buffer: Vec<u8>,
    scan: Scan,
}

/// The progress of the search for the empty line.
#[derive(Debug, Default)]
struct Scan {
    /// The number of bytes examined.
    size: usize,
    /// The number of lines that have ended, including the start line.
    lines: usize,
    /// The number of bytes of the current line.
    line_size: usize,
    /// The number of bytes at the beginning of the start line that equal those of [`METHOD_HEAD`].
    matched: usize,
    after_cr: bool,
}

impl HeadReader {
    /// Takes the bytes of the head from the input. Returns the complete head, borrowed if the input has all of it.
    pub(crate) fn read<'b>(
        &mut self,
        input: &mut Input<'b>,
        config: &Config,
    ) -> Result<Option<Cow<'b, [u8]>>, HeadFault> {
        let before = self.scan.size;
        let end = match self.scan.find_end(input.remaining(), config) {
            Ok(end) => end,
            Err(fault) => {
                self.buffer.extend_from_slice(input.take(self.scan.size - before));
                return Err(fault);
            }
        };
        let part = input.take(end.unwrap_or(usize::MAX));
        if end.is_some() && self.buffer.is_empty() {
            return Ok(Some(Cow::Borrowed(part)));
        }
        self.buffer.extend_from_slice(part);
        Ok(end.map(|_| Cow::Owned(core::mem::take(&mut self.buffer))))
    }

    /// Returns how many bytes count against the limit of the head.
    pub(crate) const fn size(&self) -> usize {
        self.scan.size
    }

    /// Returns the bytes of an incomplete head; after a fault, up to the end of the faulty line.
    pub(crate) fn received(&self) -> &[u8] {
        &self.buffer
    }

    /// Returns whether no byte of the head has arrived.
    pub(crate) const fn is_empty(&self) -> bool {
        self.scan.size == 0
    }

    /// Returns the number of header lines.
    pub(crate) fn header_lines(&self) -> usize {
        self.scan.lines.saturating_sub(1)
    }

    /// Returns whether the head begins with the method HEAD.
    pub(crate) const fn is_method_head(&self) -> bool {
        self.scan.matched == METHOD_HEAD.len()
    }

    /// Prepares for another head, which counts against the same limit.
    pub(crate) fn restart(&mut self) {
        self.scan = Scan { size: self.scan.size, ..Scan::default() };
    }
}

/// Returns the start line of a head, without its end. Empty lines before it are ignored (RFC 9112 section 2.2).
pub(crate) fn start_line(head: &[u8]) -> &[u8] {
    let mut lines = head.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Returns a copy of a head of HTTP/1.2 to 1.9 with the version 1.1, as which these count (RFC 9110 section 2.5),
/// because the parser knows only 1.0 and 1.1. `None` for other versions. `version_position` finds the major version in
/// the start line.
pub(crate) fn as_http11(head: &[u8], version_position: fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let before = head.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let start = before + version_position(start_line(head))?;
    let Some(([b'1', b'.', b'2'..=b'9', ..], before)) = head.get(start..).zip(head.get(..start)) else { return None };
    let behind = head.get(start + b"1.2".len()..)?;
    Some([before, b"1.1", behind].concat())
}

impl Scan {
    /// Searches for the end of the head. Returns its position.
    fn find_end(&mut self, bytes: &[u8], config: &Config) -> Result<Option<usize>, HeadFault> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if self.size >= config.max_head_size {
                return Err(HeadFault::TooLong);
            }
            let is_start = self.lines == 0 && self.line_size == 0;
            if is_start && !matches!(first, b'\r' | b'\n') && !is_token_byte(first) {
                return Err(HeadFault::NotHttp);
            }
            let end = memchr::memchr(b'\n', rest);
            let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.match_method(line, config.max_head_size - self.size);
            self.size += line.len() + usize::from(end.is_some());
            if self.size > config.max_head_size {
                return Err(HeadFault::TooLong);
            }
            self.line_size += line.len();
            self.after_cr = line.last().map_or(self.after_cr, |&last| last == b'\r');
            let Some((_, behind)) = behind.split_first() else { return Ok(None) };
            if self.end_line(config)? {
                return Ok(Some(bytes.len() - behind.len()));
            }
            rest = behind;
        }
        Ok(None)
    }

    /// Continues to compare the start line with [`METHOD_HEAD`], within the limit of the head.
    fn match_method(&mut self, line: &[u8], limit: usize) {
        if self.lines == 0 && self.line_size == self.matched {
            let expected = METHOD_HEAD.iter().skip(self.matched);
            self.matched += line.iter().take(limit).zip(expected).take_while(|(byte, other)| byte == other).count();
        }
    }

    /// Ends the current line. Returns whether it is the empty line that ends the head.
    fn end_line(&mut self, config: &Config) -> Result<bool, HeadFault> {
        if !core::mem::take(&mut self.after_cr) {
            return Err(HeadFault::BareLineFeed);
        }
        let is_empty = core::mem::take(&mut self.line_size) == 1;
        if is_empty {
            // RFC 9112 section 2.2: an empty line before the start line is ignored
            return Ok(self.lines > 0);
        }
        self.lines += 1;
        if self.lines.saturating_sub(1) > config.max_header_lines {
            return Err(HeadFault::TooManyLines);
        }
        Ok(false)
    }
}
