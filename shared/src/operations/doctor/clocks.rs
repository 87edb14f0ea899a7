//! Finds the clock that is wrong.

use secrecy::ExposeSecret;

use super::verdict::{Verdict, ok, problem};
use crate::{
    base::{clock::Clock, error::Result},
    operations::backup,
    platform::{clock_check::Offsets, config::Config, db::Db, redis::Redis},
};

/// Finds nothing where a server cannot be reached: others say so.
pub(super) async fn check(config: &Config, clock: &Clock) -> Vec<Verdict> {
    let Ok(offsets) = measure(config, clock).await else { return Vec::new() };
    vec![match offsets.wrong() {
        Some(wrong) => problem(
            wrong.to_string(),
            "synchronize it: timedatectl set-ntp true; if it was in the future, then run parkade-worker jobs repair-times",
        ),
        None => ok("the clocks of this machine and of the servers agree"),
    }]
}

async fn measure(config: &Config, clock: &Clock) -> Result<Offsets> {
    let redis = Redis::new(config).await?;
    let url = config.database_url.expose_secret();
    if backup::is_missing(url) {
        return Ok(Offsets::default());
    }
    let db = Db::connect(url, 1).await?;
    let offsets = Offsets::measure(&db, &redis, clock).await;
    db.close().await;
    Ok(offsets)
}
