//! Runs every check, each with a time limit.

use std::time::Duration;

use serde::Serialize;

use super::{
    clocks, database, host, mail, redis,
    verdict::{Verdict, problem},
};
use crate::{base::clock::Clock, platform::config::Config};

/// How long a check may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A verdict and the part of the system it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Such as `database`.
    pub area: &'static str,
    /// What was found, and what to do.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Checks everything. A service that cannot be reached is a finding, not an error.
pub async fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let (database, redis, workers, mail, clocks) = tokio::join!(
        within_timeout(database::check(config, clock)),
        within_timeout(redis::check(config, clock)),
        within_timeout(redis::check_workers(config, clock)),
        within_timeout(mail::check(config)),
        within_timeout(clocks::check(config, clock)),
    );
    let areas = [
        ("settings", host::check_settings(config, clock)),
        ("database", database),
        ("redis", redis),
        ("clocks", clocks),
        ("worker", workers),
        ("mail", mail),
        ("files", host::check_files(config)),
        ("backup", vec![host::check_backup(config, clock)]),
    ];
    let findings =
        |(area, verdicts): (_, Vec<_>)| verdicts.into_iter().map(move |verdict| Finding { area, verdict });
    areas.into_iter().flat_map(findings).collect()
}

async fn within_timeout(check: impl Future<Output = Vec<Verdict>>) -> Vec<Verdict> {
    tokio::time::timeout(TIMEOUT, check).await.unwrap_or_else(|_| {
        let what = format!("no answer within {} s", TIMEOUT.as_secs());
        vec![problem(what, "it hangs or is overloaded, or a firewall drops packets")]
    })
}
