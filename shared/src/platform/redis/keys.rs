//! The names of keys in Redis.

use std::fmt::Display;

use uuid::Uuid;

/// Names the keys that Parkade writes itself. Those under `{prefix}:{queue}:` are named by apalis.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a>(&'a str);

impl<'a> Keys<'a> {
    pub(super) const fn new(prefix: &'a str) -> Self {
        Self(prefix)
    }

    /// The beginning of every key.
    #[must_use]
    pub fn prefix(self) -> String {
        format!("{}:", self.0)
    }

    /// A pattern for SCAN that matches keys under the prefix; `rest` is a pattern such as `cache:*`.
    #[must_use]
    pub fn pattern(self, rest: &str) -> String {
        let literal = |c: char| if "*?[]\\^-".contains(c) { format!("\\{c}") } else { c.to_string() };
        format!("{}:{rest}", self.0.chars().map(literal).collect::<String>())
    }

    /// Database 0, string, 1 s: the user of a session.
    #[must_use]
    pub fn session(self, id: Uuid) -> String {
        format!("{}:session:{id}", self.0)
    }

    /// Database 0, string, 12 h: when a session was last used, in seconds since 1970.
    #[must_use]
    pub fn user_session(self, id: Uuid) -> String {
        format!("{}:user_session:{id}", self.0)
    }

    /// Database 0, string, 2 h: the generation of a group, replaced by every change.
    #[must_use]
    pub fn generation(self, group: impl Display) -> String {
        format!("{}:generation:{group}", self.0)
    }

    /// Database 0, string, for its TTL: an answer with its generations and its ETag.
    #[must_use]
    pub fn cached(self, what: &str) -> String {
        format!("{}:cache:{what}", self.0)
    }

    /// Database 0, number; daily ones for 40 days: how often something happened.
    #[must_use]
    pub fn counter(self, name: &str) -> String {
        format!("{}:count:{name}", self.0)
    }

    /// Database 0, sorted set, 12 h: users by when they were last active.
    #[must_use]
    pub fn active_users(self) -> String {
        format!("{}:active_users", self.0)
    }

    /// Database 0, number, until it has passed: when a caller's budget is whole again, in microseconds since 1970.
    #[must_use]
    pub fn rate_limit(self, action: &str, caller: &str) -> String {
        format!("{}:rate_limit:{action}:{caller}", self.0)
    }

    /// Database 0, channel: groups have new generations; the message is their names.
    #[must_use]
    pub fn invalidation_channel(self) -> String {
        format!("{}:invalidation", self.0)
    }

    /// Database 1: the namespace of a queue of apalis.
    #[must_use]
    pub fn queue(self, queue: &str) -> String {
        format!("{}:{queue}", self.0)
    }

    /// Database 1, hash, 24 h after its last change: the status of a job.
    #[must_use]
    pub fn job(self, id: Uuid) -> String {
        format!("{}:job:{id}", self.0)
    }

    /// Database 1, channel: a queue has new messages; the message is its name.
    #[must_use]
    pub fn wake_channel(self) -> String {
        format!("{}:wake", self.0)
    }

    /// Database 1, channel: a job is cancelled; the message is its id.
    #[must_use]
    pub fn cancel_channel(self) -> String {
        format!("{}:cancel", self.0)
    }

    /// Database 1, channel: the status of a job has changed.
    #[must_use]
    pub fn status_channel(self) -> String {
        format!("{}:status", self.0)
    }

    /// Database 2, string, 24 h: the status of a mail.
    #[must_use]
    pub fn mail(self, key: &str) -> String {
        format!("{}:mail:{key}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_in_the_prefix_are_escaped() {
        assert_eq!(Keys("parkade").pattern("cache:*"), "parkade:cache:*");
        assert_eq!(Keys("a*[b]?\\").pattern("job:*"), "a\\*\\[b\\]\\?\\\\:job:*");
    }
}
