//! `cargo xtask fuzz`: every fuzz target for a while, with AddressSanitizer.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Inputs are no longer than this, in bytes: what matters is small.
const INPUT_MAX: usize = 4096;
/// An input that takes longer than this, in seconds, is a finding.
const TIMEOUT: u64 = 20;

/// Fuzz every target in turn, with AddressSanitizer.
///
/// It takes a nightly toolchain, and cargo-fuzz, which is installed if it is missing. Inputs that reach something new are
/// kept in target/fuzz/corpus, beside the committed ones, which stay as they are. A finding is written to
/// target/fuzz/artifacts.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How long for each target
    #[arg(long, value_name = "M", default_value = "5", conflicts_with = "seconds")]
    minutes: u64,

    /// The same in seconds
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,

    /// Only this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Fuzzes, and stops at the first finding.
///
/// # Errors
///
/// If there is a finding, or cargo-fuzz cannot be installed. Without a nightly toolchain it says so, and does nothing.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !succeeds(Command::new("cargo").args(["+nightly", "--version"])) {
        eprintln!("SKIPPED: fuzzing takes a nightly toolchain, which `rustup toolchain install nightly` brings");
        return Ok(());
    }
    if !succeeds(Command::new("cargo").args(["fuzz", "--version"])) {
        eprintln!("installing cargo-fuzz");
        let installed = Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]).status()?;
        ensure!(installed.success(), "cannot install cargo-fuzz");
    }
    let time = Duration::from_secs(args.seconds.unwrap_or(args.minutes.saturating_mul(60)));
    let targets = match &args.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    for target in targets {
        fuzz(&target, time)?;
    }
    Ok(())
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

fn fuzz(target: &str, time: Duration) -> Result<()> {
    let own = workspace::target()?.join("fuzz");
    let (corpus, artifacts) = (made(own.join("corpus").join(target))?, made(own.join("artifacts").join(target))?);
    let fuzz = workspace::root().join("fuzz");
    println!("{target}: {} seconds", time.as_secs());
    let status = Command::new("cargo")
        .args(["+nightly", "fuzz", "run", "--fuzz-dir"])
        .arg(&fuzz)
        .arg(target)
        .arg(&corpus)
        .arg(fuzz.join("corpus").join(target))
        .arg("--")
        .args([format!("-max_total_time={}", time.as_secs()), format!("-timeout={TIMEOUT}")])
        .args([format!("-max_len={INPUT_MAX}"), format!("-dict={}", fuzz.join("websocket.dict").display())])
        .args([format!("-artifact_prefix={}/", artifacts.display()), "-verbosity=0".into()])
        .arg("-print_final_stats=1")
        .env("CARGO_TARGET_DIR", own.join("build"))
        .status()?;
    ensure!(status.success(), "the target {target} has a finding: see above, and {}", artifacts.display());
    Ok(())
}

/// The folder, there from now on.
fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
