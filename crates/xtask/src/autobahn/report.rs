//! `index.json`, the testsuite's report of how every case went.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::case::CaseId;
use super::details::Details;

/// How the cases of one run went.
#[derive(Debug)]
pub(crate) struct Report {
    dir: PathBuf,
    cases: BTreeMap<CaseId, CaseReport>,
}

/// How one case went, in the suite's words.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CaseReport {
    /// What the endpoint did with the case.
    pub(crate) behavior: String,
    /// How the connection was closed.
    pub(crate) behavior_close: String,
    /// The file name of the case's details as JSON; a page for readers lies beside it.
    reportfile: PathBuf,
}

impl Report {
    /// Reads what the suite reported of `agent` in `dir`.
    pub(crate) fn read(dir: &Path, agent: &str) -> Result<Self> {
        let path = dir.join("index.json");
        let text = fs::read(&path).with_context(|| format!("wstest left no report at {}", path.display()))?;
        let mut agents: BTreeMap<String, BTreeMap<CaseId, CaseReport>> =
            serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))?;
        let cases = agents.remove(agent).unwrap_or_default();
        Ok(Self { dir: dir.to_owned(), cases })
    }

    /// The cases that ran.
    pub(crate) fn cases(&self) -> &BTreeMap<CaseId, CaseReport> {
        &self.cases
    }

    /// How often each verdict was given, in words.
    pub(crate) fn tally(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for case in self.cases.values() {
            *counts.entry(&case.behavior).or_default() += 1;
        }
        let words: Vec<_> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        words.join(", ")
    }

    /// The details of a case.
    pub(crate) fn details(&self, case: &CaseReport) -> Result<Details> {
        let path = self.dir.join(&case.reportfile);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// The page that lists all cases.
    pub(crate) fn index_page(&self) -> PathBuf {
        self.dir.join("index.html")
    }

    /// The page with the details of a case.
    pub(crate) fn page(&self, case: &CaseReport) -> PathBuf {
        self.dir.join(&case.reportfile).with_extension("html")
    }
}
