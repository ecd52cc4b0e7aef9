//! Finds or installs the Autobahn testsuite, and runs it.
//!
//! The suite needs Python 2.7, or Docker. Neither way changes anything outside the given folder.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{self, Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::install;
use crate::certificate;
use crate::workspace::succeeds;

/// The Docker image with the release of the suite in `requirements.txt`.
const IMAGE: &str = "crossbario/autobahn-testsuite:0.8.2";

/// The installed testsuite.
#[derive(Debug)]
pub(crate) struct Suite {
    dir: PathBuf,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    /// The interpreter of a virtualenv with the suite.
    Python(PathBuf),
    Docker,
}

/// The mode of `wstest`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Tests a server.
    FuzzingClient,
    /// Tests a client.
    FuzzingServer { is_over_tls: bool },
}

impl Suite {
    /// Finds the suite, or installs it below `dir`, to which all runs write.
    pub(crate) fn prepare(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let engine = if let Some(python) = install::find_python()? {
            Engine::Python(install::install(&python, &dir)?)
        } else if succeeds(Command::new("docker").arg("info")) {
            pull()?;
            Engine::Docker
        } else {
            bail!(
                "the Autobahn testsuite needs Python 2.7 or Docker: run `pyenv install 2.7.18`, or set AUTOBAHN_PYTHON to \
                 an interpreter, or start Docker"
            );
        };
        Ok(Self { dir, engine })
    }

    /// Returns the folder of reports of the run `name`.
    pub(crate) fn reports(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts `wstest` with `spec` for the run `name`, and removes earlier reports of that run. The output of `wstest`
    /// goes to a file beside the folder of reports.
    pub(crate) fn start(&self, name: &str, mode: Mode, mut spec: Value) -> Result<Wstest> {
        let reports = self.reports(name);
        if reports.exists() {
            fs::remove_dir_all(&reports)?;
        }
        fs::create_dir(&reports)?;
        // Relative to `dir`, which has another path in a container.
        spec["outdir"] = name.into();
        if let Mode::FuzzingServer { is_over_tls: true } = mode {
            let (certificate, key) = (format!("{name}.cert.pem"), format!("{name}.key.pem"));
            certificate::write_pem(&self.dir.join(&certificate), &self.dir.join(&key))?;
            (spec["cert"], spec["key"]) = (certificate.into(), key.into());
        }
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
                // The path of the interpreter in the first line of wstest may be too long for the kernel, so Python
                // runs the file. Unbuffered (-u), so that the log is up to date.
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
            Self::FuzzingServer { .. } => "fuzzingserver",
        }
    }
}

/// A running `wstest`, which is killed when dropped.
#[derive(Debug)]
pub(crate) struct Wstest {
    child: Child,
    /// The name of the container, which killing Docker's client does not end.
    container: Option<String>,
    log: PathBuf,
}

impl Wstest {
    /// Returns the exit status, if it has exited.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for wstest")
    }

    /// Returns the size of its log, in bytes.
    pub(crate) fn log_size(&self) -> Result<u64> {
        Ok(fs::metadata(&self.log)?.len())
    }

    /// Describes the last line of its log, with the path of the log.
    pub(crate) fn last_line(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let line = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        format!("the last line of its log: {} ({})", line.trim(), self.log.display())
    }
}

impl Drop for Wstest {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            succeeds(Command::new("docker").args(["rm", "--force", container]));
        }
        // Both fail only if the process has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pulls the image, which may take longer than the time limit for starting a run.
fn pull() -> Result<()> {
    if succeeds(Command::new("docker").args(["image", "inspect", IMAGE])) {
        return Ok(());
    }
    let status = Command::new("docker").args(["pull", IMAGE]).status()?;
    ensure!(status.success(), "cannot pull {IMAGE}: {status}");
    Ok(())
}
