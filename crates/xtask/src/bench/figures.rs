//! The figures that criterion measured, by pass.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// All figures, in the order of the first pass.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<Figure>);

/// The time per message of one participant at one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) group: String,
    pub(super) participant: String,
    pub(super) size: String,
    /// The time of each pass, in nanoseconds.
    pub(super) passes: Vec<f64>,
}

impl Figures {
    /// Adds the results of a bench from a folder.
    pub(super) fn add(&mut self, folder: &Path) -> Result<()> {
        let mut found = Vec::new();
        collect(folder, &mut found)?;
        ensure!(!found.is_empty(), "criterion wrote no results to {}", folder.display());
        // the times of the files are the order of measurement
        found.sort_by_key(|(written, _)| *written);
        for (_, new) in found {
            let is_same = |old: &&mut Figure| {
                (&old.group, &old.participant, &old.size) == (&new.group, &new.participant, &new.size)
            };
            match self.0.iter_mut().find(is_same) {
                Some(old) => old.passes.extend(new.passes),
                None => self.0.push(new),
            }
        }
        Ok(())
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
    /// Returns the median of the passes, in nanoseconds.
    pub(super) fn median(&self) -> f64 {
        median(self.passes.iter().copied())
    }

    /// Returns the median over the passes of the ratio to another figure's time.
    pub(super) fn ratio(&self, to: &Self) -> f64 {
        median(self.passes.iter().zip(&to.passes).map(|(this, other)| this / other))
    }

    /// Returns whether the interquartile range of the passes exceeds a quarter of the median.
    pub(super) fn is_noisy(&self) -> bool {
        let mut sorted = self.passes.clone();
        sorted.sort_by(f64::total_cmp);
        let quarter = sorted.len() / 4;
        let (low, high) = (sorted.get(quarter), sorted.get(sorted.len() - 1 - quarter));
        low.zip(high).is_some_and(|(low, high)| high - low > 0.25 * self.median())
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
fn collect(folder: &Path, found: &mut Vec<(std::time::SystemTime, Figure)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.ends_with("new") {
            let estimates = path.join("estimates.json");
            let written = fs::metadata(&estimates)?.modified()?;
            found.push((written, figure(&fs::read(path.join("benchmark.json"))?, &fs::read(estimates)?)?));
        } else if path.is_dir() {
            collect(&path, found)?;
        }
    }
    Ok(())
}

fn figure(benchmark: &[u8], estimates: &[u8]) -> Result<Figure> {
    let benchmark: Benchmark = serde_json::from_slice(benchmark).context("cannot parse criterion's benchmark.json")?;
    let estimates: Estimates = serde_json::from_slice(estimates).context("cannot parse criterion's estimates.json")?;
    let messages = benchmark.throughput.map_or(1, |throughput| throughput.both.elements);
    Ok(Figure {
        group: benchmark.group_id,
        participant: benchmark.function_id,
        size: benchmark.value_str,
        passes: vec![estimates.median.point_estimate / messages as f64],
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
        let figure = figure(benchmark, estimates).unwrap();
        assert_eq!((&*figure.group, &*figure.participant, &*figure.size), ("g", "p", "16"));
        assert_eq!(figure.passes, [2.0]);
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }

    #[test]
    fn a_single_outlier_is_not_noise() {
        let figure = |passes: &[f64]| Figure {
            group: String::new(),
            participant: String::new(),
            size: String::new(),
            passes: passes.to_vec(),
        };
        assert!(!figure(&[10.0, 10.5, 11.0, 10.2, 90.0]).is_noisy());
        assert!(figure(&[10.0, 10.5, 15.0, 10.2, 90.0]).is_noisy());
        assert_eq!(figure(&[1.0, 4.0, 3.0]).ratio(&figure(&[1.0, 2.0, 2.0])), 1.5);
    }
}
