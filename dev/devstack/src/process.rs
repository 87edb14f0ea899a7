//! The built Parkade binaries as guarded processes with a clean environment.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::guard::{Guard, guarded};

/// A guarded process; it is killed when dropped.
pub type Process = Guard;

/// Starts built binaries.
#[derive(Debug)]
pub struct App;

impl App {
    /// Runs `binary` in `dir` and appends its output to `log`. Its environment is `PATH` and `HOME` of this process and
    /// `envs`, and nothing else.
    pub fn spawn<A, K, V>(
        binary: &Path,
        args: impl IntoIterator<Item = A>,
        envs: &[(K, V)],
        dir: &Path,
        log: &Path,
    ) -> Result<Process>
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        // A relative path would be resolved in `dir`.
        let binary = binary.canonicalize().with_context(|| format!("no binary at {}", binary.display()))?;
        let inherited = ["PATH", "HOME"].map(|name| std::env::var_os(name).map(|value| (name, value)));
        let mut command = guarded(&binary, None);
        command.args(args).current_dir(dir).env_clear().envs(inherited.into_iter().flatten());
        command.envs(envs.iter().map(|(key, value)| (key, value)));
        Guard::spawn(command, log)
    }
}

/// The memory use of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident memory.
    pub rss_bytes: u64,
    /// The largest resident memory so far.
    pub peak_bytes: u64,
}

impl Guard {
    /// From `/proc/PID/status`; fails if the process has ended.
    pub fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let bytes = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
            Ok(kilobytes.with_context(|| format!("{path} has no {name}"))?.parse::<u64>()? * 1024)
        };
        Ok(Memory { rss_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
    }

    /// The processor time so far, with a resolution of 10 ms, from `/proc/PID/stat`.
    pub fn processor_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // utime and stime are the 12th and 13th field after the name in parentheses.
        let (_, fields) = stat.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>().with_context(|| format!("{path} has no times"))?;
        Ok(Duration::from_millis(ticks * 10))
    }
}
