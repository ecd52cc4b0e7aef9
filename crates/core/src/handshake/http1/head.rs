//! The head of a message: start line and header fields up to the empty line, RFC 9112 section 2.
//!
//! Its end is searched for as the bytes come, from where the search had stopped; only then is it parsed, once. (A
//! request that comes in one piece is found without that.)

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::config::Config;
use crate::handshake::syntax::is_token_byte;
use crate::input::Input;

/// Why bytes are not the head of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeadFault {
    /// The first byte says that this is something else.
    NotHttp,
    /// A line ends in LF alone. RFC 9112 section 2.2 lets a recipient take that for the end of a line, but does not ask
    /// it to, and intermediaries that differ in this have been tricked.
    BareLineFeed,
    TooLong,
    LinesTooMany,
}

/// What the start line of a request of this method begins with.
const METHOD_HEAD: &[u8] = b"HEAD ";

/// Collects a head, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    buffer: Vec<u8>,
    scan: Scan,
}

/// How far the search for the empty line has come.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes examined.
    size: usize,
    /// Lines that have ended, the start line among them.
    lines: usize,
    /// Bytes of the line that has not ended.
    line_size: usize,
    /// How many bytes the start line has in common with one of the method HEAD.
    in_common: usize,
    after_cr: bool,
}

impl HeadReader {
    /// Takes from the input what belongs to the head. If it lies there whole, it is lent.
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

    /// Returns the beginning of a head that is not whole; after a fault, up to the end of the line that has it.
    pub(crate) fn received(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether no byte of the head has come.
    pub(crate) const fn is_empty(&self) -> bool {
        self.scan.size == 0
    }

    /// How many header lines the head has.
    pub(crate) fn header_lines(&self) -> usize {
        self.scan.lines.saturating_sub(1)
    }

    /// Whether it is known that this is a request of the method HEAD.
    pub(crate) const fn asks_for_head(&self) -> bool {
        self.scan.in_common == METHOD_HEAD.len()
    }

    /// Begins another head, on account of the same limit.
    pub(crate) fn restart(&mut self) {
        self.scan = Scan { size: self.scan.size, ..Scan::default() };
    }
}

/// Returns the start line of a head, without its end. Empty lines before it are ignored (RFC 9112 section 2.2).
pub(crate) fn start_line(head: &[u8]) -> &[u8] {
    let mut lines = head.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Returns a copy of a head of HTTP/1.2 to 1.9 that says HTTP/1.1, which these versions count as (RFC 9110 section
/// 2.5): the parser knows only 1.0 and 1.1. `None` if the version is another one. `version_digit` finds the major
/// version in the start line.
pub(crate) fn as_http11(head: &[u8], version_digit: fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let before = head.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let start = before + version_digit(start_line(head))?;
    let Some(([b'1', b'.', b'2'..=b'9', ..], before)) = head.get(start..).zip(head.get(..start)) else { return None };
    let behind = head.get(start + b"1.2".len()..)?;
    Some([before, b"1.1", behind].concat())
}

impl Scan {
    /// How many of the bytes belong to the head, if its end is among them.
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
            self.compare(line, config.max_head_size - self.size);
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

    /// Goes on comparing the start line with one of the method HEAD, within the limit of the head.
    fn compare(&mut self, line: &[u8], limit: usize) {
        if self.lines == 0 && self.line_size == self.in_common {
            let expected = METHOD_HEAD.iter().skip(self.in_common);
            self.in_common += line.iter().take(limit).zip(expected).take_while(|(byte, other)| byte == other).count();
        }
    }

    /// Whether the line that ends here is the empty one.
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
            return Err(HeadFault::LinesTooMany);
        }
        Ok(false)
    }
}
