//! The table of what Parkade keeps in Redis.

/// Keys that are named after one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The logical database.
    pub database: u8,
    /// The pattern, without the prefix of the installation; variable parts are in braces.
    pub name: &'static str,
    /// The Redis type, as `TYPE` reports it.
    pub kind: &'static str,
    /// How long a key exists; if it does not expire, what limits the number of keys.
    pub lifetime: &'static str,
    /// Whether each key has an expiry.
    pub expires: bool,
    /// What writes it.
    pub writer: &'static str,
    /// What reads it.
    pub reader: &'static str,
}

const fn expiring(
    database: u8,
    (name, kind): (&'static str, &'static str),
    lifetime: &'static str,
    (writer, reader): (&'static str, &'static str),
) -> Family {
    Family { database, name, kind, lifetime, expires: true, writer, reader }
}

const fn permanent(
    database: u8,
    (name, kind): (&'static str, &'static str),
    lifetime: &'static str,
    (writer, reader): (&'static str, &'static str),
) -> Family {
    Family { database, name, kind, lifetime, expires: false, writer, reader }
}

/// In which apalis lists its queues: the only key that is not under the prefix.
pub const REGISTER: &str = "core:apalis:queues:list";

/// Everything in Redis under the prefix. The layout of the queues in database 1 is that of apalis.
pub const FAMILIES: &[Family] = &[
    expiring(
        0,
        ("session:{session}", "string"),
        "1 s",
        ("the request that looked the session up in SQL", "every request with its token"),
    ),
    expiring(
        0,
        ("user_session:{session}", "string"),
        "12 h after its last use",
        ("the same request, once a minute", "`GET /auth/sessions`, the dashboard"),
    ),
    expiring(
        0,
        ("generation:{group}", "string"),
        "2 h",
        ("every write, for what it changed; the first read", "every cached read"),
    ),
    expiring(
        0,
        ("cache:{kind}:{which}", "string"),
        "`CACHE_*_TTL`, 90 to 100 % of it",
        ("a read that finds no fresh answer", "every read of that kind"),
    ),
    expiring(
        0,
        ("count:daily_{event}:{day}", "string"),
        "40 days",
        ("every process, five times a second", "the dashboard, reports"),
    ),
    permanent(
        0,
        ("count:{name}", "string"),
        "until counters are cleared; one for each event, route, status and kind of answer",
        ("every process, five times a second", "the dashboard, reports, `/health/redis`"),
    ),
    expiring(
        0,
        ("active_users", "zset"),
        "12 h after any user was active; each user is removed 12 h after their last request",
        ("every process, five times a second", "the dashboard, reports, `/health/redis`"),
    ),
    expiring(
        0,
        ("rate_limit:{action}:{caller}", "string"),
        "until the budget is whole again, one window at most",
        ("every limited call", "every limited call"),
    ),
    expiring(
        1,
        ("job:{job}", "hash"),
        "24 h after the last change",
        ("workers, cancellation", "`GET /tasks/{id}`, exports"),
    ),
    permanent(
        1,
        ("{queue}:scheduled", "zset"),
        "until a worker takes the messages; 1,000 at most",
        ("enqueuing, the relay", "workers"),
    ),
    permanent(1, ("{queue}:active", "list"), "until a worker takes the messages", ("workers", "workers")),
    permanent(
        1,
        ("{queue}:data", "hash"),
        "as long as the message, until the relay cleans up",
        ("enqueuing, the relay", "workers"),
    ),
    permanent(
        1,
        ("{queue}:meta:{message}", "hash"),
        "as long as the message, until the relay cleans up",
        ("enqueuing, the relay, workers", "workers"),
    ),
    permanent(
        1,
        ("{queue}:inflight:{consumer}", "set"),
        "while the consumer holds a message",
        ("workers", "workers, when the consumer is gone"),
    ),
    permanent(1, ("{queue}:done", "set"), "until the relay cleans up", ("workers", "the relay")),
    permanent(1, ("{queue}:dead", "set"), "until the relay cleans up", ("workers", "the relay")),
    permanent(1, ("{queue}:signal", "list"), "one element", ("enqueuing, the relay", "workers")),
    permanent(
        1,
        ("{queue}:workers", "zset"),
        "one entry for each consumer that is alive or not yet found dead",
        ("workers", "workers, their `/health`"),
    ),
    expiring(
        1,
        ("{queue}:workers:metadata:{consumer}", "hash"),
        "24 h after the consumer started",
        ("workers", "nobody"),
    ),
    expiring(
        2,
        ("mail:{delivery}", "string"),
        "24 h",
        ("workers, for each message", "operators who inspect Redis"),
    ),
];

/// The family of a key, given without its prefix.
#[must_use]
pub fn family_of(database: u8, key: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.database == database && matches(key, family.name))
}

/// Whether a key matches a pattern, whose variable parts stand for anything but nothing.
fn matches(key: &str, pattern: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('{') else { return key == pattern };
    let Some(key) = key.strip_prefix(literal) else { return false };
    let rest = rest.split_once('}').map_or("", |(_, rest)| rest);
    (1..=key.len()).any(|end| key.is_char_boundary(end) && matches(&key[end..], rest))
}

/// The rows of the table in `docs/OPERATIONS.md`, which a test compares.
#[must_use]
pub fn table_rows() -> Vec<String> {
    let row = |f: &Family| {
        format!(
            "| {} | `{}` | {} | {} | {} | {} |",
            f.database, f.name, f.kind, f.lifetime, f.writer, f.reader
        )
    };
    FAMILIES.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::platform::redis::keys::Keys;

    #[test]
    fn every_key_is_in_the_table() {
        let (keys, id) = (Keys::new(""), Uuid::nil());
        let named = [
            (0, keys.session(id), "session:{session}"),
            (0, keys.user_session(id), "user_session:{session}"),
            (0, keys.generation("user:7"), "generation:{group}"),
            (0, keys.cached("parking_lots:all"), "cache:{kind}:{which}"),
            (0, keys.counter("daily_logins:2026-11-20"), "count:daily_{event}:{day}"),
            (0, keys.counter("endpoint_calls:GET /users/{id}"), "count:{name}"),
            (0, keys.active_users(), "active_users"),
            (0, keys.rate_limit("login", "address:::1"), "rate_limit:{action}:{caller}"),
            (1, keys.job(id), "job:{job}"),
            (2, keys.mail("receipt:7"), "mail:{delivery}"),
        ];
        for (database, key, name) in named {
            let key = key.strip_prefix(':').unwrap();
            assert_eq!(family_of(database, key).map(|family| family.name), Some(name), "{key}");
            assert_eq!(family_of(3, key), None);
        }
        for unknown in ["", "session:", "cache:users", "active_users:1", "mail:1"] {
            assert_eq!(family_of(0, unknown), None, "{unknown}");
        }
    }
}
