//! The results: a table for each cell, and a summary of the cells in which ours is slower.

use std::fmt;

use super::run::Figures;
use crate::echo::{Cell, Program};

/// A slower rate counts as noise below this factor.
const NOISE: f64 = 1.5;
/// The index of the bytes on the wire in the figures.
const BYTES: usize = 5;
/// More bytes on the wire than another server's by this factor are a worse compression.
const BYTES_TOLERANCE: f64 = 1.05;

/// The runs of a cell.
#[derive(Debug)]
pub(super) struct Table {
    cell: Cell,
    rows: Vec<Row>,
}

/// The runs of a server.
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

    /// Adds a run of the server with this index.
    pub(super) fn add(&mut self, index: usize, figures: Figures) {
        self.rows[index].passes.push(figures);
    }

    /// Returns the servers that are faster than the first by the rate with this index, with the factor, and whether
    /// they are in every pass.
    fn faster(&self, rate: usize) -> impl Iterator<Item = (&Row, f64, bool)> {
        let ours = &self.rows[0];
        self.rows[1..].iter().filter_map(move |row| {
            let factor = row.median(rate) / ours.median(rate);
            let always = row.passes.iter().zip(&ours.passes).all(|(other, ours)| other[rate] > ours[rate]);
            (factor > 1.0).then_some((row, factor, always))
        })
    }
}

impl Table {
    /// Returns the servers that send fewer bytes than the first by more than the tolerance, with the factor.
    fn shorter(&self) -> impl Iterator<Item = (&Row, f64)> {
        let ours = self.rows[0].median(BYTES);
        let factors = self.rows[1..].iter().map(move |row| (row, ours / row.median(BYTES)));
        factors.filter(|(_, factor)| *factor > BYTES_TOLERANCE)
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
        // Beside each rate is the factor by which the first server's rate is higher.
        write!(f, "  {:<24} {:>11} {:>9} {:>14} {:>9}", "", "messages/s", "first is", "per CPU second", "first is")?;
        write!(f, " {:>10} {:>10} {:>10}", "p50 us", "p99 us", "p99.9 us")?;
        let has_bytes = self.rows[0].median(BYTES) > 0.0;
        if has_bytes {
            write!(f, " {:>12}", "bytes/echo")?;
        }
        for row in &self.rows {
            write!(f, "\n  {:<24}", row.name)?;
            for (rate, width) in [(0, 11), (1, 14)] {
                let factor = self.rows[0].median(rate) / row.median(rate);
                write!(f, " {:>width$} {factor:>8.2}x", grouped(row.median(rate)))?;
            }
            for latency in 2..5 {
                write!(f, " {:>10}", grouped(row.median(latency) / 1e3))?;
            }
            if has_bytes {
                write!(f, " {:>12.1}", row.median(BYTES))?;
            }
        }
        Ok(())
    }
}

/// The cells in which ours is slower.
#[derive(Debug, Default)]
pub(super) struct Summary {
    cells: usize,
    /// For each of the two rates.
    slower: [SlowerCells; 2],
    /// The servers that are faster in every pass, or by more than noise.
    lines: Vec<String>,
}

/// The numbers of cells in which another server is faster.
#[derive(Debug, Default)]
struct SlowerCells {
    any: usize,
    in_every_pass: usize,
    beyond_noise: usize,
}

/// The names of the two rates in the summary.
const RATES: [&str; 2] = ["messages/s", "messages per CPU second"];

impl Summary {
    pub(super) fn add(&mut self, table: &Table) {
        self.cells += 1;
        for (rate, name) in RATES.iter().enumerate() {
            let faster: Vec<_> = table.faster(rate).collect();
            let slower = &mut self.slower[rate];
            slower.any += usize::from(!faster.is_empty());
            slower.in_every_pass += usize::from(faster.iter().any(|&(.., always)| always));
            slower.beyond_noise += usize::from(faster.iter().any(|&(_, factor, _)| factor > NOISE));
            for (row, factor, always) in faster {
                if always || factor > NOISE {
                    let always = if always { ", in every pass" } else { "" };
                    self.lines.push(format!("{}: {} has {factor:.2} times our {name}{always}", table.cell, row.name));
                }
            }
        }
        self.lines.extend(
            table.shorter().map(|(row, factor)| {
                format!("{}: we send {factor:.2} times as many bytes as {}", table.cell, row.name)
            }),
        );
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "ours is slower in these numbers of {} cells:", self.cells)?;
        for (rate, slower) in RATES.iter().zip(&self.slower) {
            let SlowerCells { any, in_every_pass, beyond_noise } = slower;
            write!(f, "\n  {rate}: {any}; in every pass: {in_every_pass}; by a factor above {NOISE}: {beyond_noise}")?;
        }
        Ok(())
    }
}

/// Formats a number with its digits in groups of three.
pub(super) fn grouped(number: f64) -> String {
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
        let pass = |&rate: &f64| [rate, rate, 1e3, 2e3, 3e3, 0.0];
        let row = |&(name, rates): &(&str, &[f64])| Row { name: name.into(), passes: rates.iter().map(pass).collect() };
        let cell = Cell { payload: Payload(20), connections: 1, in_flight: 1 };
        Table { cell, rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn the_summary_counts_slower_cells() {
        let mut summary = Summary::default();
        summary.add(&table(&[("ours", &[10.0, 30.0, 20.0]), ("a", &[11.0, 20.0, 25.0]), ("b", &[20.0, 31.0, 32.0])]));
        summary.add(&table(&[("ours", &[10.0, 20.0]), ("a", &[12.0, 19.0])]));
        let lines = [
            "",
            "20 B, 1 connection, 1 in flight: b has 1.55 times our messages/s, in every pass",
            "20 B, 1 connection, 1 in flight: b has 1.55 times our messages per CPU second, in every pass",
            "ours is slower in these numbers of 2 cells:",
            "  messages/s: 2; in every pass: 1; by a factor above 1.5: 1",
            "  messages per CPU second: 2; in every pass: 1; by a factor above 1.5: 1",
        ];
        assert_eq!(summary.to_string(), lines.join("\n"));
    }

    #[test]
    fn the_summary_lists_servers_that_send_fewer_bytes() {
        let row = |name: &str, bytes| Row { name: name.into(), passes: vec![[1.0, 1.0, 1e3, 2e3, 3e3, bytes]] };
        let cell = Cell { payload: Payload(200), connections: 1, in_flight: 1 };
        let table = Table { cell, rows: vec![row("ours", 104.0), row("a", 100.0), row("b", 80.0)] };
        let mut summary = Summary::default();
        summary.add(&table);
        assert_eq!(summary.lines, ["200 B, 1 connection, 1 in flight: we send 1.30 times as many bytes as b"]);
        assert!(table.to_string().contains("bytes/echo"), "{table}");
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0.4, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
