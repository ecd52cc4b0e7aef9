//! `cargo xtask bench`: measures the codec and other libraries in memory, and writes the tables and the chart for the
//! README.
//!
//! criterion measures one participant after another, so a machine that is busy for a second affects only one of them.
//! Therefore all benches run in several passes, with little time for each figure. Results are medians over the passes;
//! a ratio is the median of the ratios within a pass. Several runs, each of some passes, show whether that is enough:
//! a goal is met only if every run meets it.

mod chart;
mod environment;
mod figures;
mod goals;
mod participants;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::echo::count;
use crate::workspace;
pub(crate) use environment::compiler;
use figures::Figures;
use goals::Goal;

/// Measure the codec and other libraries, and write benches/RESULTS.md and benches/results.svg
///
/// The goals are for sansocket, driven as its event loop does. The command fails if a goal is missed in any run, after it
/// has written the results.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these benches; the results are printed, and no file is written
    #[arg(value_name = "BENCH", value_parser = clap::builder::PossibleValuesParser::new(BENCHES))]
    benches: Vec<String>,

    /// One run of one pass; the results are printed, and no file is written
    #[arg(long)]
    quick: bool,

    /// The number of runs
    #[arg(long, default_value = "3", conflicts_with = "quick", value_parser = count)]
    runs: usize,

    /// The number of passes of a run
    #[arg(long, default_value = "3", conflicts_with = "quick", value_parser = count)]
    passes: usize,
}

/// The benches, in the order of the results.
const BENCHES: [&str; 9] =
    ["receive", "send", "fragments", "handshake", "echo", "mask", "utf8", "deflate", "deflate-zlib"];

/// Measures, and writes the results.
///
/// # Errors
///
/// If a bench cannot be built or run, the results of participants differ, or a goal is missed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let benches: Vec<_> = BENCHES.into_iter().filter(|&name| args.is_chosen(name)).collect();
    let programs = benches.iter().map(|name| build(name)).collect::<Result<Vec<_>>>()?;
    let (runs, passes) = if args.quick { (1, 1) } else { (args.runs, args.passes) };

    let mut figures = Figures::default();
    for run in 0..runs {
        for pass in 1..=passes {
            for (name, program) in benches.iter().zip(&programs) {
                eprintln!("run {} of {runs}, pass {pass} of {passes}: {name}", run + 1);
                figures.add(&measure(name, program)?, run)?;
            }
        }
    }
    let text = report::write(&figures, runs, passes)?;
    if args.quick || !args.benches.is_empty() {
        print!("{text}");
    } else {
        let folder = workspace::root().join("benches");
        fs::write(folder.join("RESULTS.md"), text)?;
        fs::write(folder.join("results.svg"), chart::draw(&figures)?)?;
        println!("wrote benches/RESULTS.md and benches/results.svg");
    }
    check_goals(&figures)
}

/// Prints how many goals are met, and the ones that are not, which are an error.
fn check_goals(figures: &Figures) -> Result<()> {
    let goals = Goal::all(figures);
    let missed: Vec<_> = goals.iter().filter(|goal| !goal.is_met()).collect();
    eprintln!("{}", report::summary(goals.len(), missed.len()));
    for goal in &missed {
        eprintln!("{goal}");
    }
    match missed.len() {
        0 => Ok(()),
        1 => bail!("a goal is missed"),
        number => bail!("{number} goals are missed"),
    }
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
    // All users of flate2 in a program share its codec, so the libraries that need zlib are in another one.
    let features = if name == "deflate-zlib" { "peers-zlib" } else { "peers" };
    let arguments = ["bench", "--no-run", "--package", "sansocket-benches", "--features", features, "--bench", name];
    workspace::build(&arguments, name)
}
