//! `expected.json`: the expected result of every case, and differences from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::case::{CaseId, Glob};
use super::endpoint::Role;
use super::report::CaseReport;

/// The suite's cases, and rules for their results.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The number of cases of each group; cases are numbered from 1.
    cases: BTreeMap<CaseId, u16>,
    /// The last rule that matches a case applies.
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    cases: Glob,
    /// The role to which the rule applies, or both if absent.
    role: Option<Role>,
    behavior: Verdict,
    behavior_close: Verdict,
}

/// The verdicts of the suite that are no fault of the endpoint.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Ok,
    Informational,
}

/// A case whose result differs from the expected one.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    case: &'a CaseId,
    /// `None` if the case must not run.
    expected: Option<&'a Rule>,
    /// `None` if the case did not run.
    pub(crate) actual: Option<&'a CaseReport>,
}

impl Expected {
    /// Reads the file, and checks that every case has a rule, and every rule matches a case.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let read = || Self::parse(&fs::read_to_string(path)?);
        read().with_context(|| format!("invalid file {}", path.display()))
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
            ensure!(cases.iter().any(|case| glob.matches(case)), "no case matches {glob}");
        }
        Ok(expected)
    }

    /// Returns the cases that `glob` matches.
    pub(crate) fn select(&self, glob: &Glob) -> BTreeSet<CaseId> {
        let groups = self.cases.iter();
        let all = groups.flat_map(|(group, count)| (1..=*count).map(|number| group.child(number)));
        all.filter(|case| glob.matches(case)).collect()
    }

    /// Returns the differences between the expected results of the selected cases in this role, and the actual results.
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
            actual: ran.get(case),
        };
        all.into_iter().map(compare).filter(|compared| !compared.is_none()).collect()
    }

    fn rule(&self, role: Role, case: &CaseId) -> Option<&Rule> {
        let applies = |rule: &&Rule| rule.role.is_none_or(|only| only == role) && rule.cases.matches(case);
        self.rules.iter().rev().find(applies)
    }
}

impl Verdict {
    /// Returns the name of the verdict in the suite.
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Informational => "INFORMATIONAL",
        }
    }
}

impl Difference<'_> {
    /// Returns whether the results are equal.
    fn is_none(&self) -> bool {
        let (Some(rule), Some(actual)) = (self.expected, self.actual) else {
            return false;
        };
        rule.behavior.name() == actual.behavior && rule.behavior_close.name() == actual.behavior_close
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected ", self.case)?;
        match self.expected {
            Some(rule) => {
                write!(f, "{}, close {}", rule.behavior.name(), rule.behavior_close.name())?;
            }
            None => write!(f, "no such case")?,
        }
        match self.actual {
            Some(actual) => write!(f, "; got {}, close {}", actual.behavior, actual.behavior_close),
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
            { "cases": "10.1", "role": "client", "behavior": "INFORMATIONAL", "behaviorClose": "OK" }
        ]
    }"#;

    /// Checks the differences that are reported for a run of exactly these cases.
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
    fn equal_results_are_no_difference() {
        check(Role::Server, "*", &ALL, &[]);
    }

    #[test]
    fn a_rule_may_be_for_one_role() {
        let difference = "10.1: expected INFORMATIONAL, close OK; got OK, close OK";
        check(Role::Client, "*", &ALL, &[difference]);
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
    fn an_unexpected_case_is_a_difference() {
        let ran = [("1.1.1", "OK", "OK"), ("1.1.2", "OK", "OK"), ("1.1.3", "OK", "OK")];
        let difference = "1.1.3: expected no such case; got OK, close OK";
        check(Role::Server, "1.*", &ran, &[difference]);
        check(Role::Server, "1.1.1", &ran[..2], &["1.1.2: expected no such case; got OK, close OK"]);
    }

    #[test]
    fn invalid_files_are_refused() {
        let everything = r#"{ "cases": "*", "behavior": "OK", "behaviorClose": "OK" }"#;
        let table = [
            ("1.x", everything.to_owned(), "invalid digit"),
            ("1", everything.replace("cases", "case"), "unknown field `case`"),
            // A failure cannot be expected.
            ("1", everything.replace("OK", "NON-STRICT"), "unknown variant `NON-STRICT`"),
            ("1", everything.replace("}", r#", "role": "server" }"#), "client: no rule for 1.1"),
            ("1", format!("{everything}, {}", everything.replace('*', "2.*")), "no case matches 2.*"),
        ];
        for (group, rules, reason) in table {
            let json = format!(r#"{{ "cases": {{ "{group}": 1 }}, "rules": [{rules}] }}"#);
            let error = Expected::parse(&json).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
