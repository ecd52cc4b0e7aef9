//! The report `benches/RESULTS.md`: tables in Markdown.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::figures::{Figure, Figures};
use crate::workspace;

/// The participant that is compared with the others.
pub(super) const OURS: &str = "sansocket";
/// The lower limit of every participant: copying the bytes once.
pub(super) const LIMIT: &str = "memcpy";
/// The lower limit including the work on every byte, such as unmasking.
const FLOOR: &str = "floor";

/// The other libraries, in the order of the lock file.
const PEERS: [&str; 9] = [
    "fastwebsockets",
    "simdutf8",
    "sockudo-ws",
    "soketto",
    "tokio-websockets",
    "tungstenite",
    "web-socket",
    "websocket-sans-io",
    "yawc",
];

/// Returns the text of the report.
pub(super) fn write(figures: &Figures, passes: usize) -> Result<String> {
    let mut text = String::from("# The codec and other libraries\n\n");
    write!(
        text,
        "Written by `cargo xtask bench`; each file in [benches](benches) describes its measurement at the top. Medians \
         of {passes} {}, in nanoseconds per message. A ratio is the median of the ratios within each pass. `~` marks a \
         noisy figure, whose interquartile range exceeds a quarter of its median. Compare ratios within a table; \
         nothing else is comparable. The best peer is the fastest library that is not marked \"by reference\".\n\n",
        if passes == 1 { "pass" } else { "passes" },
    )?;
    writeln!(text, "* Machine: {}", machine())?;
    writeln!(text, "* Versions: {}", versions()?)?;
    writeln!(
        text,
        "* uWebSockets is C++ and cannot run in the same program. A server takes 11 ns to receive 16 B, 25 ns for 125 \
         B and 71 ns for 1 KiB: measured once, on another day, on a machine of the same kind."
    )?;
    for group in figures.groups() {
        table(&mut text, figures, group)?;
    }
    Ok(text)
}

fn table(text: &mut String, figures: &Figures, group: &str) -> Result<()> {
    let sizes = figures.sizes(group);
    writeln!(text, "\n## {}\n", capitalised(group))?;
    writeln!(text, "| |{}", sizes.iter().map(|size| format!(" {} |", label(size))).collect::<String>())?;
    writeln!(text, "|---|{}", "--:|".repeat(sizes.len()))?;
    for participant in figures.participants(group) {
        row(text, participant, &sizes, |size| figures.get(group, participant, size).map(time))?;
    }
    let ours = |size: &str| figures.get(group, OURS, size);
    if figures.participants(group).contains(&OURS) {
        for limit in [LIMIT, FLOOR] {
            row(text, &format!("**sansocket / {limit}**"), &sizes, |size| {
                Some(format!("{:.2}", ours(size)?.ratio(figures.get(group, limit, size)?)))
            })?;
        }
        row(text, "**sansocket / best peer**", &sizes, |size| {
            let best = best_peer(figures, group, size)?;
            Some(format!("{:.2} ({})", ours(size)?.ratio(best), best.participant))
        })?;
    }
    Ok(())
}

fn row(text: &mut String, name: &str, sizes: &[&str], cell: impl Fn(&str) -> Option<String>) -> Result<()> {
    let cells: String = sizes.iter().map(|size| format!(" {} |", cell(size).unwrap_or_default())).collect();
    if cells.contains(|letter: char| letter != ' ' && letter != '|') {
        writeln!(text, "| {name} |{cells}")?;
    }
    Ok(())
}

/// Returns the fastest participant that does the same work: neither ours, nor a limit, nor one that passes a reference.
pub(super) fn best_peer<'a>(figures: &'a Figures, group: &str, size: &str) -> Option<&'a Figure> {
    let peers = figures.participants(group).into_iter().filter(|name| is_peer(name));
    let figures = peers.filter_map(|peer| figures.get(group, peer, size));
    figures.min_by(|a, b| a.median().total_cmp(&b.median()))
}

/// Returns whether a participant is another library, and does the same work.
pub(super) fn is_peer(name: &str) -> bool {
    PEERS.contains(&name)
}

fn time(figure: &Figure) -> String {
    let (nanoseconds, mark) = (figure.median(), if figure.is_noisy() { " ~" } else { "" });
    match nanoseconds {
        ..100.0 => format!("{nanoseconds:.1}{mark}"),
        _ => format!("{}{mark}", thousands(nanoseconds.round() as u64)),
    }
}

fn thousands(number: u64) -> String {
    match number {
        ..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
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

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Describes the processors of this machine.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let number = text.lines().filter(|line| line.starts_with("processor")).count();
    let flags = field("flags").unwrap_or_default();
    let vectors = match flags {
        _ if flags.contains("avx512bw") => "AVX2, AVX-512 (unused by default)",
        _ if flags.contains("avx2") => "AVX2",
        _ => "neither AVX2 nor AVX-512",
    };
    match field("model name") {
        Some(model) => format!("{model}, {number} cores, {vectors}, {}", std::env::consts::OS),
        None => format!("{}, {}", std::env::consts::ARCH, std::env::consts::OS),
    }
}

/// Returns the versions of the compiler, of sansocket, and of the other libraries in the lock file.
fn versions() -> Result<String> {
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut lines = lock.lines().peekable();
    let mut versions = vec![compiler(), format!("sansocket {}", env!("CARGO_PKG_VERSION"))];
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("name = ").map(|name| name.trim_matches('"'));
        if let Some(name) = name.filter(|name| is_peer(name))
            && let Some(version) = lines.peek().and_then(|next| next.strip_prefix("version = "))
        {
            versions.push(format!("{name} {}", version.trim_matches('"')));
        }
    }
    Ok(versions.join(", "))
}

/// Returns "rustc" and its version.
pub(crate) fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_groups() {
        assert_eq!(thousands(1_048_576), "1,048,576");
        assert_eq!(thousands(5), "5");
        assert_eq!((label("16"), label("65536"), label("1 frame")), ("16 B".into(), "64 KiB".into(), "1 frame".into()));
    }
}
