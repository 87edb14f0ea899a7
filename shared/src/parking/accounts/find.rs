//! Finding users that are not deleted.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::IntoCondition,
};
use sha2::{Digest, Sha256};

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        page::{Page, Paged},
    },
    platform::entities::user::{self, Model as User},
};

/// Selects users; an empty filter selects all. The spelling does not matter.
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
        let texts = [self.email.as_deref().map(mail_key), self.username.as_deref().map(lowered)];
        (texts != [None, None]).then(|| digest(&format!("{texts:?}")))
    }
}

/// The form in which releases before 0.3 compared names and addresses.
pub(super) fn lowered(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The form in which addresses are compared, or the earlier one of a text that is no address.
pub(super) fn mail_key(text: &str) -> String {
    spelling::mail(text).unwrap_or_else(|_| lowered(text))
}

/// The user with this address, and one without a key who has had it in exactly this spelling.
fn has_mail(text: &str) -> Condition {
    let earlier = user::Column::MailKey.is_null().and(user::Column::EmailKey.eq(lowered(text)));
    user::Column::MailKey.eq(mail_key(text)).or(earlier).into_condition()
}

fn has_name(text: &str) -> Condition {
    let earlier = user::Column::NameKey.is_null().and(user::Column::UsernameKey.eq(lowered(text)));
    let key = spelling::name_key(text).map(|key| user::Column::NameKey.eq(key));
    Condition::any().add_option(key).add(earlier)
}

/// A short digest of a text that must not be stored in Redis.
pub(super) fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..12])
}

/// The selected users, by id.
pub async fn list(app: &App, filter: &Filter, page: &Page) -> Result<Paged<User>> {
    let rows = user::Entity::find()
        .filter(user::Column::DeletedAt.is_null())
        .filter(
            Condition::all()
                .add_option(filter.email.as_deref().map(has_mail))
                .add_option(filter.username.as_deref().map(has_name)),
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
    Ok(with_mail(app, email).await?.into_iter().next())
}

/// The user with this mail address; after them one without a key, who logs in with exactly this spelling.
pub(super) async fn with_mail(app: &App, email: &str) -> Result<Vec<User>> {
    // PostgreSQL rejects such a parameter, and no stored address contains one.
    if email.contains('\0') {
        return Ok(Vec::new());
    }
    let found = user::Entity::find().filter(has_mail(email)).filter(user::Column::DeletedAt.is_null());
    let mut found = found.all(app.db.read()).await?;
    found.sort_by_key(|user| user.mail_key.is_none());
    Ok(found)
}

/// The user with this id.
pub async fn by_id(app: &App, id: i64) -> Result<User> {
    user::Entity::find_by_id(id)
        .filter(user::Column::DeletedAt.is_null())
        .one(app.db.read())
        .await?
        .ok_or(Error::NotFound("user"))
}
