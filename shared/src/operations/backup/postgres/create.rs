//! Backs up PostgreSQL: `pg_dump` and the checksums read the same exported snapshot.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use sea_orm::sqlx::{self, Connection, PgConnection};

use super::{programs::Program, psql::copy_rows};
use crate::{
    operations::{
        backup::{
            archive::{self, Manifest},
            checksum::Rows,
            tables,
        },
        schema::APPLIED_MIGRATIONS,
    },
    platform::db::Db,
};

pub(in crate::operations::backup) async fn create(
    db: &Db,
    url: &str,
    mut manifest: Manifest,
    file: &Path,
) -> Result<Manifest> {
    let pg_dump = Program::find("pg_dump", url)?;
    let names = tables::names_of_migrated(db).await?;
    let mut connection = db.read().postgres_pool().acquire().await?.detach();
    sqlx::raw_sql(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
         SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0",
    )
    .execute(&mut connection)
    .await?;
    let snapshot: String =
        sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut connection).await?;
    manifest.schema = sqlx::query_scalar(APPLIED_MIGRATIONS).fetch_all(&mut connection).await?;
    for name in names {
        let rows = checksum(&mut connection, &name).await?;
        manifest.tables.insert(name, rows);
    }
    let file = file.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        archive::write(&file, &manifest, |out| dump(&pg_dump, &snapshot, out))?;
        Ok(manifest)
    });
    let written = written.await?;
    connection.close().await.ok();
    written
}

async fn checksum(connection: &mut PgConnection, table: &str) -> Result<Rows> {
    let mut rows = Rows::default();
    let mut lines = connection.copy_out_raw(&copy_rows(table)).await?;
    // PostgreSQL sends one message per row.
    while let Some(line) = lines.try_next().await? {
        rows.add(line.trim_ascii_end());
    }
    Ok(rows)
}

fn dump(pg_dump: &Program, snapshot: &str, out: &mut dyn Write) -> Result<()> {
    let format = ["--format=custom", "--no-owner", "--no-acl"];
    let source = ["--snapshot", snapshot, "--dbname", &pg_dump.url];
    let (_, mut output, running) = pg_dump.start(&[&format[..], &source].concat())?;
    let copied = io::copy(&mut output, out);
    // Stops pg_dump if the copy failed.
    drop(output);
    let finished = running.finish();
    copied.context("writing the backup")?;
    finished
}
