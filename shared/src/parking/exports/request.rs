//! Requesting an export: its row and its job, in one transaction.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde_json::json;
use uuid::Uuid;

use super::job::WriteExport;
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::{Change, NewJob},
    parking::{
        activity,
        audit::{self, Action, Object},
        second_factor,
    },
    platform::{
        entities::export::{self, Format},
        idempotency::Idempotency,
    },
};

/// Which reservations to export, and how.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Only reservations that begin at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Only reservations that begin before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only reservations in this lot.
    pub lot_id: Option<i64>,
    /// Replace users by pseudonyms, and leave out plates and transaction ids.
    pub anonymise: bool,
    /// The reservations of all users; for administrators.
    pub everyone: bool,
    /// The format of the file.
    pub format: Format,
    /// Begin a CSV file with a byte order mark, by which spreadsheets recognise UTF-8.
    pub bom: bool,
}

/// Requests an export and returns its id.
///
/// # Errors
/// [`Error::Forbidden`] if `everyone` is set and the caller is not an administrator; [`Error::Invalid`] unless `from` is
/// before `until`, and if `bom` is set for another format than CSV.
pub async fn request(
    app: &App,
    who: &Identity,
    request: Request,
    idempotency: Idempotency<Uuid>,
) -> Result<Uuid> {
    if request.everyone && !who.is_admin {
        return Err(Error::Forbidden("only an administrator may export the reservations of all users"));
    }
    if request.everyone {
        second_factor::require_fresh(app, who).await?;
    }
    if request.from.zip(request.until).is_some_and(|(from, until)| from >= until) {
        return Err(Error::invalid("/to", "must be later than from"));
    }
    if request.bom && request.format != Format::Csv {
        return Err(Error::invalid("/bom", "only a CSV file can have a byte order mark"));
    }
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    let row = export::ActiveModel {
        everyone: Set(request.everyone),
        from_at: Set(request.from),
        until_at: Set(request.until),
        lot_id: Set(request.lot_id),
        anonymise: Set(request.anonymise),
        format: Set(request.format),
        bom: Set(request.bom),
        ..Default::default()
    };
    let id = insert(app, &mut change, now, who, ("parking_history", request.format), row).await?;
    if request.everyone {
        let details = json!({ "export": id, "anonymise": request.anonymise });
        let (tx, action, object) = (change.tx(), Action::AllExported, Object::Installation);
        audit::record(tx, now, &who.into(), action, object, &details).await?;
    }
    change.commit_with_answer(&idempotency, id).await
}

/// Requests a copy of all that is stored about the caller, and returns the id of the export.
///
/// # Errors
/// Those of the database.
pub async fn request_own_data(app: &App, who: &Identity, idempotency: Idempotency<Uuid>) -> Result<Uuid> {
    let (mut change, now) = (Change::begin(app).await?, app.clock.now());
    let row = export::ActiveModel {
        everyone: Set(false),
        anonymise: Set(false),
        format: Set(Format::Zip),
        bom: Set(false),
        ..Default::default()
    };
    let id = insert(app, &mut change, now, who, ("my_data", Format::Zip), row).await?;
    let (object, details) = (Object::User(who.user_id), json!({ "export": id }));
    audit::record(change.tx(), now, &who.into(), Action::OwnDataExported, object, &details).await?;
    change.commit_with_answer(&idempotency, id).await
}

/// Writes the row of an export, its job and the activity.
async fn insert(
    app: &App,
    change: &mut Change,
    now: DateTime<Utc>,
    who: &Identity,
    (name, format): (&str, Format),
    row: export::ActiveModel,
) -> Result<Uuid> {
    let id = change.enqueue(&NewJob::of(&WriteExport {})?.owner(who.user_id)).await?;
    let local = now.with_timezone(&app.config.zone).format("%Y%m%d_%H%M%S");
    let row = export::ActiveModel {
        id: Set(id),
        user_id: Set(who.user_id),
        file_name: Set(Some(format!("{name}_{local}.{}", format.as_str()))),
        created_at: Set(now),
        ..row
    };
    row.insert(change.tx()).await?;
    activity::record(change.tx(), now, who.user_id, activity::Kind::Export, Some(id.to_string())).await?;
    Ok(id)
}
