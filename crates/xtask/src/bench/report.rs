//! The report `benches/RESULTS.md`: the goals, and tables in Markdown.

use std::fmt::Write;

use anyhow::Result;

use super::environment::{machine, versions};
use super::figures::{Figures, Runs, label};
use super::goals::{Goal, best_peer};
use super::participants::{FLOOR, LIMIT, OURS, delivery};

/// What a reader must know to read the tables.
const LEGEND: &str = "\
Times are in nanoseconds per message. Compare times within a table; nothing else is comparable. Each file in \
[benches](benches) describes its measurement at the top.

* **sansocket** is driven as the event loop of `sansocket-mio` drives it: one buffer of 65,550 bytes for all reads, \
scratch memory attached for a turn, and a message that is longer than a read assembled. Rows below it drive it in \
other ways, which their names say; no goal and no picture uses them.
* **floor** is the least work that every implementation must do for the same input and output. Receiving: one copy of \
the bytes into the read buffer, as `recv` does, in the same reads of 65,550 bytes; unmasking and validating in \
place; for a message that is longer than a read, one more copy into the memory of the message. Sending: one copy of \
a borrowed payload, which masks it; for an owned payload, masking in place. It parses no head, checks no rule and \
keeps no state. Compressing and inflating: zlib-rs alone, with a compressor and an inflater for one connection, \
without frames.
* **memcpy** copies the bytes once.
* A received message borrows the read buffer if all of it is there. \"owned\" marks libraries that allocate memory for \
each message, or pass a counted reference. \"copied\" marks one that copies the message to the application's buffer. \
\"by reference\" marks libraries that send a borrowed payload without a copy.
* The best peer is the fastest library that is not marked \"by reference\".
* yawc and sockudo-ws compress with zlib-rs, as sansocket does; soketto compresses with zlib, at level 1 and without \
takeover only.
* uWebSockets is C++ and cannot run in the same program. A server takes 11 ns to receive 16 B, 25 ns for 125 B and \
71 ns for 1 KiB: measured once, on another day, on a machine of the same kind.
";

/// Returns the text of the report.
pub(super) fn write(figures: &Figures, runs: usize, passes: usize) -> Result<String> {
    let mut text = String::from("# The codec and other libraries\n\n");
    writeln!(
        text,
        "Measured by {} of `cargo xtask bench`: that one command repeats all of it, and writes this file. Each run has \
         {}: a time is the median of the runs' medians, and a ratio the median of the ratios within a pass, so that \
         both participants had the same machine. `~12%` marks a figure in which the runs disagree: the difference \
         between the largest and the smallest is 12 % of the median. Less than 10 % is not shown. {LEGEND}",
        count(runs, "run", "runs"),
        count(passes, "pass", "passes"),
    )?;
    writeln!(text, "Machine: {}. Versions: {}.", machine(), versions()?)?;
    goals(&mut text, figures)?;
    for group in figures.groups() {
        table(&mut text, figures, group)?;
    }
    Ok(text)
}

/// Writes how many goals are met, and the ones that are not.
fn goals(text: &mut String, figures: &Figures) -> Result<()> {
    let goals = Goal::all(figures);
    if goals.is_empty() {
        return Ok(());
    }
    let missed: Vec<_> = goals.iter().filter(|goal| !goal.is_met()).collect();
    writeln!(text, "\n## Goals\n\n{}", summary(goals.len(), missed.len()))?;
    if !missed.is_empty() {
        writeln!(text)?;
    }
    missed.iter().try_for_each(|goal| writeln!(text, "* {goal}"))?;
    Ok(())
}

/// Returns a sentence about the number of goals that are met.
pub(super) fn summary(all: usize, missed: usize) -> String {
    format!("{} of {all} goals are met in every run.", all - missed)
}

fn table(text: &mut String, figures: &Figures, group: &str) -> Result<()> {
    let sizes = figures.sizes(group);
    writeln!(text, "\n## {}\n", capitalised(group))?;
    writeln!(text, "| |{}", sizes.iter().map(|size| format!(" {} |", label(size))).collect::<String>())?;
    writeln!(text, "|---|{}", "--:|".repeat(sizes.len()))?;
    let participants = figures.participants(group);
    for participant in &participants {
        let name = name(group, participant);
        row(text, &name, &sizes, |size| figures.get(group, participant, size).map(|figure| time(&figure.times())))?;
    }
    if !participants.contains(&OURS) {
        return Ok(());
    }
    let ours = |size: &str| figures.get(group, OURS, size);
    row(text, "**sansocket / memcpy**", &sizes, |size| {
        Some(ratio(&ours(size)?.ratios(figures.get(group, LIMIT, size)?)))
    })?;
    row(text, "**sansocket / floor**", &sizes, |size| {
        Some(ratio(&ours(size)?.ratios(figures.get(group, FLOOR, size)?)))
    })?;
    row(text, "**goal: multiple of floor**", &sizes, |size| Some(Goal::of_floor(figures, group, size)?.cell()))?;
    row(text, "**sansocket / best peer**", &sizes, |size| {
        let best = best_peer(figures, group, size)?;
        Some(format!("{} ({})", ratio(&ours(size)?.ratios(best)), best.participant))
    })?;
    row(text, "**goal: multiple of best peer**", &sizes, |size| Some(Goal::of_best_peer(figures, group, size)?.cell()))
}

/// Returns the name of a participant; if it receives, with how it passes messages to the application.
fn name(group: &str, participant: &str) -> String {
    let receives = group.starts_with("receive") || group.starts_with("fragments");
    match delivery(participant).filter(|_| receives) {
        Some(delivery) => format!("{participant} ({delivery})"),
        None => participant.to_owned(),
    }
}

fn row(text: &mut String, name: &str, sizes: &[&str], cell: impl Fn(&str) -> Option<String>) -> Result<()> {
    let cells: String = sizes.iter().map(|size| format!(" {} |", cell(size).unwrap_or_default())).collect();
    if cells.contains(|letter: char| letter != ' ' && letter != '|') {
        writeln!(text, "| {name} |{cells}")?;
    }
    Ok(())
}

fn time(runs: &Runs) -> String {
    let nanoseconds = runs.median();
    let figure = if nanoseconds < 100.0 { format!("{nanoseconds:.1}") } else { thousands(nanoseconds.round() as u64) };
    figure + &disagreement(runs)
}

fn ratio(runs: &Runs) -> String {
    format!("{:.2}{}", runs.median(), disagreement(runs))
}

/// Returns the difference between the runs, if they disagree.
fn disagreement(runs: &Runs) -> String {
    runs.disagreement().map_or_else(String::new, |spread| format!(" ~{:.0}%", spread * 100.0))
}

/// Returns a number with its noun.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn thousands(number: u64) -> String {
    match number {
        ..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_groups() {
        assert_eq!((thousands(1_048_576), thousands(5)), ("1,048,576".into(), "5".into()));
    }

    #[test]
    fn a_receiving_library_is_named_with_how_it_passes_messages() {
        let receiving = ["sansocket", "soketto", "yawc"].map(|participant| name("receive: client, text", participant));
        assert_eq!(receiving, ["sansocket", "soketto (copied)", "yawc (owned)"]);
        assert_eq!(name("send: masked, owned", "yawc"), "yawc");
    }
}
