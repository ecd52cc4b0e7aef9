//! `cargo xtask guard`: what our own operations cost, counted and not timed, beside what was accepted.
//!
//! Instructions are counted by callgrind, in a long run of `benches/src/bin/guard.rs` less a short one. Two runs count the
//! same to the instruction. They depend on the compiler, on glibc's memcpy, and on the instructions that code finds at run
//! time: valgrind shows every program the same processor, with AVX2 if the machine has it, and without AVX-512 and SHA. So
//! they repeat on any machine with AVX2; what they were counted with stands in the file beside them. Without AVX2 some
//! are up to a fifth higher.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::compiler;
use crate::cost::callgrind_total;
use crate::workspace;

/// Count instructions and allocations of receiving, sending and the handshake; fail if they grow by more than 3 %
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Accept what is counted: write it to benches/accepted.json
    #[arg(long)]
    accept: bool,
}

/// Grown by more than this, a count is a regression.
const TOLERANCE: f64 = 0.03;

/// Times that the operation is done in the short run, and in the long one.
const SHORT: u64 = 100;
const LONG: u64 = 600;

/// What `benches/accepted.json` holds.
#[derive(Debug, Deserialize, Serialize)]
struct Accepted {
    with: With,
    operations: BTreeMap<String, Cost>,
}

/// What the instructions depend on.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct With {
    target: String,
    vectors: String,
    compiler: String,
}

/// What an operation costs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Cost {
    instructions: f64,
    allocations: u64,
    bytes_allocated: u64,
}

/// Counts every operation, and compares.
///
/// # Errors
///
/// If it cannot be counted, or something has grown. Everything that has is printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let program = build()?;
    let file = workspace::root().join("benches/accepted.json");
    let list = output(Command::new(&program).arg("list"))?;
    let mut operations = BTreeMap::new();
    for name in list.lines() {
        operations.insert(name.to_owned(), Cost::count(&program, name)?);
    }
    let counted = Accepted { with: With::here(), operations };
    if args.accept {
        fs::write(&file, serde_json::to_string_pretty(&counted)? + "\n")?;
        println!("written: benches/accepted.json");
        return Ok(());
    }
    let text = fs::read_to_string(&file).context("benches/accepted.json: `cargo xtask guard --accept` writes it")?;
    let accepted: Accepted = serde_json::from_str(&text).context("benches/accepted.json")?;
    let is_alike = counted.with == accepted.with;
    if !is_alike {
        println!("accepted with {:?}\n counted with {:?}", accepted.with, counted.with);
    }
    println!("{:<42} {:>14} {:>9} {:>8} {:>13} {:>15}", "", "instructions", "accepted", "", "allocations", "bytes");
    for (name, cost) in &counted.operations {
        line(name, cost, accepted.operations.get(name));
    }
    conclude(&grown(&accepted, &counted), is_alike)
}

/// On another kind of machine, or with another compiler, other instructions are no one's fault; allocations are the same.
fn conclude(grown: &[String], is_alike: bool) -> Result<()> {
    for growth in grown {
        eprintln!("{growth}");
    }
    ensure!(
        grown.is_empty(),
        "{} grown by more than {:.0} %: see benches/accepted.json",
        grown.len(),
        TOLERANCE * 100.0
    );
    if !is_alike {
        println!("nothing has grown, though counted with something else");
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
    println!("{name:<42} {instructions:>14.0} {before:>9} {change:>8} {allocations:>13} {bytes_allocated:>15}");
}

/// What costs more than was accepted, and by how much; and what was never accepted.
fn grown(accepted: &Accepted, counted: &Accepted) -> Vec<String> {
    let mut grown = Vec::new();
    for (name, cost) in &counted.operations {
        let Some(before) = accepted.operations.get(name) else {
            grown.push(format!("{name}: not accepted yet"));
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
                grown.push(format!("{name}: {now:.0} {what}, {before:.0} accepted: {percent:+.1} %"));
            }
        }
    }
    grown
}

impl Cost {
    fn count(program: &Path, name: &str) -> Result<Self> {
        let difference = instructions(program, name, LONG)?.saturating_sub(instructions(program, name, SHORT)?);
        let text = output(Command::new(program).args([name, "allocations"]))?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let (Some(Ok(allocations)), Some(Ok(bytes_allocated))) = (numbers.next(), numbers.next()) else {
            bail!("the guard says of the allocations of {name}: {text}");
        };
        // to a tenth: what is left comes from how often something grows
        let instructions = (10.0 * difference as f64 / (LONG - SHORT) as f64).round() / 10.0;
        Ok(Self { instructions, allocations, bytes_allocated })
    }
}

impl With {
    fn here() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has_avx2 = cpu.split_whitespace().any(|word| word == "avx2");
        Self {
            target: format!("{}-{}", env::consts::ARCH, env::consts::OS),
            vectors: if has_avx2 { "AVX2" } else { "none" }.to_owned(),
            compiler: compiler(),
        }
    }
}

/// All instructions of a run.
fn instructions(program: &Path, name: &str, times: u64) -> Result<u64> {
    let folder = workspace::target()?.join("measure");
    fs::create_dir_all(&folder)?;
    let file = folder.join("guard.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind", "--cache-sim=no"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display()));
    // nothing that depends on who runs it
    valgrind.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    // glibc copies from 2 KiB up by `rep movsb`, of which every byte counts as an instruction and hides all others
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS");
    output(valgrind.arg(program).args([name, &times.to_string()])).context("valgrind: is it installed?")?;
    let text = fs::read_to_string(&file).with_context(|| format!("valgrind left no {}", file.display()))?;
    callgrind_total(&text).with_context(|| format!("there is no total in {}", file.display()))
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "sansocket-benches", "--bin", "guard"])
        .current_dir(workspace::root())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cannot build the guard");
    Ok(workspace::target()?.join("release/guard"))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{:?} has failed", command.get_program());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(instructions: f64, allocations: u64) -> Accepted {
        let cost = Cost { instructions, allocations, bytes_allocated: 0 };
        Accepted { with: With::here(), operations: BTreeMap::from([("send".to_owned(), cost)]) }
    }

    #[test]
    fn what_has_grown_is_named() {
        assert!(grown(&accepted(100.0, 0), &accepted(103.0, 0)).is_empty());
        assert!(grown(&accepted(100.0, 1), &accepted(50.0, 0)).is_empty());
        assert_eq!(grown(&accepted(100.0, 0), &accepted(104.0, 0)), ["send: 104 instructions, 100 accepted: +4.0 %"]);
        assert_eq!(grown(&accepted(100.0, 0), &accepted(100.0, 1)), ["send: 1 allocations, 0 accepted: +inf %"]);
    }
}
