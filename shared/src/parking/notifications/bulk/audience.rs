//! The users whom a mailing addresses.

use sea_orm::{ConnectionTrait, Value};

use crate::{
    app::App, base::error::Result, parking::notifications::subscription::Subscription, platform::db::sql,
};

/// Drivers who have not unsubscribed and meet a condition.
#[derive(Debug, Clone)]
pub struct Audience {
    /// SQL about `u`, a row of `users`, with placeholders from `$1`.
    pub condition: &'static str,
    /// The values of the placeholders.
    pub values: Vec<Value>,
}

impl Audience {
    /// All drivers who have not unsubscribed.
    pub const fn everyone() -> Self {
        Self { condition: "1 = 1", values: Vec::new() }
    }

    /// The whole condition, for mails that end with this subscription.
    pub(super) fn sql(&self, subscription: Subscription) -> String {
        let off = subscription.column();
        format!(
            "u.role = 'user' AND NOT u.is_attendant AND u.deleted_at IS NULL AND NOT u.{off} AND {}",
            self.condition
        )
    }

    /// The name of a user, if they belong to the audience now.
    pub async fn find(&self, app: &App, subscription: Subscription, user_id: i64) -> Result<Option<String>> {
        let (db, place) = (app.db.read(), self.values.len() + 1);
        let text =
            format!("SELECT u.username FROM users u WHERE {} AND u.id = ${place}", self.sql(subscription));
        let values = self.values.iter().cloned().chain([user_id.into()]);
        let row = db.query_one_raw(sql(db, &text, values)).await?;
        Ok(row.map(|row| row.try_get("", "username")).transpose()?)
    }
}
