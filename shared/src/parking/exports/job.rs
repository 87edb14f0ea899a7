//! The job that writes an export: rows from the database, as CSV into a file, and a mail once it is ready.

use std::{io, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use csv::WriterBuilder;
use futures::TryStreamExt;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    csv::{self as cells, Format},
    download::download_url,
    file::{Facts, PartFile},
};
use crate::{
    base::error::{Error, Result},
    jobs::{Context, Done, Job, Progress, Queue},
    parking::{
        bookings::history::{self, Encoding, Filter},
        notifications,
    },
    platform::{
        db::{at, sql},
        entities::export,
    },
};

/// Writes the export that has the same id as the job.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportCsv {}

/// Approximate size in bytes of the batches that travel from the reading task to the writing thread.
const BATCH: usize = 64 * 1024;

/// Batches that may be in flight between the two.
const BATCHES: usize = 4;

impl Job for ExportCsv {
    const NAME: &'static str = "export-csv";
    const QUEUE: Queue = Queue::Exports;
    const TIMEOUT: Duration = Duration::from_hours(1);
    const MAX_ATTEMPTS: i64 = 5;

    async fn run(&self, context: &Context) -> Result<Done> {
        let app = &context.app;
        let export = export::Entity::find_by_id(context.id)
            .one(app.db.read())
            .await?
            .ok_or_else(|| Error::Permanent("the export no longer exists".into()))?;
        let Written { file, facts, rows } = write_file(context, &export).await?;
        record(context, &facts, rows, app.clock.now() + app.config.export_lifetime).await?;
        let mail = notifications::export_ready(context.id, export.user_id)?;
        let result = json!({
            "status": "success",
            "file": export.file_name,
            "download_url": download_url(context.id),
            "rows": rows,
            "bytes": facts.bytes,
            "sha256": facts.sha256,
        });
        // There is no await between this and the success, so a cancelled export never leaves a file behind.
        file.finish().map_err(write_error)?;
        Ok(Done::with(result).then(mail))
    }
}

/// A complete file under its temporary name.
struct Written {
    file: PartFile,
    facts: Facts,
    rows: i64,
}

/// Reads the rows in this task and writes them in a thread that may block.
async fn write_file(context: &Context, export: &export::Model) -> Result<Written> {
    let app = &context.app;
    let filter = Filter {
        user_id: (!export.everyone).then_some(export.user_id),
        from: export.from_at,
        until: export.until_at,
        lot_id: export.lot_id,
    };
    let anonymise = if export.anonymise {
        Some(app.config.jwt_secret().map_err(anyhow::Error::new)?.to_vec())
    } else {
        None
    };
    let format = Format { currency: app.config.currency, with_user: export.everyone, anonymise };
    context.progress.set(0, history::count(&app.db, &filter).await?);
    let file =
        PartFile::create(&app.config.upload_folder, context.id, Uuid::new_v4()).map_err(write_error)?;
    let (batches, received) = mpsc::channel(BATCHES);
    let (encoding, progress) = (history::encoding(app.db.engine()), context.progress.clone());
    let writing = tokio::task::spawn_blocking(move || write(file, &format, encoding, received, &progress));
    read(context, &filter, batches).await?;
    writing.await.context("the writing thread")?
}

/// Sends the lines in batches; returns early if the writer has given up.
async fn read(context: &Context, filter: &Filter, batches: mpsc::Sender<Vec<u8>>) -> Result<()> {
    let db = &context.app.db;
    let mut lines = history::lines(db, filter);
    let mut batch = Vec::with_capacity(2 * BATCH);
    while let Some(piece) = db.read().fail_fast(lines.try_next()).await? {
        batch.extend_from_slice(&piece);
        if batch.len() >= BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(2 * BATCH));
            if batches.send(full).await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = batches.send(batch).await;
    Ok(())
}

fn write(
    file: PartFile,
    format: &Format,
    encoding: Encoding,
    mut batches: mpsc::Receiver<Vec<u8>>,
    progress: &Progress,
) -> Result<Written> {
    let mut out = WriterBuilder::new().buffer_capacity(BATCH).from_writer(file);
    let mut rows = 0_i64;
    cells::write_header(&mut out, format).map_err(csv_error)?;
    while let Some(batch) = batches.blocking_recv() {
        for line in batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            cells::write_line(&mut out, format, encoding, line).map_err(csv_error)?;
            rows += 1;
        }
        progress.set(rows, progress.get().1.max(rows));
    }
    let file = out.into_inner().map_err(|error| write_error(error.error().kind().into()))?;
    let facts = file.sync().map_err(write_error)?;
    Ok(Written { file, facts, rows })
}

fn csv_error(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => write_error(error),
        other => anyhow::anyhow!("writing CSV: {other:?}").into(),
    }
}

fn write_error(error: io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        // Retrying within minutes would not help; an alert tells administrators about nearly full disks.
        Error::Permanent("storage full".into())
    } else {
        anyhow::Error::new(error).context("writing the export file").into()
    }
}

/// Stores the facts about the file before it is moved to its final name, unless another run has taken over the job.
async fn record(context: &Context, facts: &Facts, rows: i64, expires_at: DateTime<Utc>) -> Result<()> {
    let db = context.app.db.write();
    let bytes = i64::try_from(facts.bytes).unwrap_or(i64::MAX);
    let done = db
        .execute_raw(sql(
            db,
            "UPDATE exports SET row_count = $2, byte_count = $3, sha256 = $4, ready_at = $5, expires_at = $6
             WHERE id = $1
               AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = exports.id AND j.state = 'running' AND j.attempt = $7)",
            [
                context.id.into(),
                rows.into(),
                bytes.into(),
                facts.sha256.clone().into(),
                at(context.app.clock.now()),
                at(expires_at),
                context.attempt.into(),
            ],
        ))
        .await?;
    if done.rows_affected() == 0 {
        return Err(Error::Unavailable(anyhow::anyhow!("another run has taken over the export")));
    }
    Ok(())
}
