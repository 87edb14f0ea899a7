//! What the doctor thinks of what it has found. Pure.

use serde::Serialize;

#[cfg(test)]
mod tests;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or not as well as it could.
    Warning,
    /// Something does not work, or data is in danger.
    Problem,
}

/// What was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// All is well.
pub fn ok(what: impl Into<String>) -> Verdict {
    Verdict { level: Level::Ok, what: what.into(), advice: None }
}

/// Something to look after.
pub fn warning(what: impl Into<String>, advice: impl Into<String>) -> Verdict {
    Verdict { level: Level::Warning, what: what.into(), advice: Some(advice.into()) }
}

/// Something to do now.
pub fn problem(what: impl Into<String>, advice: impl Into<String>) -> Verdict {
    Verdict { level: Level::Problem, what: what.into(), advice: Some(advice.into()) }
}

/// Migrations of the database beside those of this release.
#[must_use]
pub fn schema(applied: &[String], known: &[String]) -> Verdict {
    if let Some(later) = applied.iter().find(|name| !known.contains(name)) {
        let what = format!("the schema is of a later release: this one does not know {later}");
        return problem(what, "run the release that made it, or restore a backup of before");
    }
    match known.len() - applied.len() {
        0 => {
            ok(format!("the schema is that of this release, {}", known.last().map_or("none", String::as_str)))
        }
        missing => warning(
            format!("the schema is {missing} migrations behind"),
            "parkade-api migrate up; serve and run do it when they start, too",
        ),
    }
}

/// What a PostgreSQL server is set to.
#[derive(Debug, Clone, Copy)]
pub struct Postgres {
    /// `fsync` and `full_page_writes`.
    pub is_safe: bool,
    /// `synchronous_commit` is not off.
    pub waits_for_disk: bool,
    /// `max_connections`.
    pub connections: u32,
}

/// Settings of PostgreSQL that matter, for processes with so many connections each.
#[must_use]
pub fn postgres(server: Postgres, per_process: u32) -> Vec<Verdict> {
    let mut found = Vec::new();
    if !server.is_safe {
        let what = "PostgreSQL may lose or damage data in a crash: fsync or full_page_writes is off";
        found.push(problem(what, "set both to on in postgresql.conf and restart it"));
    }
    if !server.waits_for_disk {
        let what = "PostgreSQL may forget the last bookings in a crash: synchronous_commit is off";
        found.push(warning(what, "set synchronous_commit to on in postgresql.conf"));
    }
    let needed = 2 * per_process + 3;
    if server.connections < needed {
        found.push(warning(
            format!("max_connections is {}; an API and a worker may take {needed} with DATABASE_CONNECTIONS as it is", server.connections),
            "raise max_connections in postgresql.conf, or lower DATABASE_CONNECTIONS",
        ));
    }
    if found.is_empty() {
        found.push(ok("its settings are good"));
    }
    found
}

/// How a SQLite file is written.
#[must_use]
pub fn sqlite(journal: &str, is_production: bool) -> Verdict {
    if journal != "wal" {
        let what = format!("the journal mode is {journal}: readers wait for writers");
        return warning(
            what,
            "put the file on a disk of this machine: there is no write-ahead log on network disks",
        );
    }
    if is_production {
        let what = "SQLite in production: one writer at a time, one machine, no standby";
        return warning(what, "fine for a small car park; else move to PostgreSQL");
    }
    ok("the write-ahead log is on")
}

/// How full the disk of something is, in per cent.
#[must_use]
pub fn disk(of: &str, used: u8, limit: u8) -> Verdict {
    let what = format!("{used} % of the disk of {of} is used");
    match used {
        99.. => problem(what, "make room now: nothing can be written there"),
        used if used >= limit => warning(what, "make room, or raise ALERT_DISK_PERCENT"),
        _ => ok(what),
    }
}

/// How far another clock is from ours, in milliseconds. Leases of jobs are three seconds.
#[must_use]
pub fn clock(whose: &str, milliseconds: i64) -> Verdict {
    let what = format!("the clock of {whose} differs by {milliseconds} ms");
    let advice = "let all machines keep time by NTP: timedatectl set-ntp true";
    match milliseconds.unsigned_abs() {
        3_000.. => problem(format!("{what}: jobs may be run twice, or late"), advice),
        1_000.. => warning(what, advice),
        _ => ok(what),
    }
}

/// What a Redis server is set to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its version.
    pub version: String,
    /// Whether it has an append-only file.
    pub appends: bool,
    /// `maxmemory` in bytes, 0 for none.
    pub limit: u64,
    /// Bytes that it uses.
    pub used: u64,
    /// `maxmemory-policy`.
    pub policy: String,
}

/// Settings of Redis that matter.
#[must_use]
pub fn server(server: &Server) -> Vec<Verdict> {
    let Server { version, appends, limit, used, policy } = server;
    let mut found = vec![ok(format!("version {version}, {} MiB used", used >> 20))];
    if !appends {
        found.push(warning(
            "no append-only file: after a restart counters begin at zero, and jobs are announced anew",
            "redis-cli config set appendonly yes, and appendonly yes in redis.conf",
        ));
    }
    if *limit > 0 && policy != "noeviction" {
        found.push(problem(
            format!("maxmemory-policy is {policy}: announcements of jobs may be evicted"),
            "redis-cli config set maxmemory-policy noeviction, and the same in redis.conf",
        ));
    }
    if *limit > 0 && used.saturating_mul(10) >= limit.saturating_mul(9) {
        found.push(warning(
            format!(
                "{} of {} MiB are used; when it is full, nothing is cached or announced",
                used >> 20,
                limit >> 20
            ),
            "raise maxmemory, or parkade-api cache clear",
        ));
    }
    found
}

/// How long a round trip to Redis takes.
#[must_use]
pub fn latency(milliseconds: f64) -> Verdict {
    let what = format!("a round trip takes {milliseconds:.1} ms");
    match milliseconds {
        over if over >= 100.0 => problem(what, "every request waits for several of them: put Redis nearer"),
        over if over >= 10.0 => warning(what, "every request waits for several of them: put Redis nearer"),
        _ => ok(what),
    }
}

/// How hard the key of tokens is to guess.
#[must_use]
pub fn secret(key: Option<&[u8]>) -> Verdict {
    let advice =
        "set JWT_SECRET_KEY to the output of: openssl rand -hex 32; everybody must log in again then";
    let Some(key) = key else { return problem("JWT_SECRET_KEY is missing", advice) };
    let different = key.iter().collect::<std::collections::BTreeSet<_>>().len();
    let text = String::from_utf8_lossy(key).to_lowercase();
    let is_guessable =
        ["change", "secret", "example", "password", "parkade"].iter().any(|word| text.contains(word));
    if different < 8 {
        problem(format!("JWT_SECRET_KEY has {different} different characters and can be guessed"), advice)
    } else if is_guessable {
        warning("JWT_SECRET_KEY has words in it and may be guessed", advice)
    } else {
        ok("the key of tokens is long and mixed")
    }
}

/// The address that mails lead to.
#[must_use]
pub fn public_url(url: &str, is_production: bool) -> Verdict {
    let is_here = ["//127.", "//localhost", "//[::1]"].iter().any(|host| url.contains(host));
    match (is_production, url.starts_with("https://")) {
        (true, false) => problem(
            format!("PUBLIC_URL is {url}: tokens travel in clear"),
            "serve it by a reverse proxy with TLS, and set PUBLIC_URL to its https address",
        ),
        (true, true) if is_here => problem(
            format!("PUBLIC_URL is {url}: links in mails lead nowhere"),
            "set PUBLIC_URL to the address that users know",
        ),
        _ => ok(format!("PUBLIC_URL is {url}")),
    }
}

/// Web origins that may call the API.
#[must_use]
pub fn origins(origins: &[String], is_production: bool) -> Verdict {
    let loose = origins.iter().find(|origin| !origin.starts_with("https://"));
    match loose.filter(|_| is_production) {
        Some(origin) => warning(
            format!("CORS_ORIGINS lets {origin} in"),
            "set CORS_ORIGINS to the https origins of your web client",
        ),
        None => ok(format!("{} web origins may call the API", origins.len())),
    }
}

/// Consumers of a queue that were seen in the last seconds.
#[must_use]
pub fn consumers(queue: &str, alive: usize) -> Verdict {
    match alive {
        0 => problem(
            format!("no worker takes jobs of the queue {queue}"),
            "start parkade-worker run; if one runs, look into its log",
        ),
        1 => ok(format!("a consumer takes jobs of the queue {queue}")),
        alive => ok(format!("{alive} consumers take jobs of the queue {queue}")),
    }
}

/// For how many seconds the oldest job that is due has waited.
#[must_use]
pub fn backlog(queue: &str, jobs: i64, oldest: i64) -> Verdict {
    let what = format!("{jobs} jobs of the queue {queue} wait, the oldest for {oldest} s");
    if oldest > 300 {
        warning(what, "parkade-worker jobs list shows whether it is paused; else start another worker")
    } else {
        ok(what)
    }
}

/// Jobs that were given up.
#[must_use]
pub fn dead(jobs: i64) -> Verdict {
    match jobs {
        0 => ok("no job was given up"),
        jobs => warning(
            format!("{jobs} jobs were given up"),
            "parkade-worker jobs list says why; then jobs requeue or jobs purge",
        ),
    }
}

/// How many hours ago the last backup was made, in the folder for them if there is one.
#[must_use]
pub fn backup(has_folder: bool, hours: Option<i64>) -> Verdict {
    match hours {
        Some(hours) if hours <= 26 => ok(format!("the last backup is {hours} hours old")),
        Some(hours) => warning(
            format!("the last backup is {hours} hours old"),
            "look why: systemctl status parkade-backup.timer, or run parkade-api backup",
        ),
        None if has_folder => warning("BACKUP_FOLDER holds no backup", "run parkade-api backup, every day"),
        None => warning(
            "it is not known whether there are backups",
            "set BACKUP_FOLDER, and run parkade-api backup every day",
        ),
    }
}
