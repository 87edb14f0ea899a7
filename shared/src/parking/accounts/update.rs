//! Changes to an account, by its user or an administrator.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType,
};
use serde_json::json;
use spelling::Country;

use super::{
    account::{Role, Validator, present},
    address, attendants,
    confirm::confirm,
    conflict::conflict,
    find::{by_id, lowered, mail_key},
    guard::Attempt,
    password::{self, Match, Priority},
    plates, session,
    user::{self, User},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        audit::{self, Action, Object},
        exports, notifications, second_factor, tokens,
    },
    platform::{
        cache::Group,
        db::{Transaction, retry_on_conflict},
        entities,
    },
};

/// The new values of an account; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The name.
    pub username: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// The password, in clear text.
    pub password: Option<String>,
    /// `user`, `attendant` or `admin`; ignored unless an administrator makes the change.
    pub role: Option<String>,
    /// The plate of the first vehicle; none or a blank one removes that vehicle.
    pub vehicle_number: Option<Option<String>>,
    /// The phone number; none or a blank one removes it.
    pub phone_number: Option<Option<String>>,
    /// The password of the user who changes their own password, address or phone number.
    pub current_password: Option<String>,
}

impl Changes {
    /// What differs from the user. A form sends every field back, and those that nobody touched may be older than the rules
    /// of today.
    fn differing_from(self, user: &User) -> Self {
        let is_new = |text: &Option<String>, old: &Option<String>| present(text.as_deref()) != old.as_deref();
        Self {
            username: self.username.filter(|text| text.trim() != user.username),
            email: self.email.filter(|text| text.trim() != user.email),
            vehicle_number: self.vehicle_number.filter(|text| is_new(text, &user.vehicle_number)),
            phone_number: self.phone_number.filter(|text| is_new(text, &user.phone_number)),
            ..self
        }
    }
}

/// Changes a user. A new role ends all their sessions, and so does a new password, except for the session of a user who
/// sets their own.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unconfirmed`] without the current password, if it is needed; [`Error::Invalid`] with every
/// invalid field; [`Error::Conflict`] if a value is taken, or no administrator would remain; [`Error::RateLimited`] for too many
/// new addresses or wrong passwords.
pub async fn update(app: &App, who: &Identity, id: i64, mut changes: Changes) -> Result<User> {
    let role = changes.role.filter(|_| who.is_admin);
    let user = by_id(app, id).await?;
    let (is_own, current) = (who.user_id == id, changes.current_password.take());
    // A new password is compared with the current one, too.
    let attempt = if is_own && (changes.password.is_some() || current.is_some()) {
        Some(Attempt::begin(app, &user.email, who.address).await?)
    } else {
        None
    };
    let mut changes = ValidChanges::of(app, &user, Changes { role, ..changes }.differing_from(&user)).await?;
    let is_confirmed = is_own && changes.need_confirmation(&user, app.config.phone_country);
    if is_confirmed {
        confirm(&user, current).await?;
    }
    if let Some(attempt) = attempt {
        attempt.succeeded().await;
    }
    // A new address of one's own counts once it is verified.
    let held_email = changes.email.take_if(|email| is_own && *email != mail_key(&user.email));
    if held_email.is_some() {
        address::count_mail(app, id).await?;
    }
    if changes.role.is_some_and(|role| role.as_str() != user.role) || (!is_own && changes.password.is_some())
    {
        second_factor::require_fresh(app, who).await?;
    }
    let hash = match &changes.password {
        Some(password) => Some(password::hash(Priority::Other, password.clone()).await?),
        None => None,
    };
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let now = app.clock.now();
        // Before the user's own row, because whoever locks several rows locks them by id.
        let admins = match changes.role {
            Some(Role::User | Role::Attendant) => lock_admins(change.tx()).await?,
            _ => Vec::new(),
        };
        let before = user::lock(change.tx(), id).await?;
        if is_confirmed && before.password_hash != user.password_hash {
            return Err(Error::conflict(
                "password_changed",
                "the password has just been changed; log in again",
            ));
        }
        if admins == [id] {
            return Err(Error::conflict(
                "last_admin",
                "this is the last administrator; appoint another one first",
            ));
        }
        let mut after = changes.apply(before.clone(), hash.as_deref());
        if let Some(plate) = &changes.vehicle_number {
            plates::replace_first(change.tx(), now, id, plate.as_deref()).await?;
            after.vehicle_number = plates::first(change.tx(), id).await?;
        }
        if after.email != before.email {
            after.pending_email = None;
        }
        if let Some(email) = &held_email {
            address::hold(&mut change, now, &mut after, email).await?;
        }
        let row = entities::user::ActiveModel::from(after);
        let user = row.reset_all().update(change.tx()).await.map_err(conflict)?;
        let has_new_password = user.password_hash != before.password_hash;
        let (role, former) = (user.role(), before.role());
        if role != former || (has_new_password && !is_own) {
            session::end_all(&mut change, now, id).await?;
        } else if has_new_password {
            session::end_others(&mut change, now, id, who.session_id).await?;
        }
        if has_new_password {
            change.enqueue(&notifications::password_changed(id, now)?).await?;
            record(&change, app, who, Action::PasswordChanged, id).await?;
        }
        if user.email != before.email {
            record(&change, app, who, Action::AddressChanged, id).await?;
        }
        if has_new_password || user.email != before.email {
            tokens::revoke_all(change.tx(), now, id).await?;
        }
        if role != former {
            let (by, details) = (who.into(), json!({ "from": former.as_str(), "to": role.as_str() }));
            audit::record(change.tx(), now, &by, Action::RoleChanged, Object::User(id), &details).await?;
            attendants::unassign(change.tx(), id).await?;
        }
        if role != former && former == Role::Admin {
            exports::withdraw_all(change.tx(), now, id).await?;
        }
        change.invalidates([Group::Users, Group::User(id)]);
        change.commit().await?;
        Ok(user)
    })
    .await
}

async fn record(change: &Change, app: &App, who: &Identity, action: Action, id: i64) -> Result<()> {
    audit::record(change.tx(), app.clock.now(), &who.into(), action, Object::User(id), &json!({})).await
}

struct ValidChanges {
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
    role: Option<Role>,
    vehicle_number: Option<Option<String>>,
    phone_number: Option<Option<String>>,
}

impl ValidChanges {
    async fn of(app: &App, user: &User, changes: Changes) -> Result<Self> {
        let mut validator = Validator::new(app.config.phone_country);
        let mut valid = Self {
            username: changes.username.map(|text| validator.username(&text)),
            email: changes.email.map(|text| validator.email(&text)),
            password: changes.password.map(|text| validator.password(&text)),
            role: changes.role.map(|text| validator.role(&text)),
            vehicle_number: changes.vehicle_number.map(|text| validator.vehicle_number(text.as_deref())),
            phone_number: changes.phone_number.map(|text| validator.phone_number(text.as_deref())),
        };
        if let Some(password) = valid.password.take_if(|password| !password.is_empty()) {
            valid.password = valid.new_password(&mut validator, user, password).await?;
        }
        validator.finish(valid)
    }

    /// Whether they change how the user logs in or is reached, in whatever spelling.
    fn need_confirmation(&self, user: &User, country: Country) -> bool {
        let phone = |text: &String| spelling::phone(text, country).unwrap_or_else(|_| text.clone());
        self.password.is_some()
            || self.has_other_email(user)
            || self.phone_number.as_ref().is_some_and(|new| *new != user.phone_number.as_ref().map(phone))
    }

    fn has_other_email(&self, user: &User) -> bool {
        self.email.as_ref().is_some_and(|email| *email != mail_key(&user.email))
    }

    /// The password, unless it is the user's current one. That may be weaker than the rules of today.
    async fn new_password(
        &self,
        validator: &mut Validator,
        user: &User,
        password: String,
    ) -> Result<Option<String>> {
        if password::verify(Priority::Other, password.clone(), Some(user.password_hash.clone())).await?
            != Match::No
        {
            return Ok(None);
        }
        let (name, email) = (self.username.as_ref(), self.email.as_ref());
        let about = [name.unwrap_or(&user.username), email.unwrap_or(&user.email)];
        let about = about.into_iter().chain(user.vehicle_number.as_ref()).chain(user.phone_number.as_ref());
        validator.strength(&password, &about.map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(Some(password))
    }

    fn apply(&self, mut user: User, hash: Option<&str>) -> User {
        if let Some(username) = &self.username {
            user.name_key = spelling::name_key(username);
            user.username_key = user.name_key.clone().unwrap_or_else(|| lowered(username));
            user.username.clone_from(username);
        }
        if let Some(email) = &self.email {
            user.mail_key = Some(email.clone());
            user.email_key.clone_from(email);
            user.email.clone_from(email);
        }
        if let Some(phone) = &self.phone_number {
            user.phone_verified_at = user.phone_verified_at.filter(|_| user.phone_number == *phone);
            user.phone_key.clone_from(phone);
            user.phone_number.clone_from(phone);
        }
        if let Some((role, is_attendant)) = self.role.map(Role::columns) {
            (user.role, user.is_attendant) = (role.into(), is_attendant);
        }
        User { password_hash: hash.map_or(user.password_hash, ToOwned::to_owned), ..user }
    }
}

/// Locks all administrators, so that of two who demote each other at the same time the second finds itself the last.
async fn lock_admins(tx: &Transaction) -> Result<Vec<i64>> {
    use entities::user::{Column, Entity};

    let admins = Entity::find()
        .filter(Column::Role.eq(Role::Admin.as_str()))
        .filter(Column::DeletedAt.is_null())
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx)
        .await?;
    Ok(admins.iter().map(|admin| admin.id).collect())
}
