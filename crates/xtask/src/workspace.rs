//! The folders of the workspace, and running cargo and other programs.

use std::env;
use std::io;
use std::path::{self, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Returns the root folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns the folder for build output: `CARGO_TARGET_DIR`, or `target/` in the workspace.
pub(crate) fn target() -> io::Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => path::absolute(dir),
        None => Ok(root().canonicalize()?.join("target")),
    }
}

/// Builds `target` by running cargo with `arguments`, and returns the path of its executable.
///
/// # Errors
///
/// If it does not build.
pub(crate) fn build(arguments: &[&str], target: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "cannot build {target}");
    let found = executables(&output.stdout).find_map(|(name, path)| (name == target).then_some(path));
    found.with_context(|| format!("cargo reports no executable for {target}"))
}

/// Parses cargo's JSON messages, one per line, and returns the names and paths of the executables that it built.
pub(crate) fn executables(messages: &[u8]) -> impl Iterator<Item = (String, PathBuf)> {
    let lines = messages.split(|&byte| byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    artifacts.filter_map(|artifact| Some((artifact.target.name, artifact.executable?)))
}

/// Runs a command without input or output, and returns whether it succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command, and returns what it prints on standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let program = command.get_program().display();
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A message of cargo about a target that it has built.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
