//! `expected.json`: how every case of the suite must go, and what differs from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::case::{CaseId, Glob};
use super::report::CaseReport;
use super::role::Role;

/// The suite's cases, and rules that say how they must go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// How many cases each group has, numbered from 1.
    cases: BTreeMap<CaseId, u16>,
    /// The last rule that describes a case holds.
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    cases: Glob,
    /// Both roles if absent.
    role: Option<Role>,
    behavior: Verdict,
    behavior_close: Verdict,
}

/// What may be expected: of the suite's words those that are no fault of the endpoint.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Ok,
    Informational,
    Unimplemented,
}

/// A case that did not go as expected.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    case: &'a CaseId,
    /// `None`: the case ought not to have run.
    expected: Option<&'a Rule>,
    /// `None`: the case did not run.
    pub(crate) got: Option<&'a CaseReport>,
}

impl Expected {
    /// Reads the file, and checks that it says something about every case, and nothing in vain.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || Self::parse(&fs::read_to_string(path)?);
        read().with_context(|| format!("cannot use {}", path.display()))
    }

    fn parse(json: &str) -> Result<Self> {
        let expected: Self = serde_json::from_str(json)?;
        let cases = expected.select(&Glob::from("*"));
        for role in [Role::Server, Role::Client] {
            for case in &cases {
                ensure!(expected.rule(role, case).is_some(), "{}: no rule for {case}", role.name());
            }
        }
        for Rule { cases: glob, .. } in &expected.rules {
            ensure!(cases.iter().any(|case| glob.matches(case)), "no case is a {glob}");
        }
        Ok(expected)
    }

    /// The cases that `glob` describes.
    pub(crate) fn select(&self, glob: &Glob) -> BTreeSet<CaseId> {
        let groups = self.cases.iter();
        let all = groups.flat_map(|(group, count)| (1..=*count).map(|number| group.child(number)));
        all.filter(|case| glob.matches(case)).collect()
    }

    /// The cases of something that our endpoints have, in both roles.
    pub(crate) fn select_implemented(&self) -> BTreeSet<CaseId> {
        let mut cases = self.select(&Glob::from("*"));
        for role in [Role::Server, Role::Client] {
            cases.retain(|case| self.rule(role, case).is_some_and(|rule| rule.behavior != Verdict::Unimplemented));
        }
        cases
    }

    /// What differs between the cases that were to run in this role and those that ran.
    pub(crate) fn differences<'a>(
        &'a self,
        role: Role,
        selected: &'a BTreeSet<CaseId>,
        ran: &'a BTreeMap<CaseId, CaseReport>,
    ) -> Vec<Difference<'a>> {
        let all: BTreeSet<_> = selected.iter().chain(ran.keys()).collect();
        let compare = |case| Difference {
            case,
            expected: selected.get(case).and_then(|case| self.rule(role, case)),
            got: ran.get(case),
        };
        all.into_iter().map(compare).filter(|compared| !compared.is_none()).collect()
    }

    fn rule(&self, role: Role, case: &CaseId) -> Option<&Rule> {
        let applies = |rule: &&Rule| rule.role.is_none_or(|only| only == role) && rule.cases.matches(case);
        self.rules.iter().rev().find(applies)
    }
}

impl Verdict {
    /// The suite's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Informational => "INFORMATIONAL",
            Self::Unimplemented => "UNIMPLEMENTED",
        }
    }
}

impl Difference<'_> {
    /// Whether there is no difference at all.
    fn is_none(&self) -> bool {
        let (Some(rule), Some(got)) = (self.expected, self.got) else {
            return false;
        };
        rule.behavior.word() == got.behavior && rule.behavior_close.word() == got.behavior_close
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected ", self.case)?;
        match self.expected {
            Some(rule) => {
                write!(f, "{}, close {}", rule.behavior.word(), rule.behavior_close.word())?;
            }
            None => write!(f, "no such case")?,
        }
        match self.got {
            Some(got) => write!(f, "; got {}, close {}", got.behavior, got.behavior_close),
            None => write!(f, "; it did not run"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "cases": { "1.1": 2, "2": 1, "10": 1 },
        "rules": [
            { "cases": "*", "behavior": "OK", "behaviorClose": "OK" },
            { "cases": "2.*", "behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL" },
            { "cases": "10.1", "role": "client", "behavior": "UNIMPLEMENTED", "behaviorClose": "OK" }
        ]
    }"#;

    /// A run of exactly these cases, and of what it must be reported to differ in.
    #[track_caller]
    fn check(role: Role, glob: &str, ran: &[(&str, &str, &str)], differences: &[&str]) {
        let expected = Expected::parse(JSON).unwrap();
        let selected = expected.select(&Glob::from(glob));
        let ran = ran.iter().map(|(case, behavior, close)| {
            let report = serde_json::json!({
                "behavior": behavior, "behaviorClose": close, "reportfile": "x.json"
            });
            (case.parse().unwrap(), serde_json::from_value(report).unwrap())
        });
        let ran = ran.collect();
        let found = expected.differences(role, &selected, &ran);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, differences);
    }

    const ALL: [(&str, &str, &str); 4] =
        [("1.1.1", "OK", "OK"), ("1.1.2", "OK", "OK"), ("2.1", "INFORMATIONAL", "INFORMATIONAL"), ("10.1", "OK", "OK")];

    #[test]
    fn all_as_expected() {
        check(Role::Server, "*", &ALL, &[]);
    }

    #[test]
    fn a_rule_may_be_for_one_role() {
        let difference = "10.1: expected UNIMPLEMENTED, close OK; got OK, close OK";
        check(Role::Client, "*", &ALL, &[difference]);
    }

    #[test]
    fn what_one_role_lacks_is_not_implemented() {
        let implemented = Expected::parse(JSON).unwrap().select_implemented();
        let implemented: Vec<_> = implemented.iter().map(ToString::to_string).collect();
        assert_eq!(implemented, ["1.1.1", "1.1.2", "2.1"]);
    }

    #[test]
    fn both_fields_count() {
        let ran = [("1.1.1", "NON-STRICT", "OK"), ("1.1.2", "OK", "WRONG CODE")];
        let differences = [
            "1.1.1: expected OK, close OK; got NON-STRICT, close OK",
            "1.1.2: expected OK, close OK; got OK, close WRONG CODE",
        ];
        check(Role::Server, "1.*", &ran, &differences);
    }

    #[test]
    fn better_than_expected_is_a_difference_too() {
        let difference = "2.1: expected INFORMATIONAL, close INFORMATIONAL; got OK, close OK";
        check(Role::Server, "2.1", &[("2.1", "OK", "OK")], &[difference]);
    }

    #[test]
    fn a_case_that_did_not_run_is_a_difference() {
        check(Role::Server, "*", &ALL[1..], &["1.1.1: expected OK, close OK; it did not run"]);
    }

    #[test]
    fn a_case_that_ought_not_to_run_is_a_difference() {
        let ran = [("1.1.1", "OK", "OK"), ("1.1.2", "OK", "OK"), ("1.1.3", "OK", "OK")];
        let difference = "1.1.3: expected no such case; got OK, close OK";
        check(Role::Server, "1.*", &ran, &[difference]);
        check(Role::Server, "1.1.1", &ran[..2], &["1.1.2: expected no such case; got OK, close OK"]);
    }

    #[test]
    fn a_file_that_is_wrong_is_refused() {
        let everything = r#"{ "cases": "*", "behavior": "OK", "behaviorClose": "OK" }"#;
        let table = [
            ("1.x", everything.to_owned(), "invalid digit"),
            ("1", everything.replace("cases", "case"), "unknown field `case`"),
            // A failure cannot be expected.
            ("1", everything.replace("OK", "NON-STRICT"), "unknown variant `NON-STRICT`"),
            ("1", everything.replace("}", r#", "role": "server" }"#), "client: no rule for 1.1"),
            ("1", format!("{everything}, {}", everything.replace('*', "2.*")), "no case is a 2.*"),
        ];
        for (group, rules, reason) in table {
            let json = format!(r#"{{ "cases": {{ "{group}": 1 }}, "rules": [{rules}] }}"#);
            let error = Expected::parse(&json).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
