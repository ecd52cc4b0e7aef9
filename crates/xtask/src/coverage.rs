//! `cargo xtask coverage`: measures which lines of the core its tests and the fuzzing corpus execute.
//!
//! The compiler instruments the code (`-C instrument-coverage`), and LLVM's tools read the counts. They must have the
//! compiler's version of LLVM.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::{self, output};

/// The sources to measure.
const SOURCES: &str = "crates/core/src";
/// The packages whose tests count.
const PACKAGES: [&str; 2] = ["sansocket", "sansocket-fuzz-bodies"];
/// The features that some of the tests need.
const FEATURES: &str = "sansocket/http";
/// The lines that may stay uncovered: `FILE: LINE`, with the reason indented below.
const EXCUSES: &str = "crates/core/tests/uncovered.txt";

/// For each file, how often each line was executed, by its number.
type Lines = BTreeMap<String, BTreeMap<usize, u64>>;

/// Measure which lines of the core its tests and the fuzzing corpus execute
///
/// This needs llvm-cov and llvm-profdata of the compiler's version of LLVM: install them with `rustup component add
/// llvm-tools`, or a package of the system such as `llvm-22`. crates/core/tests/uncovered.txt must list every line that
/// is not executed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The lines that must be executed, in percent
    #[arg(long, value_name = "PERCENT", default_value = "97", value_parser = percentage)]
    goal: f64,
}

fn percentage(text: &str) -> Result<f64> {
    let percent = text.parse()?;
    ensure!((0.0..=100.0).contains(&percent), "{percent} is not between 0 and 100");
    Ok(percent)
}

/// Measures, and prints the coverage of each file, the missed lines, and the total.
///
/// # Errors
///
/// If the tools are missing, a test fails, coverage is below the goal, or a missed line is not listed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let tools = Tools::find()?;
    let profile = workspace::target()?.join("coverage/profile");
    let programs = test(&profile)?;
    let lines = tools.read(&profile, &programs)?;
    let excuses = fs::read_to_string(workspace::root().join(EXCUSES)).context(EXCUSES)?;
    let report = Report::new(&lines, &excuses)?;
    print!("{}", report.text);
    let (percent, goal) = (report.percent(), args.goal);
    ensure!(percent >= goal, "{percent:.2} % of the lines are covered; the goal is {goal} %");
    ensure!(report.unexcused == 0, "{} lines are neither covered nor listed in {EXCUSES}", report.unexcused);
    Ok(())
}

/// Runs the tests, which write their counts to the folder `profile`, and returns the paths of the test programs.
fn test(profile: &Path) -> Result<Vec<PathBuf>> {
    if profile.exists() {
        fs::remove_dir_all(profile)?;
    }
    let mut command = Command::new("cargo");
    command.current_dir(workspace::root()).args(["test", "--quiet", "--lib", "--tests"]);
    // with an explicit target, build scripts are not counted
    command.args(["--target", &compiler("host: ")?]);
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    command.args(["--features", FEATURES]);
    command.env("CARGO_TARGET_DIR", workspace::target()?.join("coverage/build"));
    command.env("RUSTFLAGS", "-C instrument-coverage");
    command.env("LLVM_PROFILE_FILE", profile.join("%p-%m.profraw"));
    ensure!(command.status()?.success(), "a test fails");
    let built = output(command.args(["--no-run", "--message-format=json"]))?;
    Ok(workspace::executables(built.as_bytes()).map(|(_, program)| program).collect())
}

/// The tools of LLVM.
struct Tools {
    cov: PathBuf,
    profdata: PathBuf,
}

impl Tools {
    /// Finds the tools of rustup, or those of the system.
    fn find() -> Result<Self> {
        let version = compiler("LLVM version: ")?;
        let major = version.split('.').next().unwrap_or_default();
        let libraries = output(Command::new("rustc").args(["--print", "target-libdir"]))?;
        let find = |name: &str| {
            let places =
                [Path::new(libraries.trim()).with_file_name("bin").join(name), format!("{name}-{major}").into()];
            let mut found = places.into_iter().filter(|tool| output(Command::new(tool).arg("--version")).is_ok());
            found.next().with_context(|| {
                format!("no {name} of LLVM {major}: run `rustup component add llvm-tools`, or install llvm-{major}")
            })
        };
        Ok(Self { cov: find("llvm-cov")?, profdata: find("llvm-profdata")? })
    }

    fn read(&self, profile: &Path, programs: &[PathBuf]) -> Result<Lines> {
        let merged = profile.join("merged.profdata");
        let parts = fs::read_dir(profile)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        output(Command::new(&self.profdata).args(["merge", "--sparse", "-o"]).arg(&merged).args(parts))?;
        let sources = workspace::root().join(SOURCES).canonicalize()?;
        let mut export = Command::new(&self.cov);
        export.args(["export", "--format=lcov", "--sources"]).arg(&sources).arg("--instr-profile").arg(&merged);
        export.args(programs.iter().flat_map(|program| ["--object".as_ref(), program.as_os_str()]));
        parse(&output(&mut export)?, &sources)
    }
}

/// Parses a report in lcov's format. The paths of files are relative to `sources`.
fn parse(report: &str, sources: &Path) -> Result<Lines> {
    let mut files = Lines::new();
    let mut file = String::new();
    for line in report.lines() {
        match line.split_once(':') {
            Some(("SF", path)) => file = Path::new(path).strip_prefix(sources)?.display().to_string(),
            Some(("DA", counted)) => {
                let (number, count) = counted.split_once(',').context("a line of the report has no count")?;
                files.entry(file.clone()).or_default().insert(number.parse()?, count.parse()?);
            }
            _ => {}
        }
    }
    Ok(files)
}

/// The text of the report, and its totals.
struct Report {
    text: String,
    lines: usize,
    missed: usize,
    unexcused: usize,
}

impl Report {
    fn new(files: &Lines, excuses: &str) -> Result<Self> {
        let mut report = Self { text: String::new(), lines: 0, missed: 0, unexcused: 0 };
        let mut missed = String::new();
        for (file, lines) in files {
            let source = fs::read_to_string(workspace::root().join(SOURCES).join(file))?;
            let source: Vec<&str> = source.lines().collect();
            let before = report.missed;
            for (&number, _) in lines.iter().filter(|(_, count)| **count == 0) {
                let line = source.get(number - 1).context("the sources changed while the tests ran")?.trim();
                // a line without letters and digits is always excused
                let is_excused = !line.contains(char::is_alphanumeric)
                    || excuses.lines().any(|excuse| excuse.split_once(": ") == Some((file, line)));
                report.missed += 1;
                report.unexcused += usize::from(!is_excused);
                missed += &format!("{} {file}:{number}: {line}\n", if is_excused { "  excused" } else { "unexcused" });
            }
            report.add(file, lines.len(), report.missed - before);
            report.lines += lines.len();
        }
        report.add("total", report.lines, report.missed);
        report.text += &missed;
        Ok(report)
    }

    fn add(&mut self, name: &str, lines: usize, missed: usize) {
        self.text += &format!("{name:<24} {lines:>6} lines {missed:>4} missed {:>7.2} %\n", percent(lines, missed));
    }

    fn percent(&self) -> f64 {
        percent(self.lines, self.missed)
    }
}

fn percent(lines: usize, missed: usize) -> f64 {
    100.0 * (lines - missed) as f64 / lines.max(1) as f64
}

/// Returns the value of `key` in the output of `rustc -vV`.
fn compiler(key: &str) -> Result<String> {
    let text = output(Command::new("rustc").arg("-vV"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    Ok(value.with_context(|| format!("rustc -vV has no {key}"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_file() {
        let report =
            "SF:/core/src/a/b.rs\nFN:7,name\nDA:7,2\nDA:8,0\nend_of_record\nSF:/core/src/c.rs\nDA:1,5\nend_of_record\n";
        let lines = parse(report, Path::new("/core/src")).unwrap();
        assert_eq!(lines["a/b.rs"], BTreeMap::from([(7, 2), (8, 0)]));
        assert_eq!(lines["c.rs"], BTreeMap::from([(1, 5)]));
    }
}
