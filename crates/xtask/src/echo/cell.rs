//! A cell of the measurements: the size of messages, the number of connections, and the messages in flight.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// The payload of a message, in bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Payload(pub(crate) usize);

/// One kind of load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cell {
    /// The payload of every message.
    pub(crate) payload: Payload,
    /// The number of connections, all of them busy.
    pub(crate) connections: usize,
    /// The number of messages that a connection sends at once. It sends the next ones when all echoes have arrived.
    pub(crate) in_flight: usize,
}

/// The maximum payload, in bytes: the servers and clients here are not made for more.
const MAX_PAYLOAD: usize = 16 << 20;

impl Cell {
    /// Returns the bytes of payload in flight over all connections.
    pub(crate) fn bytes_in_flight(self) -> usize {
        self.payload.0 * self.connections * self.in_flight
    }

    /// Returns the messages in flight over all connections.
    pub(crate) fn messages_in_flight(self) -> u64 {
        (self.connections * self.in_flight) as u64
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.connections == 1 { "" } else { "s" };
        write!(f, "{}, {} connection{plural}, {} in flight", self.payload, self.connections, self.in_flight)
    }
}

impl FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split('/').collect();
        let [payload, connections, in_flight] = parts[..] else {
            bail!("{text:?} is not PAYLOAD/CONNECTIONS/IN_FLIGHT, such as 20B/32/16");
        };
        Ok(Self { payload: payload.parse()?, connections: count(connections)?, in_flight: count(in_flight)? })
    }
}

/// Parses a number of connections or messages, which is at least 1.
pub(crate) fn count(text: &str) -> Result<usize> {
    let number = text.parse().with_context(|| format!("{text:?} is not a number"))?;
    ensure!(number > 0, "{text} is less than 1");
    Ok(number)
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let text = match bytes {
            _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
            _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
            _ => format!("{bytes} B"),
        };
        f.pad(&text)
    }
}

impl FromStr for Payload {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            unit => bail!("{unit:?} is not B, KiB or MiB"),
        };
        let number: usize = digits.parse().with_context(|| format!("{text:?} is not a size such as 16KiB"))?;
        let bytes = number.saturating_mul(unit);
        ensure!(bytes <= MAX_PAYLOAD, "{text} is more than {}", Self(MAX_PAYLOAD));
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_parsed_as_they_are_displayed() {
        for (text, bytes, written) in [
            ("20", 20, "20 B"),
            ("20B", 20, "20 B"),
            ("1024", 1024, "1 KiB"),
            ("16KiB", 16_384, "16 KiB"),
            ("1 MiB", 1_048_576, "1 MiB"),
            ("1025", 1025, "1025 B"),
        ] {
            let payload: Payload = text.parse().unwrap();
            assert_eq!((payload, payload.to_string().as_str()), (Payload(bytes), written), "{text}");
            assert_eq!(written.parse::<Payload>().unwrap(), payload);
        }
    }

    #[test]
    fn invalid_payloads_and_cells_are_refused() {
        for text in ["", "KiB", "-1", "1kB", "20MB", "17MiB", "99999999999MiB"] {
            assert!(text.parse::<Payload>().is_err(), "{text:?}");
        }
        for text in ["", "20", "20/1", "20/1/1/1", "20/0/1", "20/1/0", "20/x/1"] {
            assert!(text.parse::<Cell>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_cell_is_three_numbers() {
        let cell: Cell = "16KiB/32/16".parse().unwrap();
        assert_eq!(cell, Cell { payload: Payload(16_384), connections: 32, in_flight: 16 });
        assert_eq!(cell.to_string(), "16 KiB, 32 connections, 16 in flight");
        assert_eq!((cell.messages_in_flight(), cell.bytes_in_flight()), (512, 8_388_608));
    }
}
