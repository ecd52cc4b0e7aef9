//! `cargo xtask coverage`: which lines of the core its tests reach, and the inputs that fuzzing has kept.
//!
//! The compiler counts (`-C instrument-coverage`), LLVM's own tools read what it counted. They must be of the
//! compiler's version of LLVM.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What is measured.
const SOURCES: &str = "crates/core/src";
/// Whose tests count.
const PACKAGES: [&str; 2] = ["sansocket", "sansocket-fuzz-bodies"];
/// What some of the tests need.
const FEATURES: &str = "sansocket/http";
/// The lines that may stay uncovered: `FILE: LINE`, and indented below it why.
const EXCUSES: &str = "crates/core/tests/uncovered.txt";

/// How often each line was reached, by its number, in each file.
type Lines = BTreeMap<String, BTreeMap<usize, u64>>;

/// Measure which lines of the core are reached by its tests and by the fuzzing corpus.
///
/// It takes llvm-cov and llvm-profdata of the compiler's version of LLVM: `rustup component add llvm-tools` brings
/// them, or a package of the system such as `llvm-22`. A line that is not reached must stand in
/// crates/core/tests/uncovered.txt.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many lines must be reached, in percent
    #[arg(long, value_name = "PERCENT", default_value = "97", value_parser = percentage)]
    goal: f64,
}

fn percentage(text: &str) -> Result<f64> {
    let percent = text.parse()?;
    ensure!((0.0..=100.0).contains(&percent), "between 0 and 100");
    Ok(percent)
}

/// Measures, and prints the lines of each file, those that are not reached, and the total.
///
/// # Errors
///
/// If the tools are missing, a test fails, fewer lines are reached than the goal, or one is missed without excuse.
pub(crate) fn run(args: &Args) -> Result<()> {
    let tools = Tools::find()?;
    let profile = workspace::target()?.join("coverage/profile");
    let programs = test(&profile)?;
    let lines = tools.read(&profile, &programs)?;
    let excuses = fs::read_to_string(workspace::root().join(EXCUSES)).context(EXCUSES)?;
    let report = Report::new(&lines, &excuses)?;
    print!("{}", report.text);
    ensure!(report.percent() >= args.goal, "{:.2} % is less than {} %", report.percent(), args.goal);
    ensure!(report.unexcused == 0, "{} lines are neither reached nor in {EXCUSES}", report.unexcused);
    Ok(())
}

/// Runs the tests, whose counts fill the folder `profile`, and says where the test programs are.
fn test(profile: &Path) -> Result<Vec<PathBuf>> {
    if profile.exists() {
        fs::remove_dir_all(profile)?;
    }
    let mut command = Command::new("cargo");
    command.current_dir(workspace::root()).args(["test", "--quiet", "--lib", "--tests"]);
    // with a target named, what runs while building is not counted
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

/// LLVM's programs.
struct Tools {
    cov: PathBuf,
    profdata: PathBuf,
}

impl Tools {
    /// Those that rustup brings, or those of the system.
    fn find() -> Result<Self> {
        let version = compiler("LLVM version: ")?;
        let major = version.split('.').next().unwrap_or_default();
        let libraries = output(Command::new("rustc").args(["--print", "target-libdir"]))?;
        let find = |name: &str| {
            let places =
                [Path::new(libraries.trim()).with_file_name("bin").join(name), format!("{name}-{major}").into()];
            let mut found = places.into_iter().filter(|tool| output(Command::new(tool).arg("--version")).is_ok());
            found.next().with_context(|| {
                format!(
                    "no {name} of LLVM {major}: `rustup component add llvm-tools`, or the system's package llvm-{major}"
                )
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

/// Reads a report of lcov's format. Files are named as they are below `sources`.
fn parse(report: &str, sources: &Path) -> Result<Lines> {
    let mut files = Lines::new();
    let mut file = String::new();
    for line in report.lines() {
        match line.split_once(':') {
            Some(("SF", path)) => file = Path::new(path).strip_prefix(sources)?.display().to_string(),
            Some(("DA", counted)) => {
                let (number, count) = counted.split_once(',').context("a line without its count")?;
                files.entry(file.clone()).or_default().insert(number.parse()?, count.parse()?);
            }
            _ => {}
        }
    }
    Ok(files)
}

/// What is said of the lines.
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
                let line = source.get(number - 1).context("the sources have changed")?.trim();
                // a bracket goes with what stands in it
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

/// What `rustc -vV` says behind `key`.
fn compiler(key: &str) -> Result<String> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let value = said.lines().find_map(|line| line.strip_prefix(key));
    Ok(value.with_context(|| format!("rustc -vV has no {key}"))?.to_owned())
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
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
