//! The figures that criterion measured, by run and by pass.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// From this share of the median on, the difference between runs is shown.
const SPREAD_SHOWN: f64 = 0.1;

/// All figures, in the order of the first pass.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<Figure>);

/// A value that each run has measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Runs(Vec<f64>);

/// The time per message of one participant at one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    group: String,
    pub(super) participant: String,
    size: String,
    /// The times of the passes of each run, in nanoseconds.
    runs: Vec<Vec<f64>>,
}

/// The time per message that criterion measured in one pass.
#[derive(Debug)]
pub(super) struct Measurement {
    pub(super) group: String,
    pub(super) participant: String,
    pub(super) size: String,
    pub(super) nanoseconds: f64,
}

impl Figures {
    /// Adds the results of a bench from a folder to a run, which is the last one or a new one.
    pub(super) fn add(&mut self, folder: &Path, run: usize) -> Result<()> {
        let mut found = Vec::new();
        collect(folder, &mut found)?;
        ensure!(!found.is_empty(), "criterion wrote no results to {}", folder.display());
        // the times of the files are the order of measurement
        found.sort_by_key(|(written, _)| *written);
        for (_, result) in found {
            self.push(run, result);
        }
        Ok(())
    }

    /// Adds a result to a run.
    pub(super) fn push(&mut self, run: usize, result: Measurement) {
        let Measurement { group, participant, size, nanoseconds } = result;
        let is_same = |old: &Figure| (&old.group, &old.participant, &old.size) == (&group, &participant, &size);
        let index = self.0.iter().position(is_same).unwrap_or_else(|| {
            self.0.push(Figure { group, participant, size, runs: Vec::new() });
            self.0.len() - 1
        });
        let runs = &mut self.0[index].runs;
        runs.resize(runs.len().max(run + 1), Vec::new());
        runs[run].push(nanoseconds);
    }

    /// Returns the groups, in order.
    pub(super) fn groups(&self) -> Vec<&str> {
        distinct(self.0.iter().map(|figure| figure.group.as_str()))
    }

    /// Returns the participants of a group, in order.
    pub(super) fn participants(&self, group: &str) -> Vec<&str> {
        distinct(self.of(group).map(|figure| figure.participant.as_str()))
    }

    /// Returns the sizes of a group, in order.
    pub(super) fn sizes(&self, group: &str) -> Vec<&str> {
        distinct(self.of(group).map(|figure| figure.size.as_str()))
    }

    /// Returns a figure.
    pub(super) fn get(&self, group: &str, participant: &str, size: &str) -> Option<&Figure> {
        self.of(group).find(|figure| figure.participant == participant && figure.size == size)
    }

    fn of(&self, group: &str) -> impl Iterator<Item = &Figure> {
        self.0.iter().filter(move |figure| figure.group == group)
    }
}

impl Figure {
    /// Returns the median of each run's passes, in nanoseconds.
    pub(super) fn times(&self) -> Runs {
        Runs(self.runs.iter().map(|passes| median(passes.iter().copied())).collect())
    }

    /// Returns the median over each run's passes of the ratio to another figure's time.
    pub(super) fn ratios(&self, to: &Self) -> Runs {
        let runs = self.runs.iter().zip(&to.runs);
        Runs(runs.map(|(these, others)| median(these.iter().zip(others).map(|(this, other)| this / other))).collect())
    }
}

impl Runs {
    /// Returns the median of the runs.
    pub(super) fn median(&self) -> f64 {
        median(self.0.iter().copied())
    }

    /// Returns the difference between the largest and the smallest value as a share of the median, if the runs disagree.
    pub(super) fn disagreement(&self) -> Option<f64> {
        let largest = self.0.iter().copied().fold(f64::MIN, f64::max);
        let smallest = self.0.iter().copied().fold(f64::MAX, f64::min);
        Some((largest - smallest) / self.median()).filter(|&spread| spread >= SPREAD_SHOWN)
    }

    /// Returns the number of runs whose value is at most `limit`, to two decimal places, and the number of all runs.
    pub(super) fn within(&self, limit: f64) -> (usize, usize) {
        let hundredths = |value: f64| (value * 100.0).round();
        (self.0.iter().filter(|&&value| hundredths(value) <= hundredths(limit)).count(), self.0.len())
    }
}

/// Returns the median, or NaN of nothing.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// Formats a size in bytes with a unit, and returns anything else unchanged.
pub(super) fn label(size: &str) -> String {
    match size.parse::<u64>() {
        Ok(bytes) if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        Ok(bytes) if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
        Ok(bytes) => format!("{bytes} B"),
        Err(_) => size.to_owned(),
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// Collects the figures below a folder, with the times of their files.
fn collect(folder: &Path, found: &mut Vec<(std::time::SystemTime, Measurement)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.ends_with("new") {
            let estimates = path.join("estimates.json");
            let written = fs::metadata(&estimates)?.modified()?;
            found.push((written, measurement(&fs::read(path.join("benchmark.json"))?, &fs::read(estimates)?)?));
        } else if path.is_dir() {
            collect(&path, found)?;
        }
    }
    Ok(())
}

fn measurement(benchmark: &[u8], estimates: &[u8]) -> Result<Measurement> {
    let benchmark: Benchmark = serde_json::from_slice(benchmark).context("cannot parse criterion's benchmark.json")?;
    let estimates: Estimates = serde_json::from_slice(estimates).context("cannot parse criterion's estimates.json")?;
    let messages = benchmark.throughput.map_or(1, |throughput| throughput.both.elements);
    Ok(Measurement {
        group: benchmark.group_id,
        participant: benchmark.function_id,
        size: benchmark.value_str,
        nanoseconds: estimates.median.point_estimate / messages as f64,
    })
}

#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: String,
    value_str: String,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "ElementsAndBytes")]
    both: ElementsAndBytes,
}

#[derive(Deserialize)]
struct ElementsAndBytes {
    elements: u64,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_criterion_are_parsed() {
        let benchmark = br#"{"group_id":"g","function_id":"p","value_str":"16",
            "throughput":{"ElementsAndBytes":{"elements":4,"bytes":64}},"full_id":"g/p/16"}"#;
        let estimates = br#"{"mean":{"point_estimate":9.0},"median":{"point_estimate":8.0}}"#;
        let found = measurement(benchmark, estimates).unwrap();
        assert_eq!((&*found.group, &*found.participant, &*found.size), ("g", "p", "16"));
        assert_eq!(found.nanoseconds, 2.0);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(["16", "65536", "1 frame"].map(label), ["16 B", "64 KiB", "1 frame"]);
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }

    fn figure(runs: &[&[f64]]) -> Figure {
        let runs = runs.iter().map(|passes| passes.to_vec()).collect();
        Figure { group: String::new(), participant: String::new(), size: String::new(), runs }
    }

    #[test]
    fn a_slow_pass_does_not_make_runs_disagree() {
        assert_eq!(figure(&[&[10.0, 10.5, 90.0], &[10.4, 10.2, 10.3]]).times().disagreement(), None);
    }

    #[test]
    fn the_difference_between_runs_is_a_share_of_their_median() {
        let times = figure(&[&[10.0], &[12.0], &[9.0]]).times();
        assert_eq!((times.median(), times.disagreement()), (10.0, Some(0.3)));
    }

    #[test]
    fn a_ratio_compares_the_passes_of_a_run() {
        let (ours, other) = (figure(&[&[1.0, 4.0, 3.0], &[4.0]]), figure(&[&[1.0, 2.0, 2.0], &[2.0]]));
        assert_eq!(ours.ratios(&other), Runs(vec![1.5, 2.0]));
    }

    #[test]
    fn runs_within_a_limit_are_counted_as_the_table_rounds() {
        assert_eq!(Runs(vec![1.304, 1.306, 1.2]).within(1.3), (2, 3));
    }
}
