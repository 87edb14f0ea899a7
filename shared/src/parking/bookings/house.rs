//! The house account of a lot, to which the stays of cars without accounts belong.

use sea_orm::ConnectionTrait;

use crate::{
    app::App,
    base::error::{Error, Result},
    platform::db::{at, sql},
};

/// The house account of a lot, which is created when it is first needed.
///
/// It counts as deleted from the beginning: nobody can log in to it, edit it or write to it, and no list or number of
/// users includes it, also in processes of the release before.
pub(super) async fn account_of(app: &App, lot_id: i64) -> Result<i64> {
    if let Some(id) = find(app.db.read(), lot_id).await? {
        return Ok(id);
    }
    let (db, name) = (app.db.write(), format!("house-{lot_id}"));
    // The leading blank keeps the keys from colliding with those of users, which are trimmed.
    let text = "INSERT INTO users
            (username, username_key, email, email_key, password_hash, role, created_at, deleted_at, house_lot_id)
        VALUES ($1, $2, $3, $4, 'none', 'user', $5, $5, $6) ON CONFLICT DO NOTHING";
    let email = format!("{name}@house.invalid");
    let keys = [format!(" {name}"), format!(" {email}")];
    let [name_key, email_key] = keys;
    let now = app.clock.now();
    let values = [name.into(), name_key.into(), email.into(), email_key.into(), at(now), lot_id.into()];
    db.execute_raw(sql(db, text, values)).await?;
    find(db, lot_id).await?.ok_or(Error::NotFound("parking lot"))
}

async fn find(db: &impl ConnectionTrait, lot_id: i64) -> Result<Option<i64>> {
    let text = "SELECT id FROM users WHERE house_lot_id = $1";
    let row = db.query_one_raw(sql(db, text, [lot_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}
