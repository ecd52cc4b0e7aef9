//! `index.json`, the testsuite's report of all cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::case::CaseId;
use super::details::Details;

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Report {
    dir: PathBuf,
    cases: BTreeMap<CaseId, CaseReport>,
}

/// The result of a case, in the terms of the suite.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CaseReport {
    /// The verdict on the case.
    pub(crate) behavior: String,
    /// The verdict on the closing handshake.
    pub(crate) behavior_close: String,
    /// The file with the details as JSON; an HTML page lies beside it.
    reportfile: PathBuf,
}

impl Report {
    /// Reads the report on `agent` in `dir`.
    pub(crate) fn read(dir: &Path, agent: &str) -> Result<Self> {
        let path = dir.join("index.json");
        let text = fs::read(&path).with_context(|| format!("wstest wrote no report at {}", path.display()))?;
        let mut agents: BTreeMap<String, BTreeMap<CaseId, CaseReport>> =
            serde_json::from_slice(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        let cases = agents.remove(agent).unwrap_or_default();
        Ok(Self { dir: dir.to_owned(), cases })
    }

    /// Returns the cases that ran.
    pub(crate) fn cases(&self) -> &BTreeMap<CaseId, CaseReport> {
        &self.cases
    }

    /// Formats the number of cases with each verdict.
    pub(crate) fn tally(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for case in self.cases.values() {
            *counts.entry(&case.behavior).or_default() += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        counts.join(", ")
    }

    /// Reads the details of a case.
    pub(crate) fn details(&self, case: &CaseReport) -> Result<Details> {
        let path = self.dir.join(&case.reportfile);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("cannot parse {}", path.display()))
    }

    /// Returns the page that lists all cases.
    pub(crate) fn index_page(&self) -> PathBuf {
        self.dir.join("index.html")
    }

    /// Returns the page with the details of a case.
    pub(crate) fn page(&self, case: &CaseReport) -> PathBuf {
        self.dir.join(&case.reportfile).with_extension("html")
    }
}
