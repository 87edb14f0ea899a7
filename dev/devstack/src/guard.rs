//! Processes that end with their owner, however the owner ends.
//!
//! A process starts as a small shell that forks a watcher and then executes the server, so the process id that the owner
//! knows is the server's. The watcher reads from a pipe whose only write end belongs to the owner. The kernel closes
//! that end even after SIGKILL; then the watcher kills the server and removes its scratch directory. (`PDEATHSIG` would
//! not do: it follows the thread that spawned the process, and test threads end early.)
//!
//! If the server has ended before, the watcher has another parent and does nothing: it neither kills a process that got
//! the old id, nor removes data that a restart needs.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;

const POLL: Duration = Duration::from_millis(10);
const TAIL_LINES: usize = 20;

/// `sh -c WRAPPER devstack SCRATCH PROGRAM ARGS…`; the pipe from the owner is stdin. The watcher ignores signals,
/// because the kernel sends SIGHUP to a process group with a paused process when its owner dies.
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

/// A command that runs `program` with a watcher, to be completed and passed to [`Guard::spawn`]. `scratch` is removed if
/// the owner is killed.
#[must_use]
pub fn guarded(program: &Path, scratch: Option<&Path>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WRAPPER, "devstack"]);
    command.arg(scratch.map_or(OsStr::new(""), Path::as_os_str)).arg(program);
    command
}

/// A running process that is killed when this is dropped or its owner ends.
#[derive(Debug)]
pub struct Guard {
    child: Mutex<Child>,
    pid: u32,
    log: PathBuf,
    /// The write end of the watcher's pipe. Nothing is written to it.
    _pipe: ChildStdin,
}

impl Guard {
    /// Starts a command made by [`guarded`]; its output is appended to `log`.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("cannot open the log {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C in the terminal reaches only the owner, which then ends its processes.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let pipe = child.stdin.take().context("the pipe to the watcher is missing")?;
        Ok(Self { pid: child.id(), child: Mutex::new(child), log: log.to_owned(), _pipe: pipe })
    }

    /// The process id of the server itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The output so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends SIGKILL and waits for the end. Does nothing if the process has ended.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child.lock();
        child.kill().with_context(|| format!("cannot kill process {}", self.pid))?;
        child.wait()?;
        Ok(())
    }

    /// Sends SIGSTOP: connections stay open, but nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.signal("STOP", &[])
    }

    /// Sends SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT", &[])
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM", &[])
    }

    /// Sends SIGINT, as Ctrl-C in a terminal does.
    pub fn interrupt(&self) -> Result<()> {
        self.signal("INT", &[])
    }

    /// Waits for the end and returns the exit code, or `None` after a signal. Fails if it takes longer than `limit`.
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

    /// Polls `probe` until it returns true. Fails with the end of the log if the process ends or `limit` is over.
    pub(crate) async fn ready<F>(&self, limit: Duration, probe: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                bail!("it ended during its start ({status}){}", self.tail());
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

    /// Sends a signal to the process and to others, which it has started.
    pub(crate) fn signal(&self, name: &str, others: &[u32]) -> Result<()> {
        let mut child = self.child.lock();
        if let Some(status) = child.try_wait()? {
            bail!("process {} has ended ({status})", self.pid);
        }
        // While the lock is held, the process is not reaped, so its id is not reused.
        let status = Command::new("/bin/sh")
            .args(["-c", r#"kill -"$0" "$@""#, name])
            .args([self.pid].iter().chain(others).map(u32::to_string))
            .stderr(Stdio::null())
            .status()?;
        // The others may have ended meanwhile.
        if !status.success() && others.is_empty() {
            bail!("cannot send SIG{name} to process {}", self.pid);
        }
        Ok(())
    }

    /// Sends a signal that ends the process, and SIGKILL after `timeout`.
    pub(crate) fn stop(&self, signal: &str, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let is_sent = self.signal(signal, &[]).is_ok();
        while is_sent && matches!(self.exited(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        // Called on drop, where errors cannot be handled.
        let _ = self.kill();
    }

    /// The end of the log, to be appended to an error message.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("; {} ends with:\n{}", self.log.display(), last.join("\n"))
    }

    fn exited(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child.lock().try_wait()?)
    }
}

impl Drop for Guard {
    /// The process ends before the pipe is closed, so the watcher has nothing to do.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The path of a program in `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
