//! Reading reservations.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::reservation::{AT_LOT, COLUMNS, JOINS, Reservation, Row, values_at_lot};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    parking::rules::payment::PaymentState,
    platform::db::{at, sql},
};

/// One reservation of the caller, one at a lot of an attendant, or any for an administrator.
pub async fn find(app: &App, who: &Identity, id: i64) -> Result<Reservation> {
    let db = app.db.read();
    let text = format!("SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.id = $1 AND {AT_LOT}");
    Row::find_by_statement(sql(db, &text, values_at_lot(who, id)))
        .one(db)
        .await?
        .ok_or(Error::NotFound("reservation"))?
        .try_into()
}

/// The reservations of all users, by id; only those whose bill is in a state, if one is given.
pub async fn list(app: &App, payment: Option<PaymentState>, page: &Page) -> Result<Paged<Reservation>> {
    let db = app.db.read();
    // Written out, so that the databases find the index on unpaid bills.
    let payment =
        payment.map_or_else(String::new, |state| format!(" AND r.payment_state = '{}'", state.as_str()));
    let text = format!(
        "SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.id > $1{payment} ORDER BY r.id LIMIT $2"
    );
    let rows = sql(db, &text, [page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()]);
    parse(page, Row::find_by_statement(rows).all(db).await?)
}

/// Which reservations a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Stays that run or have ended. Clients that do not know windows take one with an end in the future for a stay.
    #[default]
    Stays,
    /// Windows whose driver has not arrived.
    Upcoming,
    /// Stays that run.
    Active,
    /// Stays that have ended.
    Completed,
    /// All, also cancelled and expired ones.
    All,
}

impl Shown {
    /// The name in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stays => "stays",
            Self::Upcoming => "upcoming",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::All => "all",
        }
    }

    const fn condition(self) -> &'static str {
        match self {
            Self::Stays => "r.state IN ('active', 'completed')",
            Self::Upcoming => "r.state = 'reserved'",
            Self::Active => "r.state = 'active'",
            Self::Completed => "r.state = 'completed'",
            Self::All => "1 = 1",
        }
    }
}

impl std::str::FromStr for Shown {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Upcoming, Self::Active, Self::Completed, Self::All]
            .into_iter()
            .find(|shown| shown.as_str() == text)
            .ok_or("must be upcoming, active, completed or all")
    }
}

/// The reservations of a user, by id.
pub async fn of_user(app: &App, user_id: i64, shown: Shown, page: &Page) -> Result<Paged<Reservation>> {
    let (db, condition) = (app.db.read(), shown.condition());
    let text = format!(
        "SELECT {COLUMNS} FROM reservations r {JOINS}
         WHERE r.user_id = $1 AND {condition} AND r.id > $2 ORDER BY r.id LIMIT $3"
    );
    let values = [user_id.into(), page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()];
    parse(page, Row::find_by_statement(sql(db, &text, values)).all(db).await?)
}

/// The unpaid stays at a lot, by id.
pub async fn unpaid_at(app: &App, lot_id: i64, page: &Page) -> Result<Paged<Reservation>> {
    let db = app.db.read();
    let text = format!(
        "SELECT {COLUMNS} FROM reservations r {JOINS}
         WHERE r.lot_id = $1 AND r.payment_state = 'unpaid' AND r.id > $2 ORDER BY r.id LIMIT $3"
    );
    let values = [lot_id.into(), page.after.unwrap_or(i64::MIN).into(), page.fetch_limit().into()];
    parse(page, Row::find_by_statement(sql(db, &text, values)).all(db).await?)
}

/// The most rows of [`expected_at`] and [`plates_at`].
const MOST: i64 = 500;

/// The windows at a lot that begin before an instant and whose driver has not arrived, by their beginning.
pub async fn expected_at(app: &App, lot_id: i64, before: DateTime<Utc>) -> Result<Vec<Reservation>> {
    let db = app.db.read();
    let text = format!(
        "SELECT {COLUMNS} FROM reservations r {JOINS}
         WHERE r.lot_id = $1 AND r.state = 'reserved' AND r.starts_at < $2 ORDER BY r.starts_at, r.id LIMIT {MOST}"
    );
    let rows = Row::find_by_statement(sql(db, &text, [lot_id.into(), at(before)])).all(db).await?;
    rows.into_iter().map(Reservation::try_from).collect()
}

/// The plates of the cars that are parked at a lot, or whose window begins before an instant.
pub async fn plates_at(app: &App, lot_id: i64, before: DateTime<Utc>) -> Result<Vec<String>> {
    let db = app.db.read();
    let text = format!(
        "SELECT DISTINCT plate FROM reservations
         WHERE lot_id = $1 AND state IN ('reserved', 'active') AND starts_at < $2 AND plate IS NOT NULL
         ORDER BY plate LIMIT {MOST}"
    );
    let rows = db.query_all_raw(sql(db, &text, [lot_id.into(), at(before)])).await?;
    Ok(rows.iter().map(|row| row.try_get("", "plate")).collect::<Result<_, _>>()?)
}

fn parse(page: &Page, rows: Vec<Row>) -> Result<Paged<Reservation>> {
    Ok(page.trim(rows.into_iter().map(Reservation::try_from).collect::<Result<_>>()?))
}
