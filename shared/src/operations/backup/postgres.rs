//! PostgreSQL: `pg_dump` on a snapshot that we have read, too; restored by `psql` in one transaction, which is committed only
//! when every row has arrived.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use sea_orm::sqlx::{self, Connection, PgConnection};

use super::{
    MIGRATIONS, Manifest, Rows, Tables,
    archive::{self, Archive},
    compare,
};
use crate::platform::db::Db;

pub(super) const TABLES: &str =
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename";

/// Where Debian puts the programs, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The rows of a table as both sides spell them, whatever formats a server or a role is set to.
fn rows_of(table: &str) -> String {
    format!("COPY (SELECT row_to_json(t) FROM \"{table}\" t) TO STDOUT")
}

pub(super) async fn create(db: &Db, url: &str, mut manifest: Manifest, file: &Path) -> Result<Manifest> {
    let dump = Client::named("pg_dump", url)?;
    let names = super::tables(db).await?;
    ensure!(names.iter().any(|name| name == MIGRATIONS), "there is no schema in the database");
    let mut connection = db.read().postgres_pool().acquire().await?.detach();
    sqlx::raw_sql(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
         SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0",
    )
    .execute(&mut connection)
    .await?;
    let snapshot: String =
        sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut connection).await?;
    let schema = sqlx::query_scalar("SELECT version FROM seaql_migrations ORDER BY version");
    manifest.schema = schema.fetch_all(&mut connection).await?;
    for name in names {
        let rows = read(&mut connection, &name).await?;
        manifest.tables.insert(name, rows);
    }
    let file = file.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        archive::write(&file, &manifest, |out| dump.dump(&snapshot, out))?;
        Ok(manifest)
    });
    let written = written.await?;
    connection.close().await.ok();
    written
}

async fn read(connection: &mut PgConnection, table: &str) -> Result<Rows> {
    let mut rows = Rows::default();
    let mut lines = connection.copy_out_raw(&rows_of(table)).await?;
    // PostgreSQL sends a message for each row.
    while let Some(line) = lines.try_next().await? {
        rows.add(line.trim_ascii_end());
    }
    Ok(rows)
}

pub(super) async fn restore(archive: Archive, url: &str) -> Result<()> {
    let (unpack, psql) = (Client::named("pg_restore", url)?, Client::named("psql", url)?);
    ensure!(is_unused(url).await?, "a process uses the database: stop the API and all workers first");
    tokio::task::spawn_blocking(move || replace(&archive, &unpack, &psql)).await??;
    let db = Db::connect(url, 1).await?;
    db.migrate().await.context("the data is restored, but its schema cannot be brought up to date")?;
    db.close().await;
    Ok(())
}

/// Whether no process of ours is connected. One that has just ended, or what this one had opened, may take a moment to be gone.
async fn is_unused(url: &str) -> Result<bool> {
    let mut own = PgConnection::connect(url).await.context("cannot connect to PostgreSQL")?;
    let text = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'parkade' AND pid <> pg_backend_pid()";
    let mut others: i64 = 1;
    for _ in 0..20 {
        others = sqlx::query_scalar(text).fetch_one(&mut own).await?;
        if others == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    own.close().await?;
    Ok(others == 0)
}

fn replace(archive: &Archive, unpack: &Client, psql: &Client) -> Result<()> {
    let mut session = Session::start(psql)?;
    // Without COMMIT the end of its input rolls back. If psql itself has failed, its own words say why.
    match (session.replace(archive, unpack), session.end()) {
        (Ok(()), ended) => ended,
        (Err(_), Err(said)) => Err(said),
        (Err(error), Ok(())) => Err(error),
    }
}

/// A running `psql`, which ends, and rolls back, at the first error.
struct Session {
    child: Child,
    to: ChildStdin,
    from: BufReader<std::process::ChildStdout>,
    errors: thread::JoinHandle<String>,
}

impl Session {
    fn start(psql: &Client) -> Result<Self> {
        let mut command = psql.command();
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]);
        command.args(["--file=-", "--dbname", &psql.url]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let to = child.stdin.take().context("psql has no input")?;
        let from = BufReader::new(child.stdout.take().context("psql has no output")?);
        let errors = said(&mut child);
        Ok(Self { child, to, from, errors })
    }

    /// Everything from dropping the old tables to comparing the new ones is one transaction.
    fn replace(&mut self, archive: &Archive, unpack: &Client) -> Result<()> {
        let tables = &archive.manifest.tables;
        let ours = super::TABLES.into_iter().filter(|name| !tables.contains_key(*name));
        let dropped = tables.keys().map(String::as_str).chain(ours).map(|name| format!("\"{name}\""));
        let dropped = dropped.collect::<Vec<_>>().join(", ");
        self.say(&format!(
            "\\o /dev/null\nSET TIME ZONE 'UTC'; SET lock_timeout = '10s'; BEGIN;
             DROP TABLE IF EXISTS {dropped} CASCADE;\n"
        ))?;
        unpack.unpack(archive.body()?, self)?;
        self.say("RESET search_path;\n\\o\n")?;
        let mut found = Tables::new();
        for name in tables.keys() {
            self.say(&format!("\\echo =\n{};\n\\echo =\n", rows_of(name)))?;
            found.insert(name.clone(), self.rows()?);
        }
        compare(&archive.manifest, &found)?;
        self.say("COMMIT;\n")
    }

    fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.to.write_all(text.as_bytes())?)
    }

    /// Rows between two lines of nothing but `=`.
    fn rows(&mut self) -> Result<Rows> {
        let (mut rows, mut line, mut marks) = (Rows::default(), Vec::new(), 0);
        while marks < 2 {
            line.clear();
            if self.from.read_until(b'\n', &mut line)? == 0 {
                bail!("psql has ended");
            }
            match line.trim_ascii_end() {
                b"=" => marks += 1,
                row => rows.add(row),
            }
        }
        Ok(rows)
    }

    fn end(mut self) -> Result<()> {
        drop(self.to);
        io::copy(&mut self.from, &mut io::sink())?;
        let status = self.child.wait()?;
        let errors = self.errors.join().unwrap_or_default();
        ensure!(status.success(), "psql: {errors}; the database is as it was before");
        Ok(())
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A program of PostgreSQL, and the database for it.
#[derive(Debug)]
struct Client {
    program: PathBuf,
    /// Without the password, which every user of the machine could see in the list of processes.
    url: String,
    password: Option<String>,
}

impl Client {
    fn named(name: &str, url: &str) -> Result<Self> {
        let (url, password) = without_password(url);
        Ok(Self { program: find(name)?, url, password })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        command
    }

    fn dump(&self, snapshot: &str, out: &mut dyn Write) -> Result<()> {
        let mut command = self.command();
        command.args([
            "--format=custom",
            "--no-owner",
            "--no-acl",
            "--snapshot",
            snapshot,
            "--dbname",
            &self.url,
        ]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let errors = said(&mut child);
        let copied = io::copy(&mut child.stdout.take().context("pg_dump has no output")?, out);
        let status = child.wait()?;
        ensure!(status.success(), "pg_dump: {}", errors.join().unwrap_or_default());
        copied?;
        Ok(())
    }

    /// Turns an archive of `pg_dump` into statements.
    fn unpack(&self, mut body: impl Read + Send, out: &mut dyn Write) -> Result<()> {
        let mut command = self.command();
        command.args(["--no-owner", "--no-acl", "--no-comments", "--file=-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let errors = said(&mut child);
        let mut to = child.stdin.take().context("pg_restore has no input")?;
        let mut from = child.stdout.take().context("pg_restore has no output")?;
        let copied = thread::scope(|scope| {
            scope.spawn(move || io::copy(&mut body, &mut to));
            let copied = io::copy(&mut from, out);
            drop(from);
            copied
        });
        let status = child.wait()?;
        copied.context("psql takes no more")?;
        ensure!(status.success(), "pg_restore: {}", errors.join().unwrap_or_default());
        Ok(())
    }
}

/// What a program has to complain about, read while it runs.
fn said(child: &mut Child) -> thread::JoinHandle<String> {
    let stderr = child.stderr.take();
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            stderr.read_to_string(&mut text).ok();
        }
        text.trim().to_owned()
    })
}

/// The program in `PATH`, or the newest of Debian's.
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
    let mut programs = folders.map(|folder| folder.join(name));
    programs.find(|program| program.is_file()).with_context(|| {
        format!("{name} is neither in PATH nor below {DEBIAN}: install the package postgresql-client")
    })
}

/// The URL without its password, and the password.
fn without_password(url: &str) -> (String, Option<String>) {
    let parts = || {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (login, host) = rest[..end].rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        Some((format!("{scheme}://{user}@{host}{}", &rest[end..]), decoded(password)))
    };
    parts().map_or_else(|| (url.to_owned(), None), |(url, password)| (url, Some(password)))
}

/// Text with `%41` for `A`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, code.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
            assert_eq!(without_password(url), (shown.to_owned(), password.map(ToOwned::to_owned)), "{url}");
        }
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = find("pg_dump_that_nobody_has").unwrap_err().to_string();
        assert!(error.contains("pg_dump_that_nobody_has") && error.contains("postgresql-client"), "{error}");
    }
}
