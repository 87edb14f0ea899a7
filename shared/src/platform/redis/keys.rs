//! The table of what Parkade keeps in Redis, and how each key is called.

use std::fmt::Display;

use uuid::Uuid;

/// Keys that are named alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The logical database.
    pub database: u8,
    /// After the prefix of the installation; what differs from key to key is in braces.
    pub name: &'static str,
    /// As `TYPE` says.
    pub kind: &'static str,
    /// How long a key lives; without an end, why there are not ever more of them.
    pub lifetime: &'static str,
    /// Whether each key has an end.
    pub expires: bool,
    /// Who writes it.
    pub writer: &'static str,
    /// Who reads it.
    pub reader: &'static str,
}

const fn ends(
    database: u8,
    (name, kind): (&'static str, &'static str),
    lifetime: &'static str,
    (writer, reader): (&'static str, &'static str),
) -> Family {
    Family { database, name, kind, lifetime, expires: true, writer, reader }
}

const fn stays(
    database: u8,
    (name, kind): (&'static str, &'static str),
    lifetime: &'static str,
    (writer, reader): (&'static str, &'static str),
) -> Family {
    Family { database, name, kind, lifetime, expires: false, writer, reader }
}

/// Everything that is in Redis below the prefix. The queues of database 1 are laid out by apalis.
pub const FAMILIES: &[Family] = &[
    ends(
        0,
        ("session:{session}", "string"),
        "1 s",
        ("the request that looked the session up in SQL", "every request with its token"),
    ),
    ends(
        0,
        ("user_session:{session}", "string"),
        "12 h after it was last in use",
        ("the same, once a minute", "`GET /auth/sessions`, the dashboard"),
    ),
    ends(
        0,
        ("generation:{group}", "string"),
        "2 h",
        ("every write, for what it changed; the first reader", "every cached read"),
    ),
    ends(
        0,
        ("cache:{kind}:{which}", "string"),
        "`CACHE_*_TTL`, 90 to 100 % of it",
        ("who finds no fresh answer, if there is one", "every read of that kind"),
    ),
    ends(
        0,
        ("count:daily_{event}:{day}", "string"),
        "40 days",
        ("every process, five times a second", "the dashboard, reports"),
    ),
    stays(
        0,
        ("count:{name}", "string"),
        "until counters are cleared; names are those of events, routes, statuses and kinds of answers",
        ("every process, five times a second", "the dashboard, reports, `/health/redis`"),
    ),
    ends(
        0,
        ("active_users", "zset"),
        "12 h after anybody was seen; a user leaves it 12 h after they were",
        ("every process, five times a second", "the dashboard, reports, `/health/redis`"),
    ),
    ends(
        0,
        ("rate_limit:{action}:{caller}", "string"),
        "until the budget is whole, a window at most",
        ("every limited call", "the same"),
    ),
    ends(
        1,
        ("job:{job}", "hash"),
        "24 h after the last change",
        ("workers, cancelling", "`GET /tasks/{id}`, exports"),
    ),
    stays(
        1,
        ("{queue}:scheduled", "zset"),
        "until a worker takes them; 1,000 messages at most",
        ("announcing, the relay", "workers"),
    ),
    stays(
        1,
        ("{queue}:active", "list"),
        "the same messages, when a worker has looked",
        ("workers", "workers"),
    ),
    stays(
        1,
        ("{queue}:data", "hash"),
        "as long as their message, and until the relay tidies up",
        ("announcing, the relay", "workers"),
    ),
    stays(
        1,
        ("{queue}:meta:{message}", "hash"),
        "as long as their message, and until the relay tidies up",
        ("announcing, the relay, workers", "workers"),
    ),
    stays(
        1,
        ("{queue}:inflight:{consumer}", "set"),
        "while the consumer has a message",
        ("workers", "workers, when it is gone"),
    ),
    stays(1, ("{queue}:done", "set"), "until the relay tidies up", ("workers", "the relay")),
    stays(1, ("{queue}:dead", "set"), "until the relay tidies up", ("workers", "the relay")),
    stays(1, ("{queue}:signal", "list"), "one element", ("announcing, the relay", "workers")),
    stays(
        1,
        ("{queue}:workers", "zset"),
        "a name for each consumer that is alive or was not missed yet",
        ("workers", "workers, their `/health`"),
    ),
    ends(
        1,
        ("{queue}:workers:metadata:{consumer}", "hash"),
        "24 h after the consumer began",
        ("workers", "nobody"),
    ),
    ends(2, ("mail:{delivery}", "string"), "24 h", ("workers, for each message", "whoever looks into Redis")),
];

/// The family that a key without its prefix belongs to.
#[must_use]
pub fn family_of(database: u8, key: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.database == database && is_named(key, family.name))
}

/// Whether a key follows a pattern: what is in braces is anything but nothing.
fn is_named(key: &str, pattern: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('{') else { return key == pattern };
    let Some(key) = key.strip_prefix(literal) else { return false };
    let rest = rest.split_once('}').map_or("", |(_, rest)| rest);
    (1..=key.len()).any(|end| key.is_char_boundary(end) && is_named(&key[end..], rest))
}

/// The table as `docs/OPERATIONS.md` has it, which a test compares.
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

/// Every key that Parkade writes itself. The queues below `{prefix}:{queue}:` are laid out by apalis.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a>(pub(super) &'a str);

impl Keys<'_> {
    /// What every key of ours begins with.
    #[must_use]
    pub fn prefix(self) -> String {
        format!("{}:", self.0)
    }

    /// What SCAN is asked for to find keys of ours that go on like this: `cache:*`.
    #[must_use]
    pub fn pattern(self, rest: &str) -> String {
        let literal = |c: char| if "*?[]\\^-".contains(c) { format!("\\{c}") } else { c.to_string() };
        format!("{}:{rest}", self.0.chars().map(literal).collect::<String>())
    }

    /// Database 0, string, 1 s: who a session belongs to.
    #[must_use]
    pub fn session(self, id: Uuid) -> String {
        format!("{}:session:{id}", self.0)
    }

    /// Database 0, string, 12 h: when a session was last in use, in seconds since 1970.
    #[must_use]
    pub fn user_session(self, id: Uuid) -> String {
        format!("{}:user_session:{id}", self.0)
    }

    /// Database 0, string, 2 h: stands for the state of a group; another one after every change.
    #[must_use]
    pub fn generation(self, group: impl Display) -> String {
        format!("{}:generation:{group}", self.0)
    }

    /// Database 0, string, as its TTL setting says: an answer with its generations and its ETag.
    #[must_use]
    pub fn cached(self, what: &str) -> String {
        format!("{}:cache:{what}", self.0)
    }

    /// Database 0, number; daily ones for 40 days: how often something happened.
    #[must_use]
    pub fn counter(self, name: &str) -> String {
        format!("{}:count:{name}", self.0)
    }

    /// Database 0, sorted set, 12 h: users by when they were last seen.
    #[must_use]
    pub fn active_users(self) -> String {
        format!("{}:active_users", self.0)
    }

    /// Database 0, number, until it has passed: when a caller's budget is whole again, in microseconds since 1970.
    #[must_use]
    pub fn rate_limit(self, action: &str, caller: &str) -> String {
        format!("{}:rate_limit:{action}:{caller}", self.0)
    }

    /// Database 1: what apalis calls a queue.
    #[must_use]
    pub fn queue(self, queue: &str) -> String {
        format!("{}:{queue}", self.0)
    }

    /// Database 1, hash, 24 h after the end: the status of a job.
    #[must_use]
    pub fn job(self, id: Uuid) -> String {
        format!("{}:job:{id}", self.0)
    }

    /// Database 1, channel: a queue has something new; the message is its name.
    #[must_use]
    pub fn wake_channel(self) -> String {
        format!("{}:wake", self.0)
    }

    /// Database 1, channel: a job is to stop; the message is its id.
    #[must_use]
    pub fn cancel_channel(self) -> String {
        format!("{}:cancel", self.0)
    }

    /// Database 1, channel: a job's status has changed; the message is its id.
    #[must_use]
    pub fn status_channel(self) -> String {
        format!("{}:status", self.0)
    }

    /// Database 2, string, 24 h: what became of a mail.
    #[must_use]
    pub fn mail(self, key: &str) -> String {
        format!("{}:mail:{key}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_table() {
        let (keys, id) = (Keys(""), Uuid::nil());
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
        for stranger in ["", "session:", "cache:users", "active_users:1", "mail:1"] {
            assert_eq!(family_of(0, stranger), None, "{stranger}");
        }
    }

    #[test]
    fn special_characters_in_the_prefix_are_escaped() {
        assert_eq!(Keys("parkade").pattern("cache:*"), "parkade:cache:*");
        assert_eq!(Keys("a*[b]?\\").pattern("job:*"), "a\\*\\[b\\]\\?\\\\:job:*");
    }
}
