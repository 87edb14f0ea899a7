//! The rows behind the figures: a driver's history, and all reservations for administrators.

use chrono::{DateTime, Utc};
use sea_orm::{FromQueryResult, Value};

use super::sql::COUNTED;
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
        page::{Page, Paged, TimeCursor},
    },
    parking::rules::{billing, state::State},
    platform::db::{at, sql},
};

/// A reservation with its driver and lot under their current names.
#[derive(Debug, Clone, PartialEq)]
pub struct Stay {
    /// The reservation.
    pub id: i64,
    /// The driver.
    pub user_name: String,
    /// The driver's mail address.
    pub user_email: String,
    /// The driver's plate.
    pub vehicle_number: Option<String>,
    /// The lot.
    pub lot_name: String,
    /// The spot.
    pub spot_id: i64,
    /// Its state.
    pub state: State,
    /// Arrival, or the start of the reserved window.
    pub parking_time: DateTime<Utc>,
    /// Departure, or the end of the reserved window before arrival.
    pub leaving_time: Option<DateTime<Utc>>,
    /// The amount billed so far.
    pub cost: Money,
    /// The payment's transaction.
    pub transaction_id: Option<String>,
    /// How it was paid.
    pub payment_method: Option<String>,
}

impl Stay {
    /// Its duration in hours, rounded to two decimal places.
    #[must_use]
    pub fn hours(&self) -> Option<f64> {
        self.leaving_time.map(|left| billing::hours(self.parking_time, left))
    }

    /// Its position in [`history`], for paging.
    #[must_use]
    pub const fn moment(&self) -> TimeCursor {
        TimeCursor { at: self.parking_time, id: self.id }
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    username: String,
    email: String,
    vehicle_number: Option<String>,
    location_name: String,
    spot_id: i64,
    state: String,
    parking_time: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    cost_minor: i64,
    transaction_id: Option<String>,
    payment_method: Option<String>,
}

impl TryFrom<Row> for Stay {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let state: State = row.state.parse()?;
        Ok(Self {
            id: row.id,
            user_name: row.username,
            user_email: row.email,
            vehicle_number: row.vehicle_number,
            lot_name: row.location_name,
            spot_id: row.spot_id,
            state,
            parking_time: row.parking_time,
            leaving_time: row.left_at.or(row.ends_at.filter(|_| state != State::Active)),
            cost: Money::from_minor(row.cost_minor),
            transaction_id: row.transaction_id,
            payment_method: row.payment_method,
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
        "SELECT r.id, u.username, u.email, u.vehicle_number, l.location_name, r.spot_id, r.state, r.parking_time,
                r.ends_at, r.left_at, r.cost_minor, r.transaction_id, r.payment_method
         FROM (SELECT * FROM reservations r WHERE {condition} AND {COUNTED} ORDER BY {order} LIMIT $1) AS r
         JOIN users u ON u.id = r.user_id JOIN lots l ON l.id = r.lot_id
         ORDER BY {order}"
    );
    let values = std::iter::once(page.fetch_limit().into()).chain(values);
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    let stays = rows.into_iter().map(Stay::try_from).collect::<Result<_>>()?;
    Ok(page.trim(stays))
}
