//! The job that writes an export: rows from the database into a file, and a mail once it is ready.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    download::download_url,
    file::{Facts, PartFile, write_error},
    own_data,
    record::Layout,
    write::{Output, Writer, Written},
};
use crate::{
    base::error::{Error, Result},
    jobs::{Context, Done, Job, Queue},
    parking::{
        bookings::history::{self, Filter},
        notifications,
    },
    platform::{
        db::{at, sql},
        entities::export::{self, Format},
    },
};

/// Writes the export that has the same id as the job.
#[derive(Debug, Serialize, Deserialize)]
pub struct WriteExport {}

/// Approximate size in bytes of the batches that travel from the reading task to the writing thread.
const BATCH: usize = 64 * 1024;

/// Batches that may be in flight between the two.
const BATCHES: usize = 4;

impl Job for WriteExport {
    // From the time when there was one format; jobs and clients know it.
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
        let Written { file, facts, rows } = match export.format {
            Format::Zip => own_data::write(context, &export).await?,
            Format::Csv | Format::Xlsx => write_file(context, &export).await?,
        };
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

/// Separates the pseudonyms from everything else signed with the secret.
const PSEUDONYMS: &[u8] = b"parkade: pseudonyms in exports, 1";

/// Reads the rows in this task and writes them in a thread that may block.
async fn write_file(context: &Context, export: &export::Model) -> Result<Written> {
    let app = &context.app;
    let filter = Filter {
        user_id: (!export.everyone).then_some(export.user_id),
        from: export.from_at,
        until: export.until_at,
        lot_id: export.lot_id,
    };
    let anonymise =
        if export.anonymise { Some(app.keys.lasting(PSEUDONYMS)?.bytes().to_vec()) } else { None };
    let layout = Layout { currency: app.config.currency, with_user: export.everyone, anonymise };
    context.progress.set(0, history::count(&app.db, &filter).await?);
    let stop = CancellationToken::new();
    let file = PartFile::create(&app.config.upload_folder, context.id, export.format, stop.clone());
    let file = file.map_err(write_error)?;
    // Stops the thread if this run is dropped; it may be busy for seconds after the last row.
    let _stop_when_dropped = stop.drop_guard();
    let (batches, received) = mpsc::channel(BATCHES);
    let writer = Writer {
        output: Output::create(app, export, layout, file).map_err(write_error)?,
        encoding: history::encoding(app.db.engine()),
        progress: context.progress.clone(),
    };
    let writing = tokio::task::spawn_blocking(move || writer.write(received).map_err(write_error));
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
