//! Where things are in this workspace, or will be when cargo has built them.

use std::env;
use std::io;
use std::path::{self, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The folder of everything that is built: `CARGO_TARGET_DIR`, or `target/` in the workspace.
pub(crate) fn target() -> io::Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => path::absolute(dir),
        None => Ok(root().canonicalize()?.join("target")),
    }
}

/// Has cargo build `target` by these arguments, and says where its executable is.
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
    found.with_context(|| format!("cargo does not say where it has put {target}"))
}

/// The names and places of the executables of which cargo tells in its JSON messages, a line each.
pub(crate) fn executables(messages: &[u8]) -> impl Iterator<Item = (String, PathBuf)> {
    let lines = messages.split(|&byte| byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    artifacts.filter_map(|artifact| Some((artifact.target.name, artifact.executable?)))
}

/// What cargo says of a thing that it has built.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
