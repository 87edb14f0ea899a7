//! At which lots somebody works.

use sea_orm::ConnectionTrait;

use crate::{
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    platform::db::sql,
};

/// Passes attendants who are assigned to the lot, and administrators. Asked with every request, so that an assignment
/// applies at once.
///
/// # Errors
/// [`Error::NotFound`] for a lot that does not exist or is closed; [`Error::Forbidden`].
pub async fn check_on_duty(db: &impl ConnectionTrait, who: &Identity, lot_id: i64) -> Result<()> {
    let text =
        "SELECT EXISTS (SELECT 1 FROM attendant_lots a WHERE a.user_id = $2 AND a.lot_id = l.id) AS assigned
        FROM lots l WHERE l.id = $1 AND l.archived_at IS NULL";
    let row = db.query_one_raw(sql(db, text, [lot_id.into(), who.user_id.into()])).await?;
    let is_assigned: bool = row.ok_or(Error::NotFound("parking lot"))?.try_get("", "assigned")?;
    if who.is_admin || (who.is_attendant && is_assigned) {
        Ok(())
    } else {
        Err(Error::Forbidden("you are not assigned to this parking lot"))
    }
}
