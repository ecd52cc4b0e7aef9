//! What the turns came to: a table for each cell, and where ours is behind.

use std::fmt;

use super::run::Figures;
use crate::echo::{Cell, Program};

/// By how much ours must be behind for it not to be noise.
const NOISE: f64 = 1.5;

/// All turns of a cell.
#[derive(Debug)]
pub(super) struct Table {
    cell: Cell,
    rows: Vec<Row>,
}

/// All turns of a server.
#[derive(Debug)]
struct Row {
    name: String,
    passes: Vec<Figures>,
}

impl Table {
    pub(super) fn new(cell: Cell, programs: &[Program]) -> Self {
        let row = |program: &Program| Row { name: program.to_string(), passes: Vec::new() };
        Self { cell, rows: programs.iter().map(row).collect() }
    }

    /// Adds a turn of the server with this index.
    pub(super) fn add(&mut self, index: usize, figures: Figures) {
        self.rows[index].passes.push(figures);
    }

    /// Those that have a higher rate than the first, of the two that are measured: by which factor, and whether in every
    /// pass.
    fn ahead(&self, rate: usize) -> impl Iterator<Item = (&Row, f64, bool)> {
        let ours = &self.rows[0];
        self.rows[1..].iter().filter_map(move |row| {
            let factor = row.median(rate) / ours.median(rate);
            let always = row.passes.iter().zip(&ours.passes).all(|(its, ours)| its[rate] > ours[rate]);
            (factor > 1.0).then_some((row, factor, always))
        })
    }
}

impl Row {
    fn median(&self, figure: usize) -> f64 {
        let mut values: Vec<_> = self.passes.iter().map(|figures| figures[figure]).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.cell)?;
        // Beside each rate, how many times as high that of the first is.
        write!(f, "  {:<24} {:>11} {:>9} {:>14} {:>9}", "", "messages/s", "first is", "per CPU second", "first is")?;
        write!(f, " {:>10} {:>10} {:>10}", "p50 us", "p99 us", "p99.9 us")?;
        for row in &self.rows {
            write!(f, "\n  {:<24}", row.name)?;
            for (rate, width) in [(0, 11), (1, 14)] {
                let factor = self.rows[0].median(rate) / row.median(rate);
                write!(f, " {:>width$} {factor:>8.2}x", grouped(row.median(rate)))?;
            }
            for latency in 2..5 {
                write!(f, " {:>10}", grouped(row.median(latency) / 1e3))?;
            }
        }
        Ok(())
    }
}

/// Where ours is behind.
#[derive(Debug, Default)]
pub(super) struct Summary {
    cells: usize,
    /// For each of the two rates.
    behind: [Behind; 2],
    /// Whoever is ahead in every pass, or by more than noise.
    lines: Vec<String>,
}

/// In how many cells.
#[derive(Debug, Default)]
struct Behind {
    at_all: usize,
    always: usize,
    far: usize,
}

/// How the summary calls the two rates.
const RATES: [&str; 2] = ["messages/s", "messages per CPU second"];

impl Summary {
    pub(super) fn add(&mut self, table: &Table) {
        self.cells += 1;
        for (rate, name) in RATES.iter().enumerate() {
            let ahead: Vec<_> = table.ahead(rate).collect();
            let behind = &mut self.behind[rate];
            behind.at_all += usize::from(!ahead.is_empty());
            behind.always += usize::from(ahead.iter().any(|&(.., always)| always));
            behind.far += usize::from(ahead.iter().any(|&(_, factor, _)| factor > NOISE));
            for (row, factor, always) in ahead {
                if always || factor > NOISE {
                    let always = if always { ", in every pass" } else { "" };
                    self.lines.push(format!("{}: {} has {factor:.2} times our {name}{always}", table.cell, row.name));
                }
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "of {} cells ours is behind", self.cells)?;
        for (index, (rate, behind)) in RATES.iter().zip(&self.behind).enumerate() {
            let Behind { at_all, always, far } = behind;
            let and = if index == 0 { "" } else { ";" };
            write!(f, "{and} by {rate} in {at_all}, in every pass in {always}, by a factor above {NOISE} in {far}")?;
        }
        Ok(())
    }
}

/// A number with its digits in groups of three.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Payload;

    fn table(rows: &[(&str, &[f64])]) -> Table {
        let pass = |&rate: &f64| [rate, rate, 1e3, 2e3, 3e3];
        let row = |&(name, rates): &(&str, &[f64])| Row { name: name.into(), passes: rates.iter().map(pass).collect() };
        let cell = Cell { payload: Payload(20), connections: 1, in_flight: 1 };
        Table { cell, rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn the_summary_says_where_ours_is_behind() {
        let mut summary = Summary::default();
        summary.add(&table(&[("ours", &[10.0, 30.0, 20.0]), ("a", &[11.0, 20.0, 25.0]), ("b", &[20.0, 31.0, 32.0])]));
        summary.add(&table(&[("ours", &[10.0, 20.0]), ("a", &[12.0, 19.0])]));
        let lines = [
            "",
            "20 B, 1 connection, 1 in flight: b has 1.55 times our messages/s, in every pass",
            "20 B, 1 connection, 1 in flight: b has 1.55 times our messages per CPU second, in every pass",
            "of 2 cells ours is behind by messages/s in 2, in every pass in 1, by a factor above 1.5 in 1; \
             by messages per CPU second in 2, in every pass in 1, by a factor above 1.5 in 1",
        ];
        assert_eq!(summary.to_string(), lines.join("\n"));
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0.4, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
