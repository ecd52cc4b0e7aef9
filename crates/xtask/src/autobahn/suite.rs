//! The Autobahn testsuite itself: found or installed, and run.
//!
//! It needs Python 2.7, which few machines still have, so a container is the way out. Neither
//! changes anything outside the folder given here.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{self, Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::install;

/// The release of the suite that `requirements.txt` names, for where there is no Python 2.7.
const IMAGE: &str = "crossbario/autobahn-testsuite:0.8.2";

/// The testsuite, ready to run in its folder.
#[derive(Debug)]
pub(crate) struct Suite {
    dir: PathBuf,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    /// The interpreter of a virtualenv that has the suite.
    Python(PathBuf),
    Docker,
}

/// What `wstest` is told to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// It tests a server.
    FuzzingClient,
    /// It tests a client.
    FuzzingServer,
}

impl Suite {
    /// Finds the suite, or installs it below `dir`, the folder that all runs write to.
    pub(crate) fn prepare(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let engine = if let Some(python) = install::find_python()? {
            Engine::Python(install::install(&python, &dir)?)
        } else if succeeds(Command::new("docker").arg("info")) {
            pull()?;
            Engine::Docker
        } else {
            bail!(
                "the Autobahn testsuite needs Python 2.7 or Docker, and neither is here: \
                 `pyenv install 2.7.18`, or name an interpreter in AUTOBAHN_PYTHON, or start Docker"
            );
        };
        Ok(Self { dir, engine })
    }

    /// The folder of the reports of the run called `name`.
    pub(crate) fn reports(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts `wstest` with `spec` for a run called `name`, whose earlier reports are removed.
    ///
    /// What it prints goes to a file beside the folder of its reports.
    pub(crate) fn start(&self, name: &str, mode: Mode, mut spec: Value) -> Result<Wstest> {
        let reports = self.reports(name);
        if reports.exists() {
            fs::remove_dir_all(&reports)?;
        }
        fs::create_dir(&reports)?;
        // Relative to `dir`, which has another name in a container.
        spec["outdir"] = name.into();
        let spec_name = format!("{name}.spec.json");
        fs::write(self.dir.join(&spec_name), format!("{spec:#}\n"))?;

        let log = self.dir.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let container = format!("sansocket-autobahn-{name}-{}", process::id());
        let child = self
            .wstest(&container)
            // No web server beside the fuzzing server.
            .args(["--mode", mode.name(), "--spec", &spec_name, "--webport", "0"])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start wstest")?;
        let container = matches!(self.engine, Engine::Docker).then_some(container);
        Ok(Wstest { child, container, log })
    }

    fn wstest(&self, container: &str) -> Command {
        match &self.engine {
            Engine::Python(python) => {
                let mut command = Command::new(python);
                // Named as a file because the path in its first line may be longer than the kernel
                // allows there. Unbuffered (-u) so that the log tells where it is.
                command.arg("-u").arg(python.with_file_name("wstest"));
                command
            }
            Engine::Docker => {
                let mut volume = self.dir.clone().into_os_string();
                volume.push(":/autobahn");
                let mut command = Command::new("docker");
                command
                    .args(["run", "--rm", "--network", "host", "--name", container])
                    .args(["--workdir", "/autobahn", "--volume"])
                    .arg(volume)
                    .args(["--env", "PYTHONUNBUFFERED=1", IMAGE, "wstest"]);
                command
            }
        }
    }
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::FuzzingClient => "fuzzingclient",
            Self::FuzzingServer => "fuzzingserver",
        }
    }
}

/// A running `wstest`; ended when dropped.
#[derive(Debug)]
pub(crate) struct Wstest {
    child: Child,
    /// Killing docker's client does not end the container, so that has a name.
    container: Option<String>,
    log: PathBuf,
}

impl Wstest {
    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for wstest")
    }

    /// The last thing that it said, and where the rest is.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let line = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        format!("it said last: {} ({})", line.trim(), self.log.display())
    }
}

impl Drop for Wstest {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            succeeds(Command::new("docker").args(["rm", "--force", container]));
        }
        // Either fails only if it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fetches the image, which takes longer than a run may take to start.
fn pull() -> Result<()> {
    if succeeds(Command::new("docker").args(["image", "inspect", IMAGE])) {
        return Ok(());
    }
    let status = Command::new("docker").args(["pull", IMAGE]).status()?;
    ensure!(status.success(), "cannot pull {IMAGE}: {status}");
    Ok(())
}

/// Whether a command that nobody reads runs and succeeds.
pub(super) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
