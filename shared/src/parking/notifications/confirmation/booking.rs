//! What a confirmation says about a booking.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    base::error::{Error, Result},
    parking::notifications::delivery::Recipient,
    platform::db::sql,
};

#[derive(FromQueryResult)]
pub(super) struct Booking {
    pub(super) user_id: i64,
    pub(super) spot_id: i64,
    state: String,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) cost_minor: i64,
    pub(super) hourly_rate_minor: i64,
    pub(super) terms: Option<String>,
    pub(super) location_name: String,
    pub(super) address: String,
    pub(super) pincode: String,
    /// Number of the spot within the lot.
    pub(super) number: i64,
    pub(super) plate: Option<String>,
    #[sea_orm(nested)]
    pub(super) recipient: Option<Recipient>,
}

const SELECT: &str =
    "SELECT r.user_id, r.spot_id, r.state, r.starts_at, r.ends_at, r.cost_minor, r.hourly_rate_minor, t.terms,
        l.location_name, l.address, l.pincode, s.number, r.plate, u.username, u.email
    FROM reservations r JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id
        LEFT JOIN tariff_versions t ON t.id = r.tariff_version_id
        LEFT JOIN users u ON u.id = r.user_id AND u.deleted_at IS NULL
    WHERE r.id = $1";

impl Booking {
    /// Whether the driver has left.
    pub(super) fn is_over(&self) -> bool {
        self.state == "completed"
    }

    /// The booking, or the reason why it is not confirmed any more.
    pub(super) async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Result<Self, String>> {
        let booking = Self::find_by_statement(sql(db, SELECT, [id.into()])).one(db).await?;
        let booking = booking.ok_or(Error::NotFound("reservation"))?;
        Ok(match booking.state.as_str() {
            "cancelled" | "expired" => Err(format!("the booking is {}", booking.state)),
            _ => Ok(booking),
        })
    }
}
