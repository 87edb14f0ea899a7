//! The job that writes an export: rows from the database, cells into a file, a mail when it is there.

use std::{io, time::Duration};

use anyhow::Context as _;
use csv::WriterBuilder;
use futures::TryStreamExt;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    csv::{self as cells, Format},
    file::{Facts, PartFile},
};
use crate::{
    base::error::{Error, Result},
    jobs::{Context, Done, Job, Queue, context::Progress},
    parking::{
        bookings::history::{self, Encoding, Filter},
        notifications,
    },
    platform::{
        db::{at, sql},
        entities::export,
    },
};

/// Writes the export whose id is the job's.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportCsv {}

/// Rows travel from the reading task to the writing thread in batches of about this many bytes.
const BATCH: usize = 64 * 1024;

/// Batches that may wait between the two.
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
            .ok_or_else(|| Error::Permanent("the export is gone".into()))?;
        let filter = filter(&export);
        let format = Format {
            currency: app.config.currency.clone(),
            with_user: export.everyone,
            anonymise: export
                .anonymise
                .then(|| app.config.jwt_secret().map(<[u8]>::to_vec))
                .transpose()
                .map_err(anyhow::Error::new)?,
        };
        context.progress.set(0, history::count(&app.db, &filter).await?);

        let file = PartFile::create(&app.config.upload_folder, context.id, Uuid::new_v4()).map_err(disk)?;
        let (batches, received) = mpsc::channel(BATCHES);
        let progress = context.progress.clone();
        let encoding = history::encoding(app.db.engine());
        let writing =
            tokio::task::spawn_blocking(move || write(file, &format, encoding, received, &progress));
        read(context, &filter, batches).await?;
        let (file, facts, rows) = writing.await.context("the writing thread")??;

        let now = app.clock.now();
        let expires_at = now + app.config.export_lifetime;
        record(context, &facts, rows, expires_at).await?;
        let mail = notifications::export_ready(context.id, export.user_id)?;
        let result = json!({
            "status": "success",
            "file": export.file_name,
            "download_url": super::download_url(context.id),
            "rows": rows,
            "bytes": facts.bytes,
            "sha256": facts.sha256,
        });
        let done = Done::with(result).then(mail);
        // Nothing is awaited from here to the success, so a cancelled export never leaves a file.
        file.finish().map_err(disk)?;
        Ok(done)
    }
}

fn filter(export: &export::Model) -> Filter {
    Filter {
        user_id: (!export.everyone).then_some(export.user_id),
        from: export.from_at,
        until: export.until_at,
        lot_id: export.lot_id,
    }
}

/// Sends the lines on in batches; ends early when the writing side has given up.
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

type Written = (PartFile, Facts, i64);

fn write(
    file: PartFile,
    format: &Format,
    encoding: Encoding,
    mut batches: mpsc::Receiver<Vec<u8>>,
    progress: &Progress,
) -> Result<Written> {
    let mut out = WriterBuilder::new().buffer_capacity(BATCH).from_writer(file);
    let mut rows = 0_i64;
    cells::write_header(&mut out, format).map_err(unwritable)?;
    while let Some(batch) = batches.blocking_recv() {
        for line in batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            cells::write_line(&mut out, format, encoding, line).map_err(unwritable)?;
            rows += 1;
        }
        progress.set(rows, progress.get().1.max(rows));
    }
    let file = out.into_inner().map_err(|error| disk(io::Error::from(error.error().kind())))?;
    let facts = file.sync().map_err(disk)?;
    Ok((file, facts, rows))
}

fn unwritable(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => disk(error),
        other => anyhow::anyhow!("writing CSV: {other:?}").into(),
    }
}

fn disk(error: io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        // Minutes do not empty a disk, and administrators are told of one that is nearly full.
        Error::Permanent("storage full".into())
    } else {
        anyhow::Error::new(error).context("writing the export file").into()
    }
}

/// Notes what the file is before it gets its name, unless the job is another run's by now.
async fn record(
    context: &Context,
    facts: &Facts,
    rows: i64,
    expires_at: chrono::DateTime<chrono::Utc>,
) -> Result<()> {
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
        return Err(Error::Unavailable(anyhow::anyhow!("another run has the export now")));
    }
    Ok(())
}
