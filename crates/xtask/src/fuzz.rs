//! `cargo xtask fuzz`: every fuzz target for a while, with AddressSanitizer.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::RangedU64ValueParser;

use crate::workspace;

/// Inputs are no longer than this, in bytes: what matters is small.
const INPUT_MAX: usize = 4096;
/// An input that takes longer than this, in seconds, is a finding.
const TIMEOUT: u64 = 20;

/// Fuzz every target, with AddressSanitizer.
///
/// It takes a nightly toolchain, and cargo-fuzz, which is installed if it is missing. Inputs that reach something new are
/// kept in target/fuzz/corpus, beside the committed ones, which stay as they are. A finding is written to
/// target/fuzz/artifacts, and printed with what libFuzzer said, which is in target/fuzz/logs of every target.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How long for each target
    #[arg(long, value_name = "M", default_value = "5", conflicts_with = "seconds", value_parser = at_least_one())]
    minutes: u64,

    /// The same in seconds
    #[arg(long, value_name = "S", value_parser = at_least_one())]
    seconds: Option<u64>,

    /// How many targets at a time
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,

    /// Only this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// To libFuzzer zero means no limit.
fn at_least_one() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..)
}

/// Fuzzes, and stops at the first finding.
///
/// # Errors
///
/// If there is a finding, or no such target, or no nightly toolchain, or cargo-fuzz cannot be installed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let targets = args.targets()?;
    let has_nightly = succeeds(Command::new("cargo").args(["+nightly", "--version"]));
    ensure!(has_nightly, "fuzzing takes a nightly toolchain, which `rustup toolchain install nightly` brings");
    if !succeeds(Command::new("cargo").args(["fuzz", "--version"])) {
        println!("installing cargo-fuzz");
        let installed = Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]).status()?;
        ensure!(installed.success(), "cannot install cargo-fuzz");
    }
    let time = Duration::from_secs(args.seconds.unwrap_or(args.minutes.saturating_mul(60)));
    println!("building");
    let built = cargo_fuzz("build")?.args(&args.target).status()?;
    ensure!(built.success(), "the targets do not build");
    for targets in targets.chunks(args.jobs.get()) {
        println!("fuzzing for {} seconds: {}", time.as_secs(), targets.join(", "));
        let running = targets.iter().map(|target| Fuzzing::start(target, time)).collect::<Result<Vec<_>>>()?;
        let ended: Vec<_> = running.into_iter().map(Fuzzing::end).collect();
        ended.into_iter().collect::<Result<()>>()?;
    }
    println!("{} targets without a finding", targets.len());
    Ok(())
}

impl Args {
    /// Those to fuzz.
    fn targets(&self) -> Result<Vec<String>> {
        let all = targets()?;
        let Some(target) = &self.target else { return Ok(all) };
        ensure!(all.contains(target), "there is no target {target:?}, but {}", all.join(", "));
        Ok(vec![target.clone()])
    }
}

/// The names of all targets.
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

/// A target that runs.
struct Fuzzing<'a> {
    target: &'a str,
    artifacts: PathBuf,
    log: PathBuf,
    process: Child,
}

impl<'a> Fuzzing<'a> {
    fn start(target: &'a str, time: Duration) -> Result<Self> {
        let own = workspace::target()?.join("fuzz");
        let (corpus, artifacts) = (made(own.join("corpus").join(target))?, made(own.join("artifacts").join(target))?);
        let log = made(own.join("logs"))?.join(target).with_extension("txt");
        let said = File::create(&log)?;
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
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()?;
        Ok(Self { target, artifacts, log, process })
    }

    fn end(mut self) -> Result<()> {
        let status = self.process.wait()?;
        let said = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        if !status.success() {
            eprint!("{said}");
            bail!("the target {} has a finding: see above, and {}", self.target, self.artifacts.display());
        }
        let inputs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        println!("{}: {} inputs", self.target, inputs.unwrap_or("no").trim());
        Ok(())
    }
}

/// `cargo fuzz`, to `build` or `run`.
fn cargo_fuzz(what: &str) -> Result<Command> {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz", what, "--fuzz-dir"]).arg(workspace::root().join("fuzz"));
    command.env("CARGO_TARGET_DIR", workspace::target()?.join("fuzz/build"));
    Ok(command)
}

/// The folder, there from now on.
fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
