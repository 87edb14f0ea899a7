//! The rules that must hold after every step. They are checked against separate records, not against what the ledger
//! says about itself.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use shared::jobs::{
    JobState, Outcome,
    policy::{LEASE, MAX_CRASHES},
};

use crate::{
    machine::{Id, Row},
    world::World,
};

/// What is known about a job from the events.
#[derive(Debug, Default)]
pub(crate) struct Track {
    committed: bool,
    /// The token of the last claim, until a write has ended that run. Only its holder may write.
    holder: Option<Id>,
    /// Until when no other worker may claim it.
    safe_until: DateTime<Utc>,
    /// How often it was claimed.
    starts: i64,
    /// Leases that expired since a run last ended properly.
    lost_in_a_row: i64,
    releases: i64,
    /// Its final row.
    end: Option<Row>,
}

impl Track {
    pub(crate) fn committed() -> Self {
        Self { committed: true, ..Self::default() }
    }

    pub(crate) fn rolled_back() -> Self {
        Self::default()
    }
}

impl World {
    /// Checks that a claim was allowed.
    pub(crate) fn check_claim(&mut self, now: DateTime<Utc>, id: Id, token: Id, before: Option<Row>) {
        let before = before.expect("only jobs in the ledger can be claimed");
        let track = self.tracks.get_mut(&id).expect("a known job");
        assert!(track.committed, "job {id} was rolled back and runs");
        assert!(track.end.is_none(), "job {id} has ended and runs");
        assert!(before.state.is_final() || before.finished_at.is_none(), "job {id} is live and finished");
        if before.state == JobState::Running {
            assert!(track.safe_until < now, "job {id} is claimed although its lease is valid");
            track.lost_in_a_row += 1;
            assert!(track.lost_in_a_row < MAX_CRASHES, "job {id} is poison and runs again");
        } else {
            track.lost_in_a_row = 0;
            assert!(!before.cancel_requested, "job {id} was cancelled and runs");
            assert!(before.run_at <= now, "job {id} runs too early");
        }
        track.starts += 1;
        (track.holder, track.safe_until) = (Some(token), now + LEASE);
    }

    /// Checks that a job was rightly failed as poison.
    pub(crate) fn check_poison(&mut self, id: Id) {
        self.log(|| format!("job {id} is failed as poison"));
        let track = self.tracks.get_mut(&id).expect("a known job");
        assert_eq!(track.lost_in_a_row, MAX_CRASHES - 1, "job {id} failed as poison too early");
        track.holder = None;
    }

    /// Checks that a write about a run was rightly accepted or refused.
    pub(crate) fn check_write(&mut self, id: Id, token: Id, accepted: bool) {
        let track = &self.tracks[&id];
        assert_eq!(
            accepted,
            track.holder == Some(token) && track.end.is_none(),
            "job {id}: exactly the holder of the lease may write"
        );
        self.counts.stale_writes_refused += u64::from(!accepted);
    }

    /// Records that a lease was renewed.
    pub(crate) fn check_renewal(&mut self, now: DateTime<Utc>, id: Id) {
        self.tracks.get_mut(&id).expect("a known job").safe_until = now + LEASE;
    }

    /// Checks the row after the end of a run was recorded.
    pub(crate) fn check_close(&mut self, id: Id, outcome: &Outcome, attempt: i64) {
        let (row, track) = (&self.ledger.rows[&id], self.tracks.get_mut(&id).expect("a known job"));
        (track.holder, track.lost_in_a_row) = (None, 0);
        match outcome {
            Outcome::Released | Outcome::Postponed { .. } | Outcome::Held { .. } => {
                track.releases += 1;
                self.counts.released += 1;
                assert_eq!(
                    row.attempt,
                    attempt - 1,
                    "job {id}: a shutdown or postponement must not count as an attempt"
                );
            }
            Outcome::Retry { .. } => self.counts.retried += 1,
            _ => assert!(row.state.is_final(), "job {id} has ended and is {}", row.state),
        }
    }

    /// Checks every job.
    pub(crate) fn check(&mut self) {
        let mut keys = BTreeSet::new();
        for (id, row) in &self.ledger.rows {
            let track = self.tracks.get_mut(id).expect("a row that no step wrote");
            assert!(track.committed, "job {id} was rolled back and exists");
            if let Some(end) = &track.end {
                assert_eq!(row, end, "job {id} changed after its end");
                continue;
            }
            // Failures use up the attempts. Crashes cost more, at most two in a row before each end of a run.
            let max = row.max_attempts + (MAX_CRASHES - 1) * (1 + track.releases);
            assert!((0..=max).contains(&row.attempt), "job {id}: attempt {} of {max}", row.attempt);
            assert!((0..MAX_CRASHES).contains(&row.crashes), "job {id}: {} crashes", row.crashes);
            assert_eq!(row.lease.is_some(), row.state == JobState::Running, "job {id}: {row:?}");
            assert_eq!(row.finished_at.is_some(), row.state.is_final(), "job {id}: {row:?}");
            assert!(
                row.state != JobState::Queued || !row.cancel_requested,
                "job {id} was cancelled and is queued"
            );
            if let Some(key) = row.unique_key.as_ref().filter(|_| !row.state.is_final()) {
                assert!(keys.insert((&row.kind, key)), "two live jobs {} have the key {key}", row.kind);
            }
            if row.state.is_final() {
                track.end = Some(row.clone());
            }
        }
    }

    /// Checks every job after the recovery.
    pub(crate) fn check_after_recovery(&self) {
        for (id, track) in &self.tracks {
            let row = self.ledger.rows.get(id);
            assert_eq!(
                row.is_some(),
                track.committed,
                "job {id}: a row must exist exactly if it was committed"
            );
            let Some(row) = row else { continue };
            assert!(row.state.is_final(), "job {id} never ends");
            if row.kind == "poison" {
                let max = MAX_CRASHES * (1 + track.releases);
                assert!(track.starts <= max, "job {id} has killed {} workers", track.starts);
                assert!(row.state != JobState::Succeeded);
            }
        }
        for (tick, id) in &self.ticks {
            assert!(self.ledger.rows.contains_key(id), "tick {tick:?} has no job");
        }
        let jobs: BTreeSet<_> = self.ticks.values().collect();
        assert_eq!(jobs.len(), self.ticks.len(), "one job per tick");
    }
}
