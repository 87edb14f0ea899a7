//! The lots that are assigned to an attendant.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{account::Role, find::by_id, user};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::audit::{self, Action, Actor, Object},
    platform::db::{Transaction, at, retry_on_conflict, sql},
};

/// The most lots of one attendant.
const MAX_LOTS: usize = 1_000;

/// The ids of the open lots that are assigned to a user, in order.
///
/// # Errors
/// [`Error::NotFound`] for an unknown user.
pub async fn assigned_lots(app: &App, user_id: i64) -> Result<Vec<i64>> {
    by_id(app, user_id).await?;
    Ok(of_user(app.db.read(), user_id).await?.into_iter().collect())
}

/// Replaces the lots that are assigned to an attendant. It applies from the attendant's next request on.
///
/// # Errors
/// [`Error::NotFound`] for an unknown user; [`Error::Conflict`] for one who is no attendant; [`Error::Invalid`] for a lot
/// that does not exist or is closed.
pub async fn assign_lots(app: &App, by: &Actor, user_id: i64, lot_ids: Vec<i64>) -> Result<Vec<i64>> {
    let new: BTreeSet<i64> = lot_ids.into_iter().collect();
    if new.len() > MAX_LOTS {
        return Err(Error::invalid("/lot_ids", format!("must have at most {MAX_LOTS} items")));
    }
    retry_on_conflict(async || {
        let now = app.clock.now();
        let change = Change::begin(app).await?;
        if user::lock(change.tx(), user_id).await?.role() != Role::Attendant {
            return Err(Error::conflict(
                "not_an_attendant",
                "only attendants have lots; make the user an attendant first",
            ));
        }
        let old = of_user(change.tx(), user_id).await?;
        unassign(change.tx(), user_id).await?;
        for lot_id in &new {
            let text = "INSERT INTO attendant_lots (user_id, lot_id, assigned_at)
                SELECT $1, id, $3 FROM lots WHERE id = $2 AND archived_at IS NULL";
            let values = [user_id.into(), (*lot_id).into(), at(now)];
            let assigned = change.tx().execute_raw(sql(change.tx(), text, values)).await?;
            if assigned.rows_affected() == 0 {
                return Err(Error::invalid("/lot_ids", format!("there is no parking lot {lot_id}")));
            }
        }
        if old != new {
            let (object, details) = (Object::User(user_id), json!({ "from": old, "to": new }));
            audit::record(change.tx(), now, by, Action::LotsAssigned, object, &details).await?;
        }
        change.commit().await?;
        Ok(new.iter().copied().collect())
    })
    .await
}

async fn of_user(db: &impl ConnectionTrait, user_id: i64) -> Result<BTreeSet<i64>> {
    let text = "SELECT a.lot_id FROM attendant_lots a JOIN lots l ON l.id = a.lot_id
        WHERE a.user_id = $1 AND l.archived_at IS NULL";
    let rows = db.query_all_raw(sql(db, text, [user_id.into()])).await?;
    Ok(rows.iter().map(|row| row.try_get("", "lot_id")).collect::<Result<_, _>>()?)
}

/// Takes all lots away from a user.
pub(super) async fn unassign(tx: &Transaction, user_id: i64) -> Result<()> {
    let text = "DELETE FROM attendant_lots WHERE user_id = $1";
    tx.execute_raw(sql(tx, text, [user_id.into()])).await?;
    Ok(())
}
