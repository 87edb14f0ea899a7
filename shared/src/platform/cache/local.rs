//! Responses kept in the process for a second, so that most reads need no round trip.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use moka::sync::Cache;

use super::{entry::Entry, group::Group};
use crate::platform::redis::{Notice, Redis};

/// How long a response is served after Redis confirmed its generations, even if announcements of changes are lost.
const BELIEF: Duration = Duration::from_secs(1);

/// What all responses may occupy.
const CAPACITY: u64 = 32 * 1024 * 1024;

/// What a response occupies beside its texts.
const OVERHEAD: usize = 256;

/// The groups of users share these counters; a change of one user also drops what is kept for the others with the same
/// counter.
const COUNTERS_OF_USERS: usize = 1020;

/// The responses of a process.
pub(super) struct Local {
    responses: Cache<String, Arc<Kept>>,
    /// How often each group has changed.
    changes: Vec<AtomicU64>,
    /// Whether changes made by other processes are announced to this one.
    is_subscribed: AtomicBool,
}

struct Kept {
    entry: Entry,
    confirmed: Moment,
}

/// Before a response's generations were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    at: Instant,
    changes: u64,
}

impl Default for Local {
    fn default() -> Self {
        let size = |key: &String, kept: &Arc<Kept>| {
            u32::try_from(key.len() + kept.entry.body.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        let responses = Cache::builder().max_capacity(CAPACITY).weigher(size).time_to_live(BELIEF).build();
        let changes = std::iter::repeat_with(AtomicU64::default).take(4 + COUNTERS_OF_USERS).collect();
        Self { responses, changes, is_subscribed: AtomicBool::default() }
    }
}

impl Local {
    /// To be taken before the generations of these groups are read in Redis.
    pub(super) fn moment(&self, groups: &[Group]) -> Moment {
        Moment { at: Instant::now(), changes: self.changes(groups) }
    }

    /// Keeps a response that was fresh at that moment. If its groups have changed since, it is never served.
    pub(super) fn keep(&self, key: &str, entry: &Entry, confirmed: Moment) {
        if self.is_subscribed.load(SeqCst) {
            self.responses.insert(key.to_owned(), Arc::new(Kept { entry: entry.clone(), confirmed }));
        }
    }

    /// The response, if it is certain enough that it is still fresh.
    pub(super) fn find(&self, key: &str, groups: &[Group], now: DateTime<Utc>) -> Option<Entry> {
        let Kept { entry, confirmed } = &*self.responses.get(key)?;
        let is_fresh = self.is_subscribed.load(SeqCst)
            && confirmed.at.elapsed() < BELIEF
            && confirmed.changes == self.changes(groups)
            && entry.expires_at.is_none_or(|at| now < at);
        is_fresh.then(|| entry.clone())
    }

    /// Drops what depends on the group. To be called after its generation has changed in Redis: a response that is read
    /// from there in between would otherwise be kept.
    pub(super) fn drop_group(&self, group: Group) {
        self.changes[counter(group)].fetch_add(1, SeqCst);
    }

    /// Equal at two moments only if none of the groups changed in between, because each counter only grows.
    fn changes(&self, groups: &[Group]) -> u64 {
        let all = groups.iter().chain(&[Group::Everything]);
        all.map(|group| self.changes[counter(*group)].load(SeqCst)).fold(0, u64::wrapping_add)
    }

    /// Follows the changes that other processes make until the future is dropped.
    pub(super) async fn follow(self: Arc<Self>, redis: Redis) {
        let receive = |notice| match notice {
            Notice::Subscribed => {
                // Changes from before were not announced.
                self.drop_group(Group::Everything);
                self.is_subscribed.store(true, SeqCst);
            }
            Notice::Message(_, groups) => {
                let parsed = groups.split(' ').map(|name| name.parse().unwrap_or(Group::Everything));
                parsed.for_each(|group| self.drop_group(group));
            }
            Notice::Lost(error) => {
                self.is_subscribed.store(false, SeqCst);
                self.responses.invalidate_all();
                if let Some(error) = error {
                    tracing::warn!(error = error.chain(), "changes are not announced; every read asks Redis");
                }
            }
        };
        redis.cache.listen(&[redis.keys().invalidation_channel()], receive).await;
    }
}

fn counter(group: Group) -> usize {
    match group {
        Group::Everything => 0,
        Group::Catalog => 1,
        Group::Occupancy => 2,
        Group::Users => 3,
        Group::User(id) => 4 + usize::try_from(id.unsigned_abs()).unwrap_or_default() % COUNTERS_OF_USERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOTS: &[Group] = &[Group::Catalog, Group::Occupancy];

    fn subscribed() -> Local {
        Local { is_subscribed: AtomicBool::new(true), ..Local::default() }
    }

    fn found(local: &Local) -> bool {
        local.find("lots", LOTS, DateTime::UNIX_EPOCH).is_some()
    }

    #[test]
    fn a_response_is_kept_until_one_of_its_groups_changes() {
        let local = subscribed();
        let keep = || local.keep("lots", &Entry::of(b"[]".to_vec()), local.moment(LOTS));
        for group in [Group::Catalog, Group::Occupancy, Group::Everything] {
            keep();
            local.drop_group(Group::Users);
            local.drop_group(Group::User(7));
            assert!(found(&local));
            local.drop_group(group);
            assert!(!found(&local), "{group}");
        }
    }

    #[test]
    fn a_change_during_the_load_prevents_keeping() {
        let local = subscribed();
        let moment = local.moment(LOTS);
        local.drop_group(Group::Occupancy);
        local.keep("lots", &Entry::of(b"[]".to_vec()), moment);
        assert!(!found(&local));
    }

    #[test]
    fn a_response_is_not_served_a_second_after_it_was_confirmed() {
        let local = subscribed();
        let mut moment = local.moment(LOTS);
        moment.at = moment.at.checked_sub(BELIEF).unwrap();
        local.keep("lots", &Entry::of(b"[]".to_vec()), moment);
        assert!(!found(&local));
    }

    #[test]
    fn a_response_is_not_served_after_its_expiry() {
        let local = subscribed();
        let expires_at = Some(DateTime::UNIX_EPOCH);
        let entry = Entry { expires_at, ..Entry::of(b"[]".to_vec()) };
        local.keep("lots", &entry, local.moment(LOTS));
        assert!(!found(&local));
        let before = DateTime::UNIX_EPOCH - chrono::TimeDelta::microseconds(1);
        assert!(local.find("lots", LOTS, before).is_some());
    }

    #[test]
    fn nothing_is_kept_without_a_subscription() {
        let local = Local::default();
        local.keep("lots", &Entry::of(b"[]".to_vec()), local.moment(LOTS));
        local.is_subscribed.store(true, SeqCst);
        assert!(!found(&local));
    }

    #[test]
    fn large_responses_are_bounded_by_their_bytes() {
        let local = subscribed();
        let megabyte = Entry::of(vec![0; 1024 * 1024]);
        (0..100).for_each(|key| local.keep(&key.to_string(), &megabyte, local.moment(LOTS)));
        local.responses.run_pending_tasks();
        assert!(local.responses.weighted_size() <= CAPACITY);
        assert!(local.responses.entry_count() >= 16);
    }
}
