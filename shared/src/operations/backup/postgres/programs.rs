//! Finds and runs PostgreSQL's client programs: `pg_dump`, `pg_restore` and `psql`.

use std::{
    io::{BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, ensure};
use percent_encoding::percent_decode_str;
use url::Url;

/// Where Debian installs the programs, one folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A program and the database it connects to.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// Without the password, which would be visible in the process list.
    pub(super) url: String,
    password: Option<String>,
}

/// A running program.
#[derive(Debug)]
pub(super) struct Running {
    name: &'static str,
    child: Child,
    stderr: JoinHandle<String>,
}

impl Program {
    pub(super) fn find(name: &'static str, url: &str) -> Result<Self> {
        let (url, password) = without_password(url)?;
        Ok(Self { name, path: find(name)?, url, password })
    }

    /// Starts the program. Returns its standard input and output, and the process to wait for.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<(ChildStdin, BufReader<ChildStdout>, Running)> {
        let mut command = Command::new(&self.path);
        command.args(arguments).envs(self.password.iter().map(|password| ("PGPASSWORD", password)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.path.display()))?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).ok();
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        Ok((input, BufReader::new(output), Running { name: self.name, child, stderr }))
    }
}

impl Running {
    /// Waits for the program to exit; a failure is described by what it wrote to standard error.
    pub(super) fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        let errors = self.stderr.join().unwrap_or_default();
        ensure!(status.success(), "{}: {errors}", self.name);
        Ok(())
    }
}

/// Searches `PATH`, then Debian's folders from the newest version on.
fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    let folders = std::env::split_paths(&path).chain(debian.into_iter().map(|(_, folder)| folder));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file()).with_context(|| {
        format!("{name} was not found in PATH or under {DEBIAN}; install the package postgresql-client")
    })
}

/// Splits a URL into the URL without its password and the decoded password.
fn without_password(url: &str) -> Result<(String, Option<String>)> {
    let mut url = Url::parse(url).context("invalid PostgreSQL URL")?;
    let password = url.password().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    // Fails only for URLs without a host, which have no password.
    url.set_password(None).ok();
    Ok((url.into(), password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_removed_from_any_url() {
        for (url, shown, password) in [
            ("postgres://u:p@h:5432/db?sslmode=require", "postgres://u@h:5432/db?sslmode=require", Some("p")),
            ("postgres://u:a%40b%3a%25c@h/db", "postgres://u@h/db", Some("a@b:%c")),
            ("postgres://u:a@b@h/db", "postgres://u@h/db", Some("a@b")),
            ("postgres://u:100%@h", "postgres://u@h", Some("100%")),
            ("postgres://u@h/db", "postgres://u@h/db", None),
            ("postgres://h/a:b@c", "postgres://h/a:b@c", None),
        ] {
            let expected = (shown.to_owned(), password.map(ToOwned::to_owned));
            assert_eq!(without_password(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = find("pg_dump_that_nobody_has").unwrap_err().to_string();
        assert!(error.contains("pg_dump_that_nobody_has") && error.contains("postgresql-client"), "{error}");
    }
}
