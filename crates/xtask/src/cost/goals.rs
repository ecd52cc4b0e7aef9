//! The goals: the maximum cost of a message for the servers of sansocket.

use super::measure::Cost;
use crate::echo::{Cell, Workload};

/// The maximum cost of a message; `None` without a goal.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Goals {
    pub(super) instructions: Option<f64>,
    pub(super) reads: Option<f64>,
    pub(super) writes: Option<f64>,
    pub(super) waits: Option<f64>,
}

impl Goals {
    /// Returns the goals for a cell.
    pub(super) fn of(workload: Workload, cell: Cell) -> Self {
        match workload {
            Workload::Echo => Self::of_echo(cell),
            Workload::FanOut => Self::of_fan_out(cell),
            Workload::Compressed(_) | Workload::Tls => Self::default(),
        }
    }

    fn of_echo(cell: Cell) -> Self {
        let goals =
            |instructions, reads, writes, waits| Self { instructions: Some(instructions), reads, writes, waits };
        let one = Some(1.0);
        match (cell.payload.0, cell.connections, cell.in_flight) {
            (20, 1, 1) => goals(800.0, one, one, one),
            // One wait returns events for all 32.
            (20, 32, 1) => goals(600.0, one, one, Some(0.03)),
            // One read receives 16 messages, and one write sends them.
            (20, 32, 16) => goals(300.0, Some(0.06), Some(0.06), None),
            // Less than every other library; the best is uWebSockets with 1,209.
            (1024, 1, 1) => goals(1208.0, None, None, None),
            _ => Self::default(),
        }
    }

    fn of_fan_out(cell: Cell) -> Self {
        // A member receives the messages of a turn in one write.
        let writes = Some(1.0 / cell.in_flight as f64);
        let instructions = match (cell.payload.0, cell.in_flight) {
            (128, 1) => Some(500.0),
            (128, 16) => Some(200.0),
            _ => None,
        };
        Self { instructions, writes, ..Self::default() }
    }

    /// Returns a line for each goal that the cost exceeds, rounded as in the table.
    pub(super) fn missed(&self, cost: &Cost, unit: &str) -> impl Iterator<Item = String> {
        let figures = [
            ("instructions", cost.instructions, self.instructions, 0),
            ("read", cost.calls.reads, self.reads, 2),
            ("write", cost.calls.writes, self.writes, 2),
            ("epoll_wait", cost.calls.waits, self.waits, 2),
        ];
        figures.into_iter().filter_map(move |(name, figure, goal, digits)| {
            let scale = 10_f64.powi(digits);
            let is_above = (figure * scale).round() > (goal? * scale).round();
            let digits = digits as usize;
            let goal = goal.unwrap_or_default();
            is_above.then(|| format!("{figure:.digits$} {name} per {unit}; the goal is {goal:.digits$}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::strace::Calls;

    fn check(instructions: f64, reads: f64, waits: f64, missed: &[&str]) {
        let calls = Calls { reads, writes: 0.0625, waits, others: 9.0 };
        let cost = Cost { instructions, calls, profile: None };
        let goals = Goals { instructions: Some(350.0), reads: Some(0.06), writes: Some(0.06), waits: None };
        assert_eq!(goals.missed(&cost, "delivery").collect::<Vec<_>>(), missed);
    }

    #[test]
    fn fan_out_has_goals_for_short_messages_and_for_writes() {
        let goals = |cell: &str| {
            let goals = Goals::of(Workload::FanOut, cell.parse().unwrap());
            (goals.instructions, goals.writes)
        };
        for members in [100, 1_000, 5_000] {
            assert_eq!(goals(&format!("128B/{members}/1")), (Some(500.0), Some(1.0)));
            assert_eq!(goals(&format!("128B/{members}/16")), (Some(200.0), Some(0.0625)));
            assert_eq!(goals(&format!("2KiB/{members}/16")), (None, Some(0.0625)));
        }
    }

    #[test]
    fn rounded_figures_are_compared() {
        check(350.4, 0.0649, 5.0, &[]);
        check(
            350.6,
            0.0651,
            5.0,
            &["351 instructions per delivery; the goal is 350", "0.07 read per delivery; the goal is 0.06"],
        );
    }
}
