//! Reservations with their drivers: a driver's history, and all reservations for administrators.

use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};

use super::reservation::{COLUMNS, JOINS, Reservation, Row};
use crate::{
    app::App,
    base::{
        error::Result,
        page::{Page, Paged, TimeCursor},
    },
    parking::reports::COUNTED,
    platform::db::{at, sql},
};

/// A reservation with its driver under the current name.
#[derive(Debug, Clone, PartialEq)]
pub struct Stay {
    /// The reservation.
    pub reservation: Reservation,
    /// The driver.
    pub user_name: String,
    /// The driver's mail address.
    pub user_email: String,
}

impl Stay {
    /// Its position in [`history`], for paging.
    #[must_use]
    pub fn moment(&self) -> TimeCursor {
        TimeCursor { at: self.reservation.parking_time(), id: self.reservation.id }
    }

    fn read(row: &QueryResult) -> Result<Self> {
        Ok(Self {
            reservation: Row::from_query_result(row, "")?.try_into()?,
            user_name: row.try_get("", "username")?,
            user_email: row.try_get("", "email")?,
        })
    }
}

/// A driver's reservations without cancelled and expired ones, latest start first.
pub async fn history(app: &App, user_id: i64, page: &Page<TimeCursor>) -> Result<Paged<Stay>> {
    let (condition, order) = ("r.user_id = $2", "r.parking_time DESC, r.id DESC");
    match page.after {
        None => select(app, page, condition, order, vec![user_id.into()]).await,
        Some(TimeCursor { at: after, id }) => {
            let condition = format!("{condition} AND (r.parking_time, r.id) < ($3, $4)");
            select(app, page, &condition, order, vec![user_id.into(), at(after), id.into()]).await
        }
    }
}

/// All reservations without cancelled and expired ones, by id, including those of deleted users and archived lots.
pub async fn of_everybody(app: &App, page: &Page) -> Result<Paged<Stay>> {
    select(app, page, "r.id > $2", "r.id", vec![page.after.unwrap_or(0).into()]).await
}

/// Selects the page before joining, so that only its rows are joined.
async fn select<C>(
    app: &App,
    page: &Page<C>,
    condition: &str,
    order: &str,
    values: Vec<Value>,
) -> Result<Paged<Stay>> {
    let db = app.db.read();
    let text = format!(
        "SELECT {COLUMNS}, u.username, u.email
         FROM (SELECT * FROM reservations r WHERE {condition} AND {COUNTED} ORDER BY {order} LIMIT $1) AS r
         {JOINS} JOIN users u ON u.id = r.user_id
         ORDER BY {order}"
    );
    let values = std::iter::once(page.fetch_limit().into()).chain(values);
    let rows = db.query_all_raw(sql(db, &text, values)).await?;
    Ok(page.trim(rows.iter().map(Stay::read).collect::<Result<_>>()?))
}
