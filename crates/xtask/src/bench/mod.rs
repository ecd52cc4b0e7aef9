//! `cargo xtask bench`: measures the codec and other libraries in memory, and writes the tables and the chart for the
//! README.
//!
//! criterion measures one participant after another, so a machine that is busy for a second affects only one of them.
//! Therefore all benches run in several passes, with little time for each figure. Results are medians over the passes;
//! a ratio is the median of the ratios within a pass.

mod chart;
mod figures;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::echo::count;
use crate::workspace;
use figures::Figures;
pub(crate) use report::compiler;

/// Measure the codec and other libraries, and write benches/RESULTS.md and benches/results.svg
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these benches; the results are printed, and no file is written
    #[arg(value_name = "BENCH", value_parser = clap::builder::PossibleValuesParser::new(BENCHES))]
    benches: Vec<String>,

    /// One pass only; the results are printed, and no file is written
    #[arg(long)]
    quick: bool,

    /// The number of passes
    #[arg(long, default_value = "5", conflicts_with = "quick", value_parser = count)]
    passes: usize,
}

/// The benches, in the order of the results.
const BENCHES: [&str; 7] = ["receive", "send", "fragments", "handshake", "echo", "mask", "utf8"];

/// Measures, and writes the results.
///
/// # Errors
///
/// If a bench cannot be built or run, or the results of participants differ.
pub(crate) fn run(args: &Args) -> Result<()> {
    let benches: Vec<_> = BENCHES.into_iter().filter(|&name| args.is_chosen(name)).collect();
    let programs = benches.iter().map(|name| build(name)).collect::<Result<Vec<_>>>()?;
    let passes = if args.quick { 1 } else { args.passes };

    let mut figures = Figures::default();
    for pass in 1..=passes {
        for (name, program) in benches.iter().zip(&programs) {
            eprintln!("pass {pass} of {passes}: {name}");
            figures.add(&measure(name, program)?)?;
        }
    }
    let text = report::write(&figures, passes)?;
    if args.quick || !args.benches.is_empty() {
        print!("{text}");
        return Ok(());
    }
    let folder = workspace::root().join("benches");
    fs::write(folder.join("RESULTS.md"), text)?;
    fs::write(folder.join("results.svg"), chart::draw(&figures)?)?;
    println!("wrote benches/RESULTS.md and benches/results.svg");
    Ok(())
}

impl Args {
    fn is_chosen(&self, name: &str) -> bool {
        self.benches.is_empty() || self.benches.iter().any(|chosen| chosen == name)
    }
}

/// Runs a bench, and returns the folder of criterion's results.
fn measure(name: &str, program: &PathBuf) -> Result<PathBuf> {
    let folder = workspace::target()?.join("criterion").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?; // older results must not count
    }
    let output = Command::new(program)
        .args(["--bench", "--noplot", "--quiet"])
        .env("CRITERION_HOME", &folder)
        .current_dir(workspace::root().join("benches"))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run the bench {name}"))?;
    // prints only the panic of criterion's output
    let log = String::from_utf8_lossy(&output.stderr);
    let panic = log.find("panicked").map_or("", |at| &log[at..]);
    ensure!(output.status.success(), "the bench {name} failed: {panic}");
    Ok(folder)
}

fn build(name: &str) -> Result<PathBuf> {
    eprintln!("building {name}");
    let arguments = ["bench", "--no-run", "--package", "sansocket-benches", "--features", "peers", "--bench", name];
    workspace::build(&arguments, name)
}
