//! A `psql` session that replaces the tables and verifies their rows before it commits.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{ChildStdin, ChildStdout},
    thread,
};

use anyhow::{Context, Result, bail};

use super::programs::{Program, Running};
use crate::operations::{
    backup::{
        archive::Archive,
        checksum::{Rows, Tables},
    },
    schema::TABLES,
};

/// Copies a table's rows as JSON, whose format does not depend on settings of the server or the role.
pub(super) fn copy_rows(table: &str) -> String {
    format!("COPY (SELECT row_to_json(t) FROM \"{table}\" t) TO STDOUT")
}

/// A running `psql`. It exits at the first error; ending without COMMIT rolls back.
pub(super) struct Session {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    running: Running,
}

impl Session {
    pub(super) fn start(psql: &Program) -> Result<Self> {
        let format = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"];
        let (input, output, running) =
            psql.start(&[&format[..], &["--file=-", "--dbname", &psql.url]].concat())?;
        Ok(Self { input, output, running })
    }

    pub(super) fn replace(&mut self, archive: &Archive, pg_restore: &Program) -> Result<()> {
        let tables = &archive.manifest.tables;
        // A newer release may have tables that the backup does not.
        let newer = TABLES.into_iter().filter(|name| !tables.contains_key(*name));
        let names: Vec<_> = tables.keys().map(String::as_str).chain(newer).collect();
        let quoted = |quote: char| {
            names.iter().map(|name| format!("{quote}{name}{quote}")).collect::<Vec<_>>().join(", ")
        };
        // The functions of triggers, and the one of bookings, would outlive their tables.
        self.send(&format!(
            "\\o /dev/null\nSET TIME ZONE 'UTC'; SET lock_timeout = '10s'; BEGIN;
             DO $$ DECLARE f regprocedure; BEGIN
                 FOR f IN SELECT DISTINCT tgfoid::regprocedure FROM pg_trigger WHERE NOT tgisinternal
                     AND tgrelid IN (SELECT to_regclass(name) FROM unnest(ARRAY[{}]) AS name)
                     UNION SELECT oid::regprocedure FROM pg_proc
                     WHERE pronamespace = current_schema()::regnamespace AND proname = 'walk_in_start'
                 LOOP EXECUTE 'DROP FUNCTION ' || f || ' CASCADE'; END LOOP;
             END $$;
             DROP TABLE IF EXISTS {} CASCADE;\n",
            quoted('\''),
            quoted('"')
        ))?;
        unpack(pg_restore, archive.body()?, &mut self.input)?;
        self.send("RESET search_path;\n\\o\n")?;
        let mut restored = Tables::new();
        for name in tables.keys() {
            restored.insert(name.clone(), self.checksum(name)?);
        }
        archive.manifest.verify(&restored)?;
        self.send("COMMIT;\n")
    }

    fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.input.write_all(text.as_bytes())?)
    }

    /// Reads a table's rows, which are printed between two lines that contain only `=`.
    fn checksum(&mut self, table: &str) -> Result<Rows> {
        self.send(&format!("\\echo =\n{};\n\\echo =\n", copy_rows(table)))?;
        let (mut rows, mut line, mut marks) = (Rows::default(), Vec::new(), 0);
        while marks < 2 {
            line.clear();
            if self.output.read_until(b'\n', &mut line)? == 0 {
                bail!("psql exited early");
            }
            match line.trim_ascii_end() {
                b"=" => marks += 1,
                row => rows.add(row),
            }
        }
        Ok(rows)
    }

    pub(super) fn end(mut self) -> Result<()> {
        drop(self.input);
        io::copy(&mut self.output, &mut io::sink())?;
        self.running.finish().context("the database was not changed")
    }
}

/// Converts an archive of `pg_dump` to SQL.
fn unpack(pg_restore: &Program, mut body: impl Read + Send, out: &mut dyn Write) -> Result<()> {
    let arguments = ["--no-owner", "--no-acl", "--no-comments", "--file=-"];
    let (mut input, mut output, running) = pg_restore.start(&arguments)?;
    let copied = thread::scope(|scope| {
        scope.spawn(move || io::copy(&mut body, &mut input));
        let copied = io::copy(&mut output, out);
        // Stops pg_restore if the copy failed, so that the thread ends.
        drop(output);
        copied
    });
    let finished = running.finish();
    copied.context("psql stopped reading")?;
    finished
}
