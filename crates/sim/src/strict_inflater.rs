//! An inflater for tests: written from RFC 1951 and RFC 7692 alone, without code of a library, simple and slow.
//!
//! It accepts what the sender of a permessage-deflate message may send, and nothing else. In particular, it has no byte
//! beyond the agreed window, so that it rejects a distance that another inflater, with a larger window, would accept.

use std::fmt;

/// Appended to a message before it is inflated (RFC 7692 section 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The fault of a message that is not whole.
const CUT: &str = "the message ends within a block";

/// The length of a match for the codes 257 to 285: the shortest, and the number of extra bits (RFC 1951 3.2.5).
const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The order in which the lengths of the codes for code lengths are sent (RFC 1951 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Inflates the messages of one direction of a connection.
#[derive(Clone, Debug)]
pub struct StrictInflater {
    window_size: usize,
    has_takeover: bool,
    /// The last bytes of the messages before, at most the window.
    history: Vec<u8>,
}

/// An inflated message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inflated {
    /// The application's bytes.
    pub payload: Vec<u8>,
    /// The blocks, without the one that ends in the tail.
    pub blocks: Vec<Block>,
    /// How far matches reach back beyond the beginning of the message, in bytes; 0 if none does.
    pub reach: usize,
}

/// A kind of block (RFC 1951 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Block {
    /// Not compressed; the number of bytes.
    Stored(usize),
    /// Compressed with the codes of RFC 1951 3.2.6.
    Fixed,
    /// Compressed with codes that the block contains.
    Dynamic,
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

fn fault<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(text.into()))
}

impl StrictInflater {
    /// Creates an inflater with a window of 2^`window_bits` bytes. Without takeover, it forgets each message.
    pub const fn new(window_bits: u8, has_takeover: bool) -> Self {
        Self { window_size: 1 << window_bits, has_takeover, history: Vec::new() }
    }

    /// Inflates a message: the payloads of all of its frames.
    ///
    /// # Errors
    ///
    /// The bytes are not a message that RFC 7692 permits. The inflater is unchanged.
    pub fn inflate(&mut self, compressed: &[u8]) -> Result<Inflated, Fault> {
        let bytes = [compressed, &TAIL].concat();
        let mut message = self.message(&bytes);
        let blocks = message.blocks()?;
        let Message { output, begin, reach, .. } = message;
        let inflated = Inflated { payload: output[begin..].to_vec(), blocks, reach };
        if self.has_takeover {
            self.history = output[output.len().saturating_sub(self.window_size)..].to_vec();
        }
        Ok(inflated)
    }

    /// Returns the bytes into which the beginning of a message inflates. The inflater is unchanged.
    pub fn inflate_beginning(&self, compressed: &[u8]) -> Vec<u8> {
        let mut message = self.message(compressed);
        // the beginning usually ends within a block
        let _ = message.blocks();
        message.output.split_off(message.begin)
    }

    fn message<'a>(&self, bytes: &'a [u8]) -> Message<'a> {
        let (bits, output) = (Bits { bytes, position: 0 }, self.history.clone());
        Message { bits, output, begin: self.history.len(), window_size: self.window_size, reach: 0 }
    }
}

/// A message that is being inflated.
struct Message<'a> {
    bits: Bits<'a>,
    /// The history, and the bytes of the message from `begin` on.
    output: Vec<u8>,
    begin: usize,
    window_size: usize,
    reach: usize,
}

impl Message<'_> {
    /// Inflates all blocks. The last one must be empty, and must end with the last byte of the tail.
    fn blocks(&mut self) -> Result<Vec<Block>, Fault> {
        let mut blocks = Vec::new();
        while !self.bits.is_empty() {
            let is_final = self.bits.number(1)? == 1;
            blocks.push(self.block()?);
            if is_final {
                // RFC 7692 7.2.1: another block follows, at the next byte boundary
                self.bits.align();
            }
        }
        match blocks.pop() {
            Some(Block::Stored(0)) => Ok(blocks),
            block => fault(format!("the last block is {block:?}, not an empty one without compression")),
        }
    }

    fn block(&mut self) -> Result<Block, Fault> {
        match self.bits.number(2)? {
            0 => {
                self.bits.align();
                let (len, complement) = (self.bits.number(16)?, self.bits.number(16)?);
                if len ^ complement != 0xffff {
                    return fault(format!("the length {len:#x} of a stored block with the complement {complement:#x}"));
                }
                let stored = self.bits.bytes(len);
                self.output.extend_from_slice(stored);
                if stored.len() < len { fault(CUT) } else { Ok(Block::Stored(len)) }
            }
            1 => {
                let literals = (0..288).map(|symbol| match symbol {
                    0..144 => 8,
                    144..256 => 9,
                    256..280 => 7,
                    _ => 8,
                });
                let literals = Code::new(&literals.collect::<Vec<u32>>())?;
                self.compressed(&literals, &Code::new(&[5; 32])?)?;
                Ok(Block::Fixed)
            }
            2 => {
                let (literals, distances) = self.codes()?;
                self.compressed(&literals, &distances)?;
                Ok(Block::Dynamic)
            }
            _ => fault("the reserved kind of block"),
        }
    }

    /// Reads the codes of a dynamic block (RFC 1951 3.2.7).
    fn codes(&mut self) -> Result<(Code, Code), Fault> {
        let (literals, distances) = (257 + self.bits.number(5)?, 1 + self.bits.number(5)?);
        if literals > 286 || distances > 30 {
            return fault(format!("{literals} codes for literals and lengths, {distances} for distances"));
        }
        let mut lengths = [0; 19];
        for &symbol in &ORDER[..4 + self.bits.number(4)?] {
            lengths[symbol] = self.bits.number(3)? as u32;
        }
        let code = Code::new(&lengths)?;
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, count) = match (code.symbol(&mut self.bits)?, lengths.last()) {
                (16, Some(&last)) => (last, 3 + self.bits.number(2)?),
                (16, None) => return fault("no code length to repeat"),
                (17, _) => (0, 3 + self.bits.number(3)?),
                (18, _) => (0, 11 + self.bits.number(7)?),
                (length, _) => (length as u32, 1),
            };
            lengths.extend(vec![length; count]);
        }
        if lengths.len() > literals + distances {
            return fault("a code length is repeated beyond the last code");
        }
        let (literals, distances) = lengths.split_at(literals);
        if literals[256] == 0 {
            return fault("no code for the end of the block");
        }
        Ok((Code::new(literals)?, Code::new(distances)?))
    }

    /// Inflates a block with these codes (RFC 1951 3.2.3).
    fn compressed(&mut self, literals: &Code, distances: &Code) -> Result<(), Fault> {
        loop {
            match literals.symbol(&mut self.bits)? {
                literal @ 0..256 => self.output.push(literal as u8),
                256 => return Ok(()),
                symbol => {
                    let Some(&(length, extra)) = LENGTHS.get(symbol - 257) else {
                        return fault(format!("the code {symbol} for a length"));
                    };
                    let length = length + self.bits.number(extra)?;
                    let distance = self.distance(distances)?;
                    self.copy(distance, length)?;
                }
            }
        }
    }

    fn distance(&mut self, code: &Code) -> Result<usize, Fault> {
        match code.symbol(&mut self.bits)? {
            symbol @ 0..4 => Ok(symbol + 1),
            symbol @ 4..30 => {
                let extra = symbol as u32 / 2 - 1;
                Ok(1 + ((2 + symbol % 2) << extra) + self.bits.number(extra)?)
            }
            symbol => fault(format!("the code {symbol} for a distance")),
        }
    }

    fn copy(&mut self, distance: usize, length: usize) -> Result<(), Fault> {
        let available = self.output.len().min(self.window_size);
        if distance > available {
            return fault(format!("a distance of {distance} bytes; {available} are in the window"));
        }
        self.reach = self.reach.max(distance.saturating_sub(self.output.len() - self.begin));
        for _ in 0..length {
            self.output.push(self.output[self.output.len() - distance]);
        }
        Ok(())
    }
}

/// Bits in the order of RFC 1951 3.1.1.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The number of bits read.
    position: usize,
}

impl Bits<'_> {
    fn is_empty(&self) -> bool {
        self.position == 8 * self.bytes.len()
    }

    /// Reads a number: its least significant bit comes first.
    fn number(&mut self, bits: u32) -> Result<usize, Fault> {
        let mut number = 0;
        for index in 0..bits {
            let Some(byte) = self.bytes.get(self.position / 8) else {
                return fault(CUT);
            };
            number |= usize::from(byte >> (self.position % 8) & 1) << index;
            self.position += 1;
        }
        Ok(number)
    }

    /// Reads whole bytes, after [`align`](Self::align): fewer than `count` if the message ends.
    fn bytes(&mut self, count: usize) -> &[u8] {
        let rest = &self.bytes[self.position / 8..];
        let bytes = &rest[..count.min(rest.len())];
        self.position += 8 * bytes.len();
        bytes
    }

    /// Skips the bits up to the next byte.
    fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }
}

/// A Huffman code (RFC 1951 3.2.2).
struct Code {
    /// The symbols of each length of code in bits, in the order of their codes.
    symbols: [Vec<usize>; 16],
}

impl Code {
    /// Creates the code in which each symbol has this length in bits; 0 for a symbol that does not occur.
    fn new(lengths: &[u32]) -> Result<Self, Fault> {
        let mut symbols = [const { Vec::new() }; 16];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            symbols[length as usize].push(symbol);
        }
        // the part of all codes that are used, in units of the longest code
        let used: usize = symbols.iter().enumerate().map(|(length, symbols)| symbols.len() << (15 - length)).sum();
        let count: usize = symbols.iter().map(Vec::len).sum();
        // 3.2.7: one distance code alone has one bit; none means that there are only literals
        if used != 1 << 15 && !(count == 0 || count == 1 && symbols[1].len() == 1) {
            return fault(format!("the codes use {used} of {}", 1 << 15));
        }
        Ok(Self { symbols })
    }

    /// Reads a symbol.
    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        let (mut code, mut first) = (0, 0);
        for symbols in &self.symbols[1..] {
            code |= bits.number(1)?;
            if let Some(&symbol) = symbols.get(code - first) {
                return Ok(symbol);
            }
            first = (first + symbols.len()) << 1;
            code <<= 1;
        }
        fault("a code that no symbol has")
    }
}
