//! `cargo xtask fuzz`: runs every fuzz target for some time, with AddressSanitizer.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::RangedU64ValueParser;

use crate::workspace::{self, succeeds};

/// The maximum length of an input, in bytes: small inputs reach everything that matters.
const INPUT_MAX: usize = 4096;
/// An input that takes longer than this many seconds is a finding.
const TIMEOUT: u64 = 20;

/// Fuzz every target, with AddressSanitizer
///
/// This needs a nightly toolchain and cargo-fuzz, which is installed if it is missing. Inputs that reach new code are
/// stored in target/fuzz/corpus; the committed corpus does not change. A finding is stored in target/fuzz/artifacts and
/// printed with the output of libFuzzer. The output of every target is in target/fuzz/logs.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How long to fuzz each target, in minutes
    #[arg(long, value_name = "M", default_value = "5", conflicts_with = "seconds", value_parser = at_least_one())]
    minutes: u64,

    /// How long to fuzz each target, in seconds
    #[arg(long, value_name = "S", value_parser = at_least_one())]
    seconds: Option<u64>,

    /// The number of targets to fuzz at the same time
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,

    /// Fuzz only this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Returns a parser that refuses 0, which libFuzzer takes as no limit.
fn at_least_one() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..)
}

/// Fuzzes, and stops at the first finding.
///
/// # Errors
///
/// If there is a finding, the target does not exist, there is no nightly toolchain, or cargo-fuzz cannot be installed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let targets = args.targets()?;
    let has_nightly = succeeds(Command::new("cargo").args(["+nightly", "--version"]));
    ensure!(has_nightly, "fuzzing needs a nightly toolchain; run `rustup toolchain install nightly`");
    if !succeeds(Command::new("cargo").args(["fuzz", "--version"])) {
        println!("installing cargo-fuzz");
        let installed = Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]).status()?;
        ensure!(installed.success(), "cannot install cargo-fuzz");
    }
    let time = Duration::from_secs(args.seconds.unwrap_or(args.minutes.saturating_mul(60)));
    println!("building the targets");
    let built = cargo_fuzz("build")?.args(&args.target).status()?;
    ensure!(built.success(), "cannot build the targets");
    for targets in targets.chunks(args.jobs.get()) {
        println!("fuzzing for {} seconds: {}", time.as_secs(), targets.join(", "));
        let running = targets.iter().map(|target| FuzzRun::start(target, time)).collect::<Result<Vec<_>>>()?;
        let results: Vec<_> = running.into_iter().map(FuzzRun::wait).collect();
        results.into_iter().collect::<Result<()>>()?;
    }
    println!("fuzzed {} targets: no finding", targets.len());
    Ok(())
}

impl Args {
    /// Returns the targets to fuzz.
    fn targets(&self) -> Result<Vec<String>> {
        let all = targets()?;
        let Some(target) = &self.target else { return Ok(all) };
        ensure!(all.contains(target), "no target {target:?}; the targets are {}", all.join(", "));
        Ok(vec![target.clone()])
    }
}

/// Returns the names of all targets.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        targets.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// A running target.
struct FuzzRun<'a> {
    target: &'a str,
    artifacts: PathBuf,
    log: PathBuf,
    process: Child,
}

impl<'a> FuzzRun<'a> {
    fn start(target: &'a str, time: Duration) -> Result<Self> {
        let target_folder = workspace::target()?.join("fuzz");
        let (corpus, artifacts) = (
            create_folder(target_folder.join("corpus").join(target))?,
            create_folder(target_folder.join("artifacts").join(target))?,
        );
        let log = create_folder(target_folder.join("logs"))?.join(target).with_extension("txt");
        let output = File::create(&log)?;
        let fuzz = workspace::root().join("fuzz");
        let process = cargo_fuzz("run")?
            .arg(target)
            .arg(&corpus)
            .arg(fuzz.join("corpus").join(target))
            .arg("--")
            .args([format!("-max_total_time={}", time.as_secs()), format!("-timeout={TIMEOUT}")])
            .args([format!("-max_len={INPUT_MAX}"), format!("-dict={}", fuzz.join("websocket.dict").display())])
            .args([format!("-artifact_prefix={}/", artifacts.display()), "-verbosity=0".into()])
            .arg("-print_final_stats=1")
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { target, artifacts, log, process })
    }

    fn wait(mut self) -> Result<()> {
        let status = self.process.wait()?;
        let output = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        if !status.success() {
            eprint!("{output}");
            bail!("{} has a finding: its output is above, its input in {}", self.target, self.artifacts.display());
        }
        let inputs = output.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        println!("{}: {} inputs", self.target, inputs.unwrap_or("0").trim());
        Ok(())
    }
}

/// Returns a `cargo fuzz` command for the subcommand `build` or `run`.
fn cargo_fuzz(subcommand: &str) -> Result<Command> {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz", subcommand, "--fuzz-dir"]).arg(workspace::root().join("fuzz"));
    command.env("CARGO_TARGET_DIR", workspace::target()?.join("fuzz/build"));
    Ok(command)
}

/// Creates a folder if it does not exist, and returns it.
fn create_folder(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
