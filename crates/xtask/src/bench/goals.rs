//! The goals: how much longer than the floor, or than the fastest other library, sansocket may take.

use std::fmt;

use super::figures::{Figure, Figures, Runs, label};
use super::participants::{FLOOR, OURS, is_peer};

/// A goal with the figures that decide whether it is met.
#[derive(Debug)]
pub(super) struct Goal<'a> {
    group: &'a str,
    size: &'a str,
    /// The participant that sansocket is compared with.
    other: &'a str,
    /// The maximum of sansocket's time, as a multiple of the other's.
    limit: f64,
    ratios: Runs,
}

impl<'a> Goal<'a> {
    /// Returns the goal for the multiple of the floor, if there is one: for receiving at 1 KiB and from 16 KiB up, and
    /// for sending from 16 KiB up.
    pub(super) fn of_floor(figures: &'a Figures, group: &'a str, size: &'a str) -> Option<Self> {
        let limit = match (operation(group), size.parse().ok()?) {
            ("receive", 1024) => 1.3,
            ("receive", 16_384..) => 1.15,
            ("send", 16_384_u64..) => 1.3,
            _ => return None,
        };
        Self::new(figures, group, size, figures.get(group, FLOOR, size)?, limit)
    }

    /// Returns the goal for the multiple of the best peer, if there is one: for receiving up to 64 KiB.
    pub(super) fn of_best_peer(figures: &'a Figures, group: &'a str, size: &'a str) -> Option<Self> {
        match (operation(group), size.parse().ok()?) {
            ("receive", ..=65_536_u64) => Self::new(figures, group, size, best_peer(figures, group, size)?, 1.05),
            _ => None,
        }
    }

    /// Returns all goals, in the order of the tables.
    pub(super) fn all(figures: &'a Figures) -> Vec<Self> {
        let mut goals = Vec::new();
        for group in figures.groups() {
            let sizes = figures.sizes(group);
            goals.extend(sizes.iter().filter_map(|size| Self::of_floor(figures, group, size)));
            goals.extend(sizes.iter().filter_map(|size| Self::of_best_peer(figures, group, size)));
        }
        goals
    }

    fn new(figures: &Figures, group: &'a str, size: &'a str, other: &'a Figure, limit: f64) -> Option<Self> {
        let ratios = figures.get(group, OURS, size)?.ratios(other);
        Some(Self { group, size, other: &other.participant, limit, ratios })
    }

    /// Returns whether every run met the goal.
    pub(super) fn is_met(&self) -> bool {
        let (within, all) = self.ratios.within(self.limit);
        within == all
    }

    /// Returns the limit and the result, for a cell of a table.
    pub(super) fn cell(&self) -> String {
        format!("at most {:.2}: {}", self.limit, self.result())
    }

    fn result(&self) -> String {
        match self.ratios.within(self.limit) {
            (within, all) if within == all => "met".to_owned(),
            (0, _) => "missed".to_owned(),
            (within, all) => format!("met in {within} of {all} runs"),
        }
    }
}

/// A line about the goal, with the figure.
impl fmt::Display for Goal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, other, limit, .. } = self;
        let (size, ratio) = (label(self.size), self.ratios.median());
        write!(f, "{group}, {size}: {ratio:.2} times {other}; the goal is at most {limit:.2} ({})", self.result())
    }
}

/// Returns the fastest participant that does the same work: neither ours, nor a limit, nor one that passes a reference.
pub(super) fn best_peer<'a>(figures: &'a Figures, group: &str, size: &str) -> Option<&'a Figure> {
    let peers = figures.participants(group).into_iter().filter(|name| is_peer(name));
    let figures = peers.filter_map(|peer| figures.get(group, peer, size));
    figures.min_by(|a, b| a.times().median().total_cmp(&b.times().median()))
}

/// Returns what a group measures: its name up to the colon.
fn operation(group: &str) -> &str {
    group.split_once(':').map_or(group, |(operation, _)| operation)
}

#[cfg(test)]
mod tests {
    use super::super::figures::Measurement;
    use super::*;

    const RECEIVE: &str = "receive: server, text";

    /// Returns the figures of one size: the times of each participant, one per run.
    fn figures(group: &str, size: &str, times: &[(&str, &[f64])]) -> Figures {
        let mut figures = Figures::default();
        for (participant, runs) in times {
            for (run, &nanoseconds) in runs.iter().enumerate() {
                let [group, participant, size] = [group, participant, size].map(str::to_owned);
                figures.push(run, Measurement { group, participant, size, nanoseconds });
            }
        }
        figures
    }

    fn check_floor(group: &str, size: &str, ours: &[f64], cell: Option<&str>) {
        let floor = vec![100.0; ours.len()];
        let figures = figures(group, size, &[(OURS, ours), (FLOOR, &floor)]);
        let goal = Goal::of_floor(&figures, group, size);
        assert_eq!(goal.map(|goal| goal.cell()).as_deref(), cell, "{group}, {size}");
    }

    #[test]
    fn the_limit_depends_on_the_operation_and_the_size() {
        check_floor(RECEIVE, "125", &[900.0], None);
        check_floor(RECEIVE, "1024", &[130.0], Some("at most 1.30: met"));
        check_floor(RECEIVE, "16384", &[130.0], Some("at most 1.15: missed"));
        check_floor(RECEIVE, "1048576", &[115.0], Some("at most 1.15: met"));
        check_floor("send: masked, owned", "1024", &[900.0], None);
        check_floor("send: masked, owned", "65536", &[131.0], Some("at most 1.30: missed"));
        check_floor("echo: both ends", "65536", &[900.0], None);
        check_floor("fragments: text of 1 MiB", "1 frame", &[900.0], None);
    }

    #[test]
    fn a_goal_is_met_only_if_every_run_meets_it() {
        check_floor(RECEIVE, "16384", &[114.0, 116.0, 115.0], Some("at most 1.15: met in 2 of 3 runs"));
        check_floor(RECEIVE, "16384", &[114.0, 112.0, 115.0], Some("at most 1.15: met"));
        check_floor(RECEIVE, "16384", &[116.0, 117.0, 118.0], Some("at most 1.15: missed"));
    }

    #[test]
    fn without_a_floor_there_is_no_goal() {
        let figures = figures("send: unmasked, shared", "65536", &[(OURS, &[50.0])]);
        assert!(Goal::all(&figures).is_empty());
    }

    #[test]
    fn receiving_up_to_64_kib_is_compared_with_the_fastest_other_library() {
        let times: &[(&str, &[f64])] =
            &[(OURS, &[106.0]), ("yawc", &[100.0]), ("soketto", &[120.0]), ("sansocket, messages recycled", &[50.0])];
        let figures = [figures(RECEIVE, "65536", times), figures(RECEIVE, "1048576", times)];
        let goals: Vec<_> = figures.iter().flat_map(Goal::all).collect();
        let [goal] = &goals[..] else { panic!("{goals:?}") };
        assert!(!goal.is_met());
        assert_eq!(
            goal.to_string(),
            "receive: server, text, 64 KiB: 1.06 times yawc; the goal is at most 1.05 (missed)"
        );
    }
}
