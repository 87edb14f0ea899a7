//! Reading reservations.

use sea_orm::FromQueryResult;

use super::{Reservation, Row, SELECT};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    platform::db::sql,
};

/// One reservation, for its owner or an administrator.
///
/// # Errors
/// [`Error::NotFound`] for anybody else.
pub async fn find(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    let db = app.db.read();
    let text = format!("{SELECT} WHERE r.id = $1 AND (r.user_id = $2 OR $3)");
    Row::find_by_statement(sql(db, &text, [id.into(), who.user_id.into(), who.is_admin.into()]))
        .one(db)
        .await?
        .ok_or(Error::NotFound("reservation"))?
        .try_into()
}

/// Everybody's reservations, by id.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Reservation>> {
    let db = app.db.read();
    let text = format!("{SELECT} WHERE r.id > $1 ORDER BY r.id LIMIT $2");
    let rows = sql(db, &text, [page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()]);
    cut(page, Row::find_by_statement(rows).all(db).await?)
}

/// The user's reservations, by id.
///
/// # Errors
/// Those of the database.
pub async fn of_user(app: &App, user_id: i64, page: &Page) -> Result<Paged<Reservation>> {
    let db = app.db.read();
    let text = format!("{SELECT} WHERE r.user_id = $1 AND r.id > $2 ORDER BY r.id LIMIT $3");
    let rows =
        sql(db, &text, [user_id.into(), page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()]);
    cut(page, Row::find_by_statement(rows).all(db).await?)
}

fn cut(page: &Page, rows: Vec<Row>) -> Result<Paged<Reservation>> {
    Ok(page.trim(rows.into_iter().map(Reservation::try_from).collect::<Result<_>>()?))
}
