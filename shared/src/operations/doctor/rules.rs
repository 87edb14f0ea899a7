//! Judges what the checks measured. Pure.

use std::collections::BTreeSet;

use migration::WithoutKey;
use secrecy::{ExposeSecret, SecretString};

use super::verdict::{Verdict, ok, problem, warning};
use crate::{
    base::{currency::Currency, plural::plural},
    parking::notifications::outage::Outage,
    platform::installation::{self, Rounded},
};

#[cfg(test)]
mod tests;

/// Compares the applied migrations with those of this release.
pub(super) fn schema(applied: &[String], known: &[String]) -> Verdict {
    if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        return problem(
            format!("the schema is newer than this release, which does not know {newer}"),
            "run the release that migrated it, or restore an older backup",
        );
    }
    match known.len() - applied.len() {
        0 => ok(format!("the schema is up to date: {}", known.last().map_or("none", String::as_str))),
        missing => warning(
            format!("the schema is {} behind", plural(missing, "migration")),
            "run parkade-api migrate up; serve and run also do it when they start",
        ),
    }
}

/// Compares the currency of the amounts with the setting.
pub(super) fn currency(stored: Option<&str>, configured: Currency) -> Verdict {
    match stored.map(|stored| (stored, installation::conflict(stored, configured))) {
        None => ok(format!("the first start will fix the currency: {configured}")),
        Some((stored, None)) => ok(format!("amounts are in {stored}")),
        Some((stored, Some(why))) => problem(
            why,
            format!(
                "amounts are never converted; for another currency than {stored}, set DATABASE_URL to an empty database"
            ),
        ),
    }
}

/// Lists amounts that an upgrade rounded.
pub(super) fn rounded(first: &[Rounded], count: i64) -> Option<Verdict> {
    let all: Vec<_> = first.iter().map(ToString::to_string).collect();
    (count > 0).then(|| {
        warning(
            format!("the upgrade rounded {} that the currency cannot express: {}", plural(count, "amount"), all.join("; ")),
            "check the prices of these lots, and change them with PUT /api/parking-lots/{id}; past bills stay as they are",
        )
    })
}

/// Judges values of accounts that no other account is kept from having.
pub(super) fn without_key(found: &[WithoutKey]) -> Vec<Verdict> {
    let verdict = |found: &WithoutKey| {
        let users: Vec<_> = found.users.iter().map(ToString::to_string).collect();
        let more = if found.count > users.len() as i64 { " and others" } else { "" };
        warning(
            format!(
                "the {} of {} is not kept unique: user {}{more}",
                found.what,
                plural(found.count, "account"),
                users.join(", ")
            ),
            "an older account has the same in another spelling, or it is not valid: correct it with PUT /api/users/{id}, \
             or delete one of the accounts",
        )
    };
    if found.is_empty() {
        vec![ok("user names, mail addresses, phone numbers and plates are unique in every spelling")]
    } else {
        found.iter().map(verdict).collect()
    }
}

/// Settings of a PostgreSQL server.
#[derive(Debug, Clone, Copy)]
pub(super) struct PostgresServer {
    /// `fsync` and `full_page_writes` are on.
    pub(super) is_crash_safe: bool,
    /// `synchronous_commit` is not off.
    pub(super) waits_for_disk: bool,
    pub(super) max_connections: u32,
}

/// Judges a server whose clients open `per_process` connections each.
pub(super) fn postgres(server: PostgresServer, per_process: u32) -> Vec<Verdict> {
    let mut found = Vec::new();
    if !server.is_crash_safe {
        found.push(problem(
            "PostgreSQL may lose or corrupt data in a crash: fsync or full_page_writes is off",
            "set both to on in postgresql.conf and restart PostgreSQL",
        ));
    }
    if !server.waits_for_disk {
        found.push(warning(
            "PostgreSQL may lose the latest bookings in a crash: synchronous_commit is off",
            "set synchronous_commit to on in postgresql.conf",
        ));
    }
    let (available, needed) = (server.max_connections, 2 * per_process + 3);
    if available < needed {
        found.push(warning(
            format!("max_connections is {available}, but an API and a worker may open {needed} with the current DATABASE_CONNECTIONS"),
            "raise max_connections in postgresql.conf, or lower DATABASE_CONNECTIONS",
        ));
    }
    if found.is_empty() {
        found.push(ok("its settings are good"));
    }
    found
}

pub(super) fn sqlite(journal_mode: &str, is_production: bool) -> Verdict {
    if journal_mode != "wal" {
        return warning(
            format!("the journal mode is {journal_mode}: readers wait for writers"),
            "move the file to a local disk: write-ahead logging does not work on network disks",
        );
    }
    if is_production {
        return warning(
            "SQLite in production: one writer at a time, one machine, no standby",
            "fine for a small car park; otherwise use PostgreSQL",
        );
    }
    ok("write-ahead logging is on")
}

pub(super) fn disk(name: &str, used_percent: u8, limit: u8) -> Verdict {
    let what = format!("{used_percent} % of the disk of {name} is used");
    match used_percent {
        99.. => problem(what, "free up space now: writes are failing or about to fail"),
        used if used >= limit => warning(what, "free up space, or raise ALERT_DISK_PERCENT"),
        _ => ok(what),
    }
}

/// Judges the difference between another clock and ours. Leases of jobs last three seconds.
pub(super) fn clock(whose: &str, milliseconds: i64) -> Verdict {
    let what = format!("the clock of {whose} differs by {milliseconds} ms");
    let advice = "synchronize the clocks of all machines: timedatectl set-ntp true";
    match milliseconds.unsigned_abs() {
        3_000.. => problem(format!("{what}: jobs may run twice or late"), advice),
        1_000.. => warning(what, advice),
        _ => ok(what),
    }
}

/// Settings and state of a Redis server. Memory is in bytes.
#[derive(Debug, Clone)]
pub(super) struct RedisServer {
    pub(super) version: String,
    pub(super) has_append_only_file: bool,
    /// 0 for no limit.
    pub(super) max_memory: u64,
    pub(super) used_memory: u64,
    /// `maxmemory-policy`.
    pub(super) policy: String,
}

pub(super) fn redis(server: &RedisServer) -> Vec<Verdict> {
    let RedisServer { version, has_append_only_file, max_memory, used_memory, policy } = server;
    let used = used_memory >> 20;
    let mut found = vec![ok(format!("version {version}, {used} MiB used"))];
    if !has_append_only_file {
        found.push(warning(
            "no append-only file: after a restart counters begin at zero and jobs are announced again",
            "redis-cli config set appendonly yes, and appendonly yes in redis.conf",
        ));
    }
    if *max_memory > 0 && policy != "noeviction" {
        found.push(problem(
            format!("maxmemory-policy is {policy}: announcements of jobs may be evicted"),
            "redis-cli config set maxmemory-policy noeviction, and the same in redis.conf",
        ));
    }
    if *max_memory > 0 && used_memory.saturating_mul(10) >= max_memory.saturating_mul(9) {
        found.push(warning(
            format!(
                "{used} of {} MiB are used; when full, it caches and announces nothing",
                max_memory >> 20
            ),
            "raise maxmemory, or run parkade-api cache clear",
        ));
    }
    found
}

/// Judges the round trip to Redis.
pub(super) fn latency(milliseconds: f64) -> Verdict {
    let what = format!("a round trip takes {milliseconds:.1} ms");
    let advice = "move Redis closer: every request makes several round trips";
    match milliseconds {
        100.0.. => problem(what, advice),
        10.0.. => warning(what, advice),
        _ => ok(what),
    }
}

/// Judges how hard the signing key is to guess.
/// About the weakest of the keys.
pub(super) fn secret(keys: &[SecretString]) -> Verdict {
    let advice = "set JWT_SECRET_KEY to the output of: openssl rand -hex 32";
    let different = |key: &SecretString| key.expose_secret().bytes().collect::<BTreeSet<_>>().len();
    let Some(different) = keys.iter().map(different).min() else {
        return problem("JWT_SECRET_KEY is missing", advice);
    };
    let text: String = keys.iter().map(|key| key.expose_secret().to_lowercase() + "\n").collect();
    if different < 8 {
        problem(
            format!("JWT_SECRET_KEY has only {different} different characters and can be guessed"),
            advice,
        )
    } else if ["change", "secret", "example", "password", "parkade"].iter().any(|word| text.contains(word)) {
        warning("JWT_SECRET_KEY contains words and may be guessed", advice)
    } else {
        ok("JWT_SECRET_KEY is long and varied")
    }
}

pub(super) fn public_url(url: &str, is_production: bool) -> Verdict {
    let is_local = ["//127.", "//localhost", "//[::1]"].iter().any(|host| url.contains(host));
    match (is_production, url.starts_with("https://")) {
        (true, false) => problem(
            format!("PUBLIC_URL is {url}: tokens are sent unencrypted"),
            "put a reverse proxy with TLS in front, and set PUBLIC_URL to its https address",
        ),
        (true, true) if is_local => problem(
            format!("PUBLIC_URL is {url}: links in mails work on this machine only"),
            "set PUBLIC_URL to the address that users know",
        ),
        _ => ok(format!("PUBLIC_URL is {url}")),
    }
}

pub(super) fn origins(origins: &[String], is_production: bool) -> Verdict {
    let insecure = origins.iter().find(|origin| !origin.starts_with("https://"));
    match insecure.filter(|_| is_production) {
        Some(origin) => warning(
            format!("CORS_ORIGINS allows {origin}"),
            "set CORS_ORIGINS to the https origins of your web client",
        ),
        None => ok(format!("{} may call the API", plural(origins.len(), "web origin"))),
    }
}

pub(super) fn consumers(queue: &str, alive: usize) -> Verdict {
    match alive {
        0 => problem(
            format!("no worker takes jobs from the queue {queue}"),
            "start parkade-worker run; if one is running, check its log",
        ),
        alive => ok(format!("{} on the queue {queue}", plural(alive, "consumer"))),
    }
}

/// Judges the due jobs of a queue; `oldest` is how many seconds the first of them has been due.
pub(super) fn backlog(queue: &str, jobs: i64, oldest: i64) -> Verdict {
    let what = format!("{} waiting in the queue {queue}, the oldest for {oldest} s", plural(jobs, "job"));
    if oldest > 300 {
        warning(
            what,
            "check with parkade-worker jobs list whether it is paused; otherwise start another worker",
        )
    } else {
        ok(what)
    }
}

/// Judges an outage of the mail server, for which `held` jobs wait.
pub(super) fn mail_outage(outage: &Outage, held: i64) -> Verdict {
    let what = format!(
        "{} waiting since {}, because the mail server takes none: {}",
        plural(held, "mail"),
        outage.since.format("%Y-%m-%d %H:%M UTC"),
        outage.reason
    );
    problem(
        what,
        "they are sent when it takes mail again; to see each step: parkade-worker test-email ADDRESS",
    )
}

pub(super) fn dead(jobs: i64) -> Verdict {
    match jobs {
        0 => ok("no dead jobs"),
        jobs => warning(
            plural(jobs, "dead job"),
            "see parkade-worker jobs list for the errors; then run jobs requeue or jobs purge",
        ),
    }
}

/// Judges the age of the last backup. `has_folder` says whether BACKUP_FOLDER is set.
pub(super) fn backup(has_folder: bool, hours: Option<i64>) -> Verdict {
    match hours {
        Some(hours) => {
            let what = format!("the last backup is {} old", plural(hours, "hour"));
            let advice = "check systemctl status parkade-backup.timer, or run parkade-api backup";
            if hours <= 26 { ok(what) } else { warning(what, advice) }
        }
        None if has_folder => warning("BACKUP_FOLDER contains no backup", "run parkade-api backup every day"),
        None => warning(
            "backups cannot be checked: BACKUP_FOLDER is not set",
            "set BACKUP_FOLDER, and run parkade-api backup every day",
        ),
    }
}
