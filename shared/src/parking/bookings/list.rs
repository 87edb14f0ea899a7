//! Reading reservations.

use sea_orm::FromQueryResult;

use super::reservation::{COLUMNS, JOINS, Reservation, Row};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    platform::db::sql,
};

/// One reservation of the caller, or any for an administrator.
pub async fn find(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    let db = app.db.read();
    let text =
        format!("SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.id = $1 AND (r.user_id = $2 OR $3)");
    Row::find_by_statement(sql(db, &text, [id.into(), who.user_id.into(), who.is_admin.into()]))
        .one(db)
        .await?
        .ok_or(Error::NotFound("reservation"))?
        .try_into()
}

/// The reservations of all users, by id.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Reservation>> {
    let db = app.db.read();
    let text = format!("SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.id > $1 ORDER BY r.id LIMIT $2");
    let rows = sql(db, &text, [page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()]);
    parse(page, Row::find_by_statement(rows).all(db).await?)
}

/// The reservations of a user, by id.
pub async fn of_user(app: &App, user_id: i64, page: &Page) -> Result<Paged<Reservation>> {
    let db = app.db.read();
    let text = format!(
        "SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.user_id = $1 AND r.id > $2 ORDER BY r.id LIMIT $3"
    );
    let values = [user_id.into(), page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()];
    parse(page, Row::find_by_statement(sql(db, &text, values)).all(db).await?)
}

fn parse(page: &Page, rows: Vec<Row>) -> Result<Paged<Reservation>> {
    Ok(page.trim(rows.into_iter().map(Reservation::try_from).collect::<Result<_>>()?))
}
