//! The mail about a finished export, with the file attached if it is small and only about the user.

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use minijinja::context;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    delivery::{Letter, deliver, dropped},
    format::local_time,
};
use crate::{
    base::error::{Error, Result},
    jobs::{Context, Done, Job, NewJob, Queue},
    platform::{db::sql, entities::export::Format, mailer::Attachment},
};

/// Larger files are not attached.
const MAX_ATTACHED_BYTES: u64 = 1024 * 1024;

/// Notifies a user that their export is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendExportReady {
    /// The export, which must be finished.
    pub export_id: Uuid,
}

/// The job that notifies a user that their export is ready.
///
/// # Errors
/// As [`NewJob::of`].
pub fn export_ready(export_id: Uuid, user_id: i64) -> Result<NewJob> {
    Ok(NewJob::of(&SendExportReady { export_id })?.owner(user_id).unique(export_id.to_string()))
}

#[derive(FromQueryResult)]
struct Export {
    user_id: i64,
    everyone: bool,
    format: Format,
    file_name: Option<String>,
    row_count: Option<i64>,
    expires_at: DateTime<Utc>,
    removed_at: Option<DateTime<Utc>>,
}

const EXPORT: &str =
    "SELECT user_id, everyone, format, file_name, row_count, expires_at, removed_at FROM exports
    WHERE id = $1 AND ready_at IS NOT NULL AND expires_at IS NOT NULL";

impl Job for SendExportReady {
    const NAME: &'static str = "send-export-ready";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let export = Export::find_by_statement(sql(db, EXPORT, [self.export_id.into()])).one(db).await?;
        let export = export.ok_or(Error::NotFound("finished export"))?;
        if export.removed_at.is_some() || export.expires_at <= context.app.clock.now() {
            return Ok(dropped("the export has expired"));
        }
        let stored_name = format!("{}.{}", self.export_id, export.format.as_str());
        // Mails are copied and forwarded, so what other people parked and all about one person is only behind the link.
        let attachment = if export.everyone || export.format == Format::Zip {
            None
        } else {
            small_file(&config.upload_folder.join(&stored_name)).await
        };
        let file_name = export.file_name.unwrap_or(stored_name);
        let letter = Letter {
            key: format!("export-ready:{}", self.export_id),
            kind: "export_ready",
            user_id: export.user_id,
            values: context! {
                id => self.export_id.to_string(),
                file_name => &file_name,
                rows => export.row_count.unwrap_or(0),
                expires => local_time(export.expires_at, config.zone),
                attached => attachment.is_some(),
            },
            attachment: attachment.map(|bytes| Attachment {
                file_name,
                content_type: export.format.content_type(),
                bytes,
            }),
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}

/// The contents of the file, if it exists and is small. The mail has a link in any case.
async fn small_file(path: &Path) -> Option<Vec<u8>> {
    let size = tokio::fs::metadata(path).await.ok()?.len();
    if size > MAX_ATTACHED_BYTES { None } else { tokio::fs::read(path).await.ok() }
}
