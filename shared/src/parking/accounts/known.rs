//! Where a user has logged in lately: from there, strangers who try passwords do not lock them out.

use std::net::IpAddr;

use chrono::TimeDelta;
use hmac::Mac;
use sea_orm::ConnectionTrait;

use super::user::User;
use crate::{
    app::App,
    base::{error::Result, network::Network},
    platform::db::{Transaction, at, sql},
};

/// How long a network is known after a login from it.
pub const KNOWN_FOR: TimeDelta = TimeDelta::days(30);

/// Separates these hashes from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: networks of logins, 1";

/// Notes that the user logs in from this address.
pub(super) async fn remember(
    app: &App,
    tx: &Transaction,
    user_id: i64,
    address: Option<IpAddr>,
) -> Result<()> {
    let text = "INSERT INTO known_addresses (user_id, hash, last_seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, hash) DO UPDATE SET last_seen_at = excluded.last_seen_at";
    let values = [user_id.into(), hash(app, user_id, address)?.into(), at(app.clock.now())];
    tx.execute_raw(sql(tx, text, values)).await?;
    Ok(())
}

/// Whether one of the users has logged in from there lately.
pub(super) async fn is_known(app: &App, users: &[User], address: Option<IpAddr>) -> Result<bool> {
    let (db, since) = (app.db.read(), app.clock.now() - KNOWN_FOR);
    let text = "SELECT 1 FROM known_addresses WHERE user_id = $1 AND hash = $2 AND last_seen_at > $3";
    for user in users {
        let values = [user.id.into(), hash(app, user.id, address)?.into(), at(since)];
        if db.query_one_raw(sql(db, text, values)).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hash(app: &App, user_id: i64, address: Option<IpAddr>) -> Result<String> {
    let text = format!("{user_id}:{}", Network(address));
    Ok(hex::encode(app.keys.lasting(PURPOSE)?.sign(text.as_bytes())?.finalize().into_bytes()))
}
