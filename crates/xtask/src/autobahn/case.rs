//! The numbers of the testsuite's cases, and patterns that select cases.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::Deserialize;

/// The number of a case, such as `6.4.1`, in numerical order.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(crate) struct CaseId(Vec<u16>);

impl CaseId {
    /// Returns the case with this number in the group `self`: `6.4` and 1 give `6.4.1`.
    pub(crate) fn child(&self, number: u16) -> Self {
        Self(self.0.iter().copied().chain([number]).collect())
    }
}

impl CaseId {
    /// Returns whether it is a case of permessage-deflate: of the groups 12 and 13.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.0[..], [12 | 13, ..])
    }

    /// Returns whether a short run includes it. Of permessage-deflate, that is every set of parameters and every kind of
    /// data, with messages of 16 bytes, 1 KiB and 8 KiB, and of 8 KiB in fragments: with longer ones, a case takes up to
    /// half a minute.
    pub(crate) fn is_in_short_run(&self) -> bool {
        // The last number gives the length of the messages.
        !self.is_compressed() || matches!(self.0[..], [.., 1 | 4 | 6 | 11])
    }
}

impl FromStr for CaseId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('.').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for CaseId {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

/// A pattern for a whole case number, in which `*` matches any text.
///
/// The patterns of the suite match only the beginning of a number. Therefore this module resolves patterns, and the
/// suite gets numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Glob(String);

impl Glob {
    /// Returns whether the pattern is `*`.
    pub(crate) fn is_everything(&self) -> bool {
        self.0 == "*"
    }

    /// Returns whether the pattern matches the whole number of a case.
    pub(crate) fn matches(&self, case: &CaseId) -> bool {
        matches(&self.0, &case.to_string())
    }
}

impl From<&str> for Glob {
    fn from(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    text.strip_prefix(head)
        .is_some_and(|rest| (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(tail, rest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> CaseId {
        text.parse().unwrap()
    }

    #[test]
    fn case_ids_are_ordered_as_numbers() {
        assert!(case("2.11") > case("2.9"));
        assert!(case("10.1.1") > case("9.8.6"));
        assert_eq!(case("6.4").child(1), case("6.4.1"));
        assert_eq!(case("12.1.10").to_string(), "12.1.10");
    }

    #[test]
    fn a_short_run_has_the_compressed_cases_of_some_lengths() {
        for short in ["12.1.1", "12.5.4", "13.1.6", "13.7.11", "6.22.12", "9.1.6", "10.1.1"] {
            assert!(case(short).is_in_short_run(), "{short}");
        }
        for long in ["12.1.2", "12.5.10", "13.1.12", "13.7.18"] {
            assert!(!case(long).is_in_short_run(), "{long}");
        }
    }

    #[test]
    fn invalid_case_ids_are_refused() {
        for text in ["", "6.", ".1", "6.4.*", "six"] {
            assert!(text.parse::<CaseId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn globs_match_the_whole_number() {
        let table = [
            ("*", "1.1.1", true),
            ("6.4.*", "6.4.1", true),
            ("6.4.*", "6.40.1", false),
            ("6.4", "6.4.1", false),
            ("6.4.1", "6.4.1", true),
            ("6.4.1", "6.4.11", false),
            ("1.*", "10.1.1", false),
            ("1*", "10.1.1", true),
            ("*.1", "10.1.1", true),
            ("*.1", "10.1.12", false),
            ("9.*.6", "9.1.6", true),
            ("9.*.6", "9.1.5", false),
            ("", "1.1.1", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::from(pattern).matches(&case(text)), expected, "{pattern} {text}");
        }
    }
}
