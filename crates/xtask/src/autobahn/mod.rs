//! `cargo xtask autobahn`: runs the Autobahn testsuite, the reference of the field, against our endpoints, and compares
//! its verdicts with `testdata/autobahn/expected.json`. The README in that folder describes the file.

mod case;
mod details;
mod endpoint;
mod expected;
mod install;
mod record;
mod report;
mod run;
mod suite;

use std::collections::BTreeSet;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::workspace;
use case::{CaseId, Glob};
use endpoint::{Adapter, Role};
use expected::Expected;
use report::Report;
use run::Run;
use suite::Suite;

/// Run the Autobahn testsuite and compare its verdicts with testdata/autobahn/expected.json
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The adapter of the endpoint under test
    #[arg(long, value_enum, default_value_t = Adapters::All)]
    adapter: Adapters,

    /// The role of the endpoint under test
    #[arg(long, value_enum, default_value_t = Roles::Both)]
    role: Roles,

    /// The cases to run, such as 6.4.*
    #[arg(long, value_name = "GLOB", default_value = "*")]
    cases: Glob,

    /// Of the cases of permessage-deflate (12 and 13), which take most of the time, run only those with messages of 16
    /// bytes, 1 KiB and 8 KiB, and of 8 KiB in fragments
    #[arg(long)]
    short: bool,

    /// Record what the suite sends and expects in testdata/autobahn/, for the core's tests to replay
    ///
    /// Runs the cases 1 to 10 over sansocket-net, first as a server and then as a client. The README in that folder
    /// describes the files, and what may differ between recordings.
    #[arg(long, conflicts_with_all = ["adapter", "role", "cases", "short"])]
    record: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Adapters {
    /// sansocket-net, over std::net
    Net,
    /// sansocket-mio, over mio
    Mio,
    /// sansocket-mio, over TLS; not one of `all`
    MioTls,
    /// sansocket-net, with connections after an opening handshake by another HTTP library
    NetUpgraded,
    /// sansocket-mio, with connections after an opening handshake by another HTTP library
    MioUpgraded,
    /// All at the same time
    All,
}

impl Adapters {
    fn each(self) -> &'static [Adapter] {
        match self {
            Self::Net => &[Adapter::Net],
            Self::Mio => &[Adapter::Mio],
            Self::MioTls => &[Adapter::MioTls],
            Self::NetUpgraded => &[Adapter::NetUpgraded],
            Self::MioUpgraded => &[Adapter::MioUpgraded],
            Self::All => &[Adapter::Net, Adapter::Mio, Adapter::NetUpgraded, Adapter::MioUpgraded],
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Roles {
    Server,
    Client,
    /// Both at the same time
    Both,
}

impl Roles {
    fn each(self) -> &'static [Role] {
        match self {
            Self::Server => &[Role::Server],
            Self::Client => &[Role::Client],
            Self::Both => &[Role::Server, Role::Client],
        }
    }
}

/// Runs the suite with each adapter in each role, all at the same time, and prints a line for each run with the
/// expected results.
///
/// # Errors
///
/// If the suite cannot be run, or a result differs from the expected one. Every difference is printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.record {
        return record();
    }
    let plan = &Plan::new(&args.cases, args.short)?;
    let mut runs = Vec::new();
    for &adapter in args.adapter.each() {
        for &role in args.role.each() {
            runs.push(Run::prepare(adapter, role)?);
        }
    }
    let failures: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = runs.into_iter().map(|run| scope.spawn(move || plan.execute(run))).collect();
        runs.into_iter().filter_map(|run| run.join().expect("a run does not panic").err()).collect()
    });
    for failure in &failures {
        eprintln!("{failure:#}");
    }
    ensure!(failures.is_empty(), "the results of the Autobahn testsuite differ from the expected ones");
    Ok(())
}

/// Runs the suite through relays, and records what it sends.
fn record() -> Result<()> {
    let plan = Plan::of_uncompressed_cases()?;
    for role in [Role::Server, Role::Client] {
        let (run, relay) = Run::prepare_relayed(Adapter::Net, role)?;
        let report = plan.execute(run)?;
        record::write(role, &report, &relay)?;
    }
    Ok(())
}

/// The common part of all runs.
struct Plan {
    expected: Expected,
    /// The cases to run.
    selected: BTreeSet<CaseId>,
    /// The same cases, as patterns for the suite.
    patterns: Value,
    suite: Suite,
}

impl Plan {
    fn new(glob: &Glob, is_short: bool) -> Result<Self> {
        let expected = read_expected()?;
        let mut selected = expected.select(glob);
        if is_short {
            selected.retain(CaseId::is_in_short_run);
        }
        ensure!(!selected.is_empty(), "no case matches {glob}");
        let mut plan = Self::of(expected, selected)?;
        if glob.is_everything() && !is_short {
            // The suite's pattern for all cases, which also runs cases that the file does not list.
            plan.patterns = json!(["*"]);
        }
        Ok(plan)
    }

    fn of_uncompressed_cases() -> Result<Self> {
        let expected = read_expected()?;
        let mut selected = expected.select(&Glob::from("*"));
        selected.retain(|case| !case.is_compressed());
        Self::of(expected, selected)
    }

    fn of(expected: Expected, selected: BTreeSet<CaseId>) -> Result<Self> {
        let patterns = selected.iter().map(ToString::to_string).collect();
        let suite = Suite::prepare(workspace::target()?.join("autobahn"))?;
        Ok(Self { expected, selected, patterns, suite })
    }

    fn execute(&self, run: Run) -> Result<Report> {
        let (name, adapter, role) = (run.name(), run.adapter, run.role);
        let started = Instant::now();
        run.execute(&self.suite, &self.patterns).with_context(|| format!("{name}: the run failed"))?;
        let seconds = started.elapsed().as_secs();

        let report = Report::read(&self.suite.reports(&name), adapter.agent())?;
        let differences = self.expected.differences(role, &self.selected, report.cases());
        for difference in &differences {
            let page = difference.actual.map_or_else(|| report.index_page(), |case| report.page(case));
            eprintln!("{name}: {difference}; see {}", page.display());
        }
        let (ran, page) = (report.cases().len(), report.index_page());
        let (count, page) = (differences.len(), page.display());
        ensure!(count == 0, "{name}: {ran} cases in {seconds} s, {count} with unexpected results; see {page}");
        println!("{name}: {ran} cases in {seconds} s, all with the expected results: {}; see {page}", report.tally());
        Ok(report)
    }
}

fn read_expected() -> Result<Expected> {
    Expected::read(&workspace::root().join("testdata/autobahn/expected.json"))
}
