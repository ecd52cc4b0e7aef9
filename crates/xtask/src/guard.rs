//! `cargo xtask guard`: counts the instructions and allocations of our operations, and compares them with accepted
//! figures.
//!
//! callgrind counts the instructions of a long run of a program in `benches/src/bin/`; those of a short run are
//! subtracted. The result is exactly reproducible. It depends on the compiler, on glibc's memcpy, and on the CPU
//! features detected at run time: valgrind shows every program the same processor, with AVX2 if the machine has it, and
//! without AVX-512 and SHA. So all machines with AVX2 give the same figures; the file of accepted figures records the
//! environment. Without AVX2 some are up to a fifth higher.

mod shared_codec;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::compiler;
use crate::cost::{NO_REP_MOVSB, callgrind_total};
use crate::workspace::{self, output};

/// Count instructions and allocations of receiving, sending, compressing, inflating, the handshake and fan-out, and fail
/// if they grow by more than 3 %
///
/// Connections share a codec (permessage-deflate). The last table compares them with the codec alone: a connection that
/// has the next turn again, and two connections that take turns. The command fails if a goal is missed.
///
/// A fan-out is a turn of an event loop with 100 connections, of which one has sent messages, and each is published to
/// all connections. Divided by the deliveries (100, or 1,600 with 16 messages), the figures are comparable with those
/// of `cargo xtask cost --fan-out`; they include a read and a comparison for each connection.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Accept the new figures: write them to benches/accepted.json
    #[arg(long)]
    accept: bool,
}

/// The programs that perform the operations.
const PROGRAMS: [&str; 3] = ["guard", "guard-deflate", "guard-fan-out"];

/// A count that grows by more than this is a regression.
const TOLERANCE: f64 = 0.03;

/// How often the short and the long run perform the operation.
const SHORT: u64 = 100;
const LONG: u64 = 600;

/// The content of `benches/accepted.json`.
#[derive(Debug, Deserialize, Serialize)]
struct Accepted {
    #[serde(rename = "with")]
    environment: Environment,
    operations: BTreeMap<String, Cost>,
}

/// The environment that the figures depend on.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Environment {
    target: String,
    vectors: String,
    compiler: String,
}

/// The cost of an operation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Cost {
    instructions: f64,
    allocations: u64,
    bytes_allocated: u64,
}

/// Counts every operation, and compares it with the accepted figures.
///
/// # Errors
///
/// If counting fails, or figures have grown. All of these are printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let file = workspace::root().join("benches/accepted.json");
    let mut operations = BTreeMap::new();
    for name in PROGRAMS {
        let program = workspace::build(&["build", "--release", "--package", "sansocket-benches", "--bin", name], name)?;
        let list = output(Command::new(&program).arg("list"))?;
        for name in list.lines() {
            operations.insert(name.to_owned(), Cost::count(&program, name)?);
        }
    }
    let counted = Accepted { environment: Environment::detect(), operations };
    if args.accept {
        fs::write(&file, serde_json::to_string_pretty(&counted)? + "\n")?;
        println!("wrote benches/accepted.json");
        return Ok(());
    }
    let text = fs::read_to_string(&file)
        .context("cannot read benches/accepted.json; `cargo xtask guard --accept` writes it")?;
    let accepted: Accepted = serde_json::from_str(&text).context("cannot parse benches/accepted.json")?;
    let is_comparable = counted.environment == accepted.environment;
    if !is_comparable {
        println!("accepted with {:?}\n counted with {:?}", accepted.environment, counted.environment);
    }
    println!("{:<50} {:>14} {:>9} {:>8} {:>13} {:>15}", "", "instructions", "accepted", "", "allocations", "bytes");
    for (name, cost) in &counted.operations {
        line(name, cost, accepted.operations.get(name));
    }
    let instructions = counted.operations.iter().map(|(name, cost)| (name.clone(), cost.instructions)).collect();
    let missed = shared_codec::report(&instructions);
    report(&regressions(&accepted, &counted), is_comparable)?;
    ensure!(missed == 0, "{missed} goals for the shared codec are missed");
    Ok(())
}

/// Prints the regressions, and fails if there are any.
fn report(regressions: &[String], is_comparable: bool) -> Result<()> {
    for regression in regressions {
        eprintln!("{regression}");
    }
    let (count, percent) = (regressions.len(), TOLERANCE * 100.0);
    ensure!(count == 0, "{count} figures exceed those in benches/accepted.json by more than {percent:.0} %");
    if !is_comparable {
        println!("no figure has grown, although the environment differs");
    }
    Ok(())
}

fn line(name: &str, cost: &Cost, accepted: Option<&Cost>) {
    let (before, change) = match accepted {
        Some(accepted) => {
            let change = 100.0 * (cost.instructions / accepted.instructions - 1.0);
            (format!("{:.0}", accepted.instructions), format!("{change:+.1} %"))
        }
        None => ("new".to_owned(), String::new()),
    };
    let Cost { instructions, allocations, bytes_allocated } = cost;
    println!("{name:<50} {instructions:>14.0} {before:>9} {change:>8} {allocations:>13} {bytes_allocated:>15}");
}

/// Returns a line for each figure that has grown, and for each operation that is not in the accepted figures.
fn regressions(accepted: &Accepted, counted: &Accepted) -> Vec<String> {
    let mut regressions = Vec::new();
    for (name, cost) in &counted.operations {
        let Some(before) = accepted.operations.get(name) else {
            regressions.push(format!("{name}: not accepted yet"));
            continue;
        };
        let figures = [
            ("instructions", before.instructions, cost.instructions),
            ("allocations", before.allocations as f64, cost.allocations as f64),
            ("bytes allocated", before.bytes_allocated as f64, cost.bytes_allocated as f64),
        ];
        for (what, before, now) in figures {
            if now > before * (1.0 + TOLERANCE) {
                let percent = 100.0 * (now / before - 1.0);
                regressions.push(format!("{name}: {now:.0} {what}, {before:.0} accepted: {percent:+.1} %"));
            }
        }
    }
    regressions
}

impl Cost {
    fn count(program: &Path, name: &str) -> Result<Self> {
        let difference = instructions(program, name, LONG)?.saturating_sub(instructions(program, name, SHORT)?);
        let text = output(Command::new(program).args([name, "allocations"]))?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let (Some(Ok(allocations)), Some(Ok(bytes_allocated))) = (numbers.next(), numbers.next()) else {
            bail!("cannot parse the allocations of {name}: {text}");
        };
        // rounded to a tenth: smaller differences depend on how often buffers grow
        let instructions = (10.0 * difference as f64 / (LONG - SHORT) as f64).round() / 10.0;
        Ok(Self { instructions, allocations, bytes_allocated })
    }
}

impl Environment {
    fn detect() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has_avx2 = cpu.split_whitespace().any(|word| word == "avx2");
        Self {
            target: format!("{}-{}", env::consts::ARCH, env::consts::OS),
            vectors: if has_avx2 { "AVX2" } else { "none" }.to_owned(),
            compiler: compiler(),
        }
    }
}

/// Counts the instructions of a run.
fn instructions(program: &Path, name: &str, times: u64) -> Result<u64> {
    let folder = workspace::target()?.join("measure");
    fs::create_dir_all(&folder)?;
    let file = folder.join("guard.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind", "--cache-sim=no"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display()));
    // without the environment of the user, so that the count does not depend on it
    valgrind.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    valgrind.env(NO_REP_MOVSB.0, NO_REP_MOVSB.1);
    output(valgrind.arg(program).args([name, &times.to_string()])).context("cannot run valgrind; is it installed?")?;
    let text = fs::read_to_string(&file).with_context(|| format!("valgrind wrote no {}", file.display()))?;
    callgrind_total(&text).with_context(|| format!("no total in {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(instructions: f64, allocations: u64) -> Accepted {
        let cost = Cost { instructions, allocations, bytes_allocated: 0 };
        Accepted { environment: Environment::detect(), operations: BTreeMap::from([("send".to_owned(), cost)]) }
    }

    #[test]
    fn regressions_are_listed() {
        assert!(regressions(&accepted(100.0, 0), &accepted(103.0, 0)).is_empty());
        assert!(regressions(&accepted(100.0, 1), &accepted(50.0, 0)).is_empty());
        assert_eq!(
            regressions(&accepted(100.0, 0), &accepted(104.0, 0)),
            ["send: 104 instructions, 100 accepted: +4.0 %"]
        );
        assert_eq!(regressions(&accepted(100.0, 0), &accepted(100.0, 1)), ["send: 1 allocations, 0 accepted: +inf %"]);
    }
}
