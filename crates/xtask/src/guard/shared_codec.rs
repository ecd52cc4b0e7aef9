//! The costs of connections that share a codec, compared with the codec alone.

use std::collections::BTreeMap;

/// The participant that the others are compared with.
const ALONE: &str = ", codec alone";
/// A connection that has the next turn again, and connections that take turns.
const SHARED: [&str; 2] = [", same connection", ", two connections"];

/// Returns the maximum cost as a multiple of the codec alone, if there is a goal.
fn goal(operation: &str, shared: &str) -> Option<f64> {
    match (operation, shared) {
        // Priming a codec takes longer than compressing so little at so low a level.
        ("compress, level 1, 1 KiB", ", same connection") => Some(1.6),
        ("compress, level 1, 1 KiB", _) => None,
        _ if operation.starts_with("compress, ") => Some(1.3),
        _ => None,
    }
}

/// A cost, compared with the codec alone.
#[derive(Debug, PartialEq)]
struct Ratio {
    name: String,
    ratio: f64,
    goal: Option<f64>,
}

impl Ratio {
    /// Returns whether there is a goal, and the ratio exceeds it as it is printed.
    fn is_missed(&self) -> bool {
        self.goal.is_some_and(|goal| (self.ratio * 100.0).round() > (goal * 100.0).round())
    }
}

fn ratios(operations: &BTreeMap<String, f64>) -> Vec<Ratio> {
    let alone = operations.iter().filter_map(|(name, cost)| Some((name.strip_suffix(ALONE)?, *cost)));
    let ratios = alone.flat_map(|(operation, alone): (&str, f64)| {
        SHARED.into_iter().filter_map(move |shared| {
            let name = format!("{operation}{shared}");
            let ratio = operations.get(&name)? / alone;
            Some(Ratio { name, ratio, goal: goal(operation, shared) })
        })
    });
    ratios.collect()
}

/// Compares the instructions of operations. Prints a line for each, and returns how many goals are missed.
pub(super) fn report(operations: &BTreeMap<String, f64>) -> usize {
    println!("\n{:<50} {:>14} {:>9}", "a shared codec", "x codec alone", "goal");
    let ratios = ratios(operations);
    for ratio in &ratios {
        let goal = ratio.goal.map_or(String::new(), |goal| format!("{goal:.2}"));
        let missed = if ratio.is_missed() { "  missed" } else { "" };
        println!("{:<50} {:>14.2} {goal:>9}{missed}", ratio.name, ratio.ratio);
    }
    ratios.iter().filter(|ratio| ratio.is_missed()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_compared_with_the_codec_alone() {
        let costs = [
            ("compress, level 1, 1 KiB, codec alone", 1000.0),
            ("compress, level 1, 1 KiB, same connection", 1610.0),
            ("compress, level 1, 1 KiB, two connections", 5000.0),
            ("compress, level 6, 16 KiB, codec alone", 1000.0),
            ("compress, level 6, 16 KiB, two connections", 1304.0),
            ("inflate, level 1, 1 KiB, codec alone", 1000.0),
            ("inflate, level 1, 1 KiB, same connection", 2000.0),
            ("send, masked, 16 B", 50.0),
        ];
        let operations = costs.map(|(name, instructions)| (name.to_owned(), instructions)).into();
        let ratios = ratios(&operations);
        let figures: Vec<_> = ratios.iter().map(|ratio| (ratio.ratio, ratio.goal, ratio.is_missed())).collect();
        let expected = [(1.61, Some(1.6), true), (5.0, None, false), (1.304, Some(1.3), false), (2.0, None, false)];
        assert_eq!(figures, expected);
        assert_eq!(report(&operations), 1);
    }
}
