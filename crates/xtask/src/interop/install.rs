//! Finds the peers' programs, and installs what the scripts import below `target/interop`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::peer::{Peer, Runner};
use crate::workspace::{self, output, succeeds};

/// The files of the scripts.
const SCRIPTS: [&str; 7] =
    ["package.json", "page.html", "peer.mjs", "peer.py", "requirements.txt", "workload.mjs", "workload.py"];

/// The names of Chromium and of browsers with the same command line.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A peer, found or installed.
type Found = Result<Option<Peer>>;

/// Finds or installs a peer, with the folder of the scripts. Returns `None` if the machine lacks a program for it.
pub(super) type Install = fn(&Path) -> Found;

/// Copies the scripts to `target/interop`, where the imports of Node find `node_modules`. Returns that folder.
pub(super) fn copy_scripts() -> Result<PathBuf> {
    let folder = workspace::target()?.join("interop");
    fs::create_dir_all(&folder)?;
    for script in SCRIPTS {
        let source = workspace::root().join("crates/cli/tests/interop").join(script);
        fs::copy(&source, folder.join(script)).with_context(|| format!("cannot copy {}", source.display()))?;
    }
    Ok(folder)
}

/// Installs Node's `ws`. Returns `None` without Node and npm.
pub(super) fn ws(folder: &Path) -> Found {
    let has = |program| succeeds(Command::new(program).arg("--version"));
    if !has("node") || !has("npm") {
        return Ok(None);
    }
    let install = ["install", "--no-package-lock", "--no-audit", "--no-fund"];
    once(folder, "package.json", &mut [Command::new("npm").args(install)])?;
    let script = "console.log(JSON.parse(fs.readFileSync('node_modules/ws/package.json')).version, process.version)";
    let versions = output(Command::new("node").args(["-e", script]).current_dir(folder))?;
    let runner = Runner::Script { interpreter: "node".into(), script: "peer.mjs" };
    Ok(Some(Peer { version: format!("ws {}", versions.trim().replace(' ', ", Node ")), runner }))
}

/// Installs Python's `websockets` in a virtual environment. Returns `None` without Python 3.11 or later.
pub(super) fn websockets(folder: &Path) -> Found {
    let check = "import sys, venv; sys.exit(sys.version_info < (3, 11))";
    if !succeeds(Command::new("python3").args(["-c", check])) {
        return Ok(None);
    }
    let interpreter = folder.join("venv/bin/python");
    let venv = ["-m", "venv", "--clear", "venv"];
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"];
    let mut commands = [Command::new("python3"), Command::new(&interpreter)];
    let [create, install] = &mut commands;
    once(folder, "requirements.txt", &mut [create.args(venv), install.args(pip)])?;
    let script = "import platform, websockets; print(websockets.__version__, platform.python_version())";
    let versions = output(Command::new(&interpreter).args(["-c", script]))?;
    let runner = Runner::Script { interpreter, script: "peer.py" };
    Ok(Some(Peer { version: format!("websockets {}", versions.trim().replace(' ', ", Python ")), runner }))
}

/// Finds a browser. Returns `None` if there is none.
pub(super) fn browser(_: &Path) -> Found {
    let version = |&browser: &&'static str| Some((browser, output(Command::new(browser).arg("--version")).ok()?));
    let found = BROWSERS.iter().find_map(version);
    Ok(found.map(|(browser, version)| Peer { version: version.trim().to_owned(), runner: Runner::Browser(browser) }))
}

/// Runs commands that install what the file `requirements` names, unless they have succeeded for the same contents.
fn once(folder: &Path, requirements: &str, commands: &mut [&mut Command]) -> Result<()> {
    let contents = fs::read(folder.join(requirements))?;
    let stamp = folder.join(format!("{requirements}.installed"));
    if fs::read(&stamp).is_ok_and(|installed| installed == contents) {
        return Ok(());
    }
    for command in commands {
        output(command.current_dir(folder))?;
    }
    Ok(fs::write(stamp, contents)?)
}
