//! Installs the testsuite in a virtualenv of Python 2.7, with pinned packages.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::succeeds;

/// The Python packages of the suite, with their versions.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The package that creates the virtualenv: the last release that is one wheel without dependencies, with the last pip
/// for Python 2.7.
const VIRTUALENV: &str = "virtualenv==16.7.12";

/// Returns the interpreter in `AUTOBAHN_PYTHON`, or else Python 2.7 from the path or from pyenv.
pub(super) fn find_python() -> Result<Option<OsString>> {
    let is_python_2_7 = |python: &OsString| {
        let check = "import sys; sys.exit(sys.version_info[:2] != (2, 7))";
        succeeds(Command::new(python).args(["-c", check]))
    };
    if let Some(python) = env::var_os("AUTOBAHN_PYTHON") {
        ensure!(is_python_2_7(&python), "AUTOBAHN_PYTHON={} is not Python 2.7", python.display());
        return Ok(Some(python));
    }
    let pyenv = Command::new("pyenv").args(["prefix", "2.7.18"]).output().ok();
    let from_pyenv = pyenv.filter(|output| output.status.success()).map(|output| {
        let prefix = String::from_utf8_lossy(&output.stdout);
        Path::new(prefix.trim()).join("bin/python").into_os_string()
    });
    // pyenv also has a `python2.7` on the path, which fails unless the version is selected.
    Ok([OsString::from("python2.7")].into_iter().chain(from_pyenv).find(is_python_2_7))
}

/// Installs the suite in a virtualenv below `dir`, unless the same packages are installed. Returns the interpreter.
pub(super) fn install(python: &OsStr, dir: &Path) -> Result<PathBuf> {
    let venv = dir.join("virtualenv");
    let interpreter = venv.join("bin/python");
    let stamp = venv.join("requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == REQUIREMENTS.as_bytes()) {
        return Ok(interpreter);
    }
    eprintln!("installing the Autobahn testsuite in {}", venv.display());
    let requirements = dir.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let log = dir.join("install.log");
    build(python, &venv, &requirements, &File::create(&log)?).with_context(|| {
        format!(
            "cannot install the Autobahn testsuite: this needs the network, a C compiler and the headers of Python \
             2.7; see {}",
            log.display()
        )
    })?;
    // Last, so that an incomplete installation is repeated.
    fs::rename(&requirements, &stamp)?;
    Ok(interpreter)
}

fn build(python: &OsStr, venv: &Path, requirements: &Path, log: &File) -> Result<()> {
    let installer = venv.with_extension("installer");
    remove(&installer)?;
    remove(venv)?;

    let pip = ["-m", "pip", "--disable-pip-version-check"];
    let install = ["install", "--no-deps"];
    run(Command::new(python).args(pip).args(install).args([VIRTUALENV, "--target"]).arg(&installer), log)?;
    let virtualenv = ["-m", "virtualenv", "--no-download"];
    run(Command::new(python).args(virtualenv).arg(venv).env("PYTHONPATH", &installer), log)?;
    remove(&installer)?;

    let python = venv.join("bin/python");
    run(Command::new(&python).args(pip).args(install).arg("--requirement").arg(requirements), log)?;
    run(Command::new(&python).args(pip).arg("check"), log)
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn run(command: &mut Command, log: &File) -> Result<()> {
    let status = command.stdout(log.try_clone()?).stderr(log.try_clone()?).status()?;
    ensure!(status.success(), "{}: {status}", command.get_program().display());
    Ok(())
}
