//! Servers that end with their owner, however the owner ends.
//!
//! A server starts as a small shell that leaves a watcher behind and then becomes the server, so the id the owner
//! knows is the server's own. The watcher blocks on the read end of a pipe whose only write end the owner holds:
//! the kernel closes it even when the owner gets SIGKILL, and the watcher kills the server and removes its scratch
//! directory. (`PDEATHSIG` would not do: it follows the thread that spawned, and test threads end early.)
//!
//! When the server is gone already, its watcher has another parent by then and touches nothing, neither a process
//! that got the old id nor data that a restart needs.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(10);
const TAIL_LINES: usize = 20;

/// `sh -c WRAPPER devstack SCRATCH PROGRAM ARGS…`; the pipe from the owner is stdin. The watcher ignores signals
/// because the kernel sends SIGHUP to a group that has a paused process when its owner dies.
const WRAPPER: &str = r#"
exec 3<&0 </dev/null
unset PWD OLDPWD SHLVL
scratch=$1
shift
{
    trap '' HUP INT QUIT TERM
    read -r _ <&3
    read -r _ _ _ parent _ </proc/self/stat
    if [ "$parent" = $$ ]; then
        kill -9 $$
        [ -z "$scratch" ] || { sleep 1; rm -rf -- "$scratch"; }
    fi
} &
exec "$@" 3<&-
"#;

/// The command that runs `program` with a watcher; add arguments, environment and directory, then
/// [`Guard::spawn`] it. `scratch` is the directory to remove when the owner is killed.
#[must_use]
pub fn guarded(program: &Path, scratch: Option<&Path>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WRAPPER, "devstack"]);
    command.arg(scratch.map_or(OsStr::new(""), Path::as_os_str)).arg(program);
    command
}

/// A running server that is killed when this is dropped or its owner dies.
#[derive(Debug)]
pub struct Guard {
    child: Mutex<Child>,
    pid: u32,
    log: PathBuf,
    /// The write end of the watcher's pipe; nothing is ever written.
    _leash: ChildStdin,
}

impl Guard {
    /// Starts a command made by [`guarded`]; its output is appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the process cannot be started.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("cannot open the log {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A Ctrl-C in the terminal is for the owner alone, who then ends its servers.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let leash = child.stdin.take().context("the pipe to the watcher is missing")?;
        Ok(Self { pid: child.id(), child: Mutex::new(child), log: log.to_owned(), _leash: leash })
    }

    /// The id of the server process itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything the server has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Kills the server with SIGKILL and returns when it is gone; fine when it has ended before.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("cannot kill process {}", self.pid))?;
        child.wait()?;
        Ok(())
    }

    /// Freezes the server (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal("STOP", &[])
    }

    /// Lets a paused server go on (SIGCONT).
    ///
    /// # Errors
    /// When the server has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT", &[])
    }

    /// Asks the server to end (SIGTERM); [`Guard::wait`] says when it has.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM", &[])
    }

    /// Does what Ctrl-C in a terminal does (SIGINT).
    ///
    /// # Errors
    /// When the server has ended.
    pub fn interrupt(&self) -> Result<()> {
        self.signal("INT", &[])
    }

    /// Waits for the server to end: its exit code, or `None` when a signal ended it.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn wait(&self, limit: Duration) -> Result<Option<i32>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status.code());
            }
            if Instant::now() >= deadline {
                bail!("process {} still runs after {limit:?}{}", self.pid, self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Polls `probe` until it holds; fails early, with the end of the log, when the server ends.
    pub(crate) async fn ready<F>(&self, limit: Duration, probe: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                bail!("it ended at start ({status}){}", self.tail());
            }
            if tokio::time::timeout(limit, probe()).await.unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("it is not ready after {limit:?}{}", self.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal to the server and, along with it, to processes of its own.
    pub(crate) fn signal(&self, name: &str, others: &[u32]) -> Result<()> {
        let mut child = self.child();
        if let Some(status) = child.try_wait()? {
            bail!("process {} has ended ({status})", self.pid);
        }
        // The lock keeps the process from being reaped, and its id from being given away, until the signal is sent.
        let status = Command::new("/bin/sh")
            .args(["-c", r#"kill -"$0" "$@""#, name])
            .args([self.pid].iter().chain(others).map(u32::to_string))
            .stderr(Stdio::null())
            .status()?;
        // One of the others may have ended meanwhile, which is no failure.
        if !status.success() && others.is_empty() {
            bail!("cannot send SIG{name} to process {}", self.pid);
        }
        Ok(())
    }

    /// Sends a signal that ends the server and gives it `patience` before SIGKILL.
    pub(crate) fn stop(&self, signal: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        let asked = self.signal(signal, &[]).is_ok();
        while asked && matches!(self.exited(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        // It may be gone by now; there is nobody to tell either way.
        let _ = self.kill();
    }

    /// The end of the log, ready to be appended to an error.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("; {} ends with:\n{}", self.log.display(), last.join("\n"))
    }

    fn exited(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    /// The server goes before the pipe does, so that the watcher finds nothing to do.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Where `PATH` has a program.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
