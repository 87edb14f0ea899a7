//! Secrets that the database keeps, because the settings have none.

use sea_orm::ConnectionTrait;

use super::{
    config::Config,
    db::{Db, sql},
    keys::{Key, Keys, Purpose, Stored},
};
use crate::base::error::Result;

/// In place of `APP_SECRET`.
const APP: &str = "app";

/// Verifies links in mails of releases before 0.4, which derived this key from `JWT_SECRET_KEY`.
const EARLIER_LINKS: &str = "links before 0.4";

/// The purpose of those links.
pub const LINKS: Purpose = b"parkade: links that unsubscribe, 1";

/// Reads the secrets of the database into the keys. The first start writes them; of several at once, one wins.
///
/// # Errors
/// Those of the database.
pub async fn load(db: &Db, config: &Config, keys: &Keys) -> Result<()> {
    if config.app_secrets.is_empty() && read(db, APP).await?.is_none() {
        keep(db, APP, &hex::encode(rand::random::<[u8; 32]>())).await?;
    }
    if !config.jwt_keys.is_empty() && read(db, EARLIER_LINKS).await?.is_none() {
        let earlier: Vec<String> = keys.before_0_4(LINKS)?.iter().map(Key::to_hex).collect();
        keep(db, EARLIER_LINKS, &earlier.join(",")).await?;
    }
    let earlier = read(db, EARLIER_LINKS).await?.unwrap_or_default();
    keys.add(Stored {
        secret: read(db, APP).await?.map(Into::into),
        earlier_links: earlier.split(',').filter_map(Key::from_hex).collect(),
    });
    Ok(())
}

async fn read(db: &Db, name: &str) -> Result<Option<String>> {
    let text = "SELECT value FROM secrets WHERE name = $1";
    let row = db.read().query_one_raw(sql(db.read(), text, [name.into()])).await?;
    Ok(row.map(|row| row.try_get("", "value")).transpose()?)
}

async fn keep(db: &Db, name: &str, value: &str) -> Result<()> {
    let text = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    db.write().execute_raw(sql(db.write(), text, [name.into(), value.into()])).await?;
    Ok(())
}
