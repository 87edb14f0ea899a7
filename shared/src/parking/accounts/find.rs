//! Finding users that are not deleted.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sha2::{Digest, Sha256};

use super::{account::normalized, user::User};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        page::{Page, Paged},
    },
    platform::entities::user,
};

/// Selects users; an empty filter selects all. Case does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The mail address.
    pub email: Option<String>,
    /// The name.
    pub username: Option<String>,
}

impl Filter {
    /// A digest that is unique to this filter and reveals no address; `None` for the empty filter.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        let texts = [&self.email, &self.username].map(|text| text.as_deref().map(normalized));
        (texts != [None, None]).then(|| digest(&format!("{texts:?}")))
    }
}

/// A short digest of a text that must not be stored in Redis.
pub(super) fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..12])
}

/// The selected users, by id.
pub async fn list(app: &App, filter: &Filter, page: &Page) -> Result<Paged<User>> {
    let is =
        |column: user::Column, text: &Option<String>| text.as_deref().map(|text| column.eq(normalized(text)));
    let rows = user::Entity::find()
        .filter(user::Column::DeletedAt.is_null())
        .filter(
            Condition::all()
                .add_option(is(user::Column::EmailKey, &filter.email))
                .add_option(is(user::Column::UsernameKey, &filter.username)),
        )
        .filter(user::Column::Id.gt(page.after.unwrap_or(0)))
        .order_by_asc(user::Column::Id)
        .limit(page.fetch_limit().unsigned_abs())
        .all(app.db.read())
        .await?;
    Ok(page.trim(rows))
}

/// The user with this mail address.
pub async fn by_email(app: &App, email: &str) -> Result<Option<User>> {
    let email = normalized(email);
    // PostgreSQL rejects such a parameter, and no stored address contains one.
    if email.contains('\0') {
        return Ok(None);
    }
    Ok(user::Entity::find()
        .filter(user::Column::EmailKey.eq(email))
        .filter(user::Column::DeletedAt.is_null())
        .one(app.db.read())
        .await?)
}

/// The user with this id.
pub async fn by_id(app: &App, id: i64) -> Result<User> {
    user::Entity::find_by_id(id)
        .filter(user::Column::DeletedAt.is_null())
        .one(app.db.read())
        .await?
        .ok_or(Error::NotFound("user"))
}
