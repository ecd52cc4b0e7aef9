//! The notation of bytes, and of runs of equal items, in the records.

use anyhow::{Result, ensure};

/// Shorter runs are written item by item.
const RUN_MIN: usize = 16;

/// The maximum payload that is written in full, in bytes.
const PLAIN_MAX: usize = 1024;

/// The maximum period to look for in a payload, in bytes.
const PERIOD_MAX: usize = 16;

/// Writes a run of equal items: a line for each, or one line with their number.
pub(super) fn write_run<T>(text: &mut String, key: &str, run: &[T], line: impl Fn(&T) -> Result<String>) -> Result<()> {
    if let [first, ..] = run
        && run.len() >= RUN_MIN
    {
        *text += &format!("{key}: {} x{}\n", line(first)?, run.len());
    } else {
        for item in run {
            *text += &format!("{key}: {}\n", line(item)?);
        }
    }
    Ok(())
}

/// Formats a payload as hexadecimal digits, as `N*HEX` (N bytes that repeat HEX), or as `-` if it is empty.
pub(super) fn token(payload: &[u8]) -> Result<String> {
    let has_period = |size: &usize| payload.get(*size..).is_some_and(|rest| payload.starts_with(rest));
    match (1..=PERIOD_MAX).find(has_period) {
        Some(size) if payload.len() > 2 * size => Ok(format!("{}*{}", payload.len(), hex(&payload[..size]))),
        _ if payload.is_empty() => Ok("-".to_owned()),
        _ => {
            let length = payload.len();
            ensure!(length <= PLAIN_MAX, "the payload of {length} bytes has no period and exceeds {PLAIN_MAX} bytes");
            Ok(hex(payload))
        }
    }
}

/// Formats bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_short() {
        let table = [
            (b"".to_vec(), "-"),
            (b"a".to_vec(), "61"),
            (b"aa".to_vec(), "6161"),
            (b"aaa".to_vec(), "3*61"),
            (b"abab".to_vec(), "61626162"),
            (b"ababa".to_vec(), "5*6162"),
            (b"ababc".to_vec(), "6162616263"),
            (b"BAsd7&jh23".repeat(1000), "10000*4241736437266a683233"),
        ];
        for (payload, expected) in table {
            assert_eq!(token(&payload).unwrap(), expected);
        }
        let random: Vec<u8> = (0..=255).cycle().take(1025).collect();
        assert!(token(&random).is_err());
    }
}
