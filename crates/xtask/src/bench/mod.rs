//! `cargo xtask bench`: the codec beside its peers, in memory; the tables and the chart that the README shows.
//!
//! criterion measures one participant after another, so that a machine that is busy for a second is unjust to one of them.
//! Hence the whole of it is run several times over, each time with little time for each figure. What is written down is
//! the median over the passes; a ratio is the median of the ratios within a pass.

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

/// Measure the codec beside other libraries, and write benches/RESULTS.md and benches/results.svg
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these benches; nothing is written but to the terminal
    #[arg(value_name = "BENCH", value_parser = clap::builder::PossibleValuesParser::new(BENCHES))]
    benches: Vec<String>,

    /// One pass; nothing is written but to the terminal
    #[arg(long)]
    quick: bool,

    /// How often everything is measured
    #[arg(long, default_value = "5", conflicts_with = "quick", value_parser = count)]
    passes: usize,
}

/// In the order of the results.
const BENCHES: [&str; 7] = ["receive", "send", "fragments", "handshake", "echo", "mask", "utf8"];

/// Measures, and writes the results.
///
/// # Errors
///
/// If something cannot be built or run, or participants do not agree.
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
    println!("written: benches/RESULTS.md, benches/results.svg");
    Ok(())
}

impl Args {
    fn is_chosen(&self, name: &str) -> bool {
        self.benches.is_empty() || self.benches.iter().any(|chosen| chosen == name)
    }
}

/// Runs a bench, and returns the folder with what criterion has written.
fn measure(name: &str, program: &PathBuf) -> Result<PathBuf> {
    let folder = workspace::target()?.join("criterion").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?; // what a filter has left must not pass for measured now
    }
    let output = Command::new(program)
        .args(["--bench", "--noplot", "--quiet"])
        .env("CRITERION_HOME", &folder)
        .current_dir(workspace::root().join("benches"))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run the bench {name}"))?;
    // criterion's progress is of no interest, unless it ends in a panic
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.find("panicked").map_or("", |at| &words[at..]);
    ensure!(output.status.success(), "the bench {name} has failed: {last}");
    Ok(folder)
}

fn build(name: &str) -> Result<PathBuf> {
    eprintln!("building {name}");
    let arguments = ["bench", "--no-run", "--package", "sansocket-benches", "--features", "peers", "--bench", name];
    workspace::build(&arguments, name)
}
