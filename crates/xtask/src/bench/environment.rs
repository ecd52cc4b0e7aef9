//! The environment of a measurement: the machine, the compiler, and the versions of the libraries.

use std::fs;

use anyhow::{Context, Result};

use super::participants::is_peer;
use crate::workspace;

/// Describes the processors of this machine.
pub(super) fn machine() -> String {
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
pub(super) fn versions() -> Result<String> {
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
