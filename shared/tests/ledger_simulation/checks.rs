//! What must hold after every step. The world keeps its own notes, and never asks the ledger whether it was right.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use shared::jobs::{
    machine::{Id, Row, State},
    policy::{LEASE, MAX_CRASHES, Verdict},
};

use crate::world::World;

/// What the world knows of a job.
#[derive(Debug, Default)]
pub(crate) struct Track {
    committed: bool,
    /// Who may write about it: the token of the last claim, until a write has ended that run.
    holder: Option<Id>,
    /// Until when nobody else may take it.
    safe_until: DateTime<Utc>,
    /// How often it was taken.
    starts: i64,
    /// Leases that ran out since it was last given back in order.
    lost_in_a_row: i64,
    releases: i64,
    /// Its row at its end.
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
    /// A claim was granted.
    pub(crate) fn check_claim(&mut self, now: DateTime<Utc>, id: Id, token: Id, before: Option<Row>) {
        let before = before.expect("a job that was never written is not run");
        let track = self.tracks.get_mut(&id).expect("a known job");
        assert!(track.committed, "job {id} was rolled back and runs");
        assert!(track.end.is_none(), "job {id} has ended and runs");
        assert!(!before.state.is_live() || before.finished_at.is_none(), "job {id} is live and finished");
        if before.state == State::Running {
            assert!(track.safe_until < now, "job {id} is taken away from who holds it");
            track.lost_in_a_row += 1;
            assert!(track.lost_in_a_row < MAX_CRASHES, "job {id} kills its workers and is run again");
        } else {
            track.lost_in_a_row = 0;
            assert!(!before.cancel_requested, "job {id} was given up and is run");
            assert!(before.run_at <= now, "job {id} is run before its time");
        }
        track.starts += 1;
        (track.holder, track.safe_until) = (Some(token), now + LEASE);
    }

    /// A job was given up.
    pub(crate) fn check_burial(&mut self, id: Id) {
        self.say(|| format!("job {id} is buried"));
        let track = self.tracks.get_mut(&id).expect("a known job");
        assert_eq!(track.lost_in_a_row, MAX_CRASHES - 1, "job {id} is buried, and was not lost often enough");
        track.holder = None;
    }

    /// A write about a run was accepted or refused.
    pub(crate) fn check_write(&mut self, id: Id, token: Id, accepted: bool) {
        let track = &self.tracks[&id];
        assert_eq!(
            accepted,
            track.holder == Some(token) && track.end.is_none(),
            "job {id}: a write is accepted exactly from who holds the lease"
        );
        self.counts.stale_writes_refused += u64::from(!accepted);
    }

    /// A lease was renewed.
    pub(crate) fn check_renewal(&mut self, now: DateTime<Utc>, id: Id) {
        self.tracks.get_mut(&id).expect("a known job").safe_until = now + LEASE;
    }

    /// A run was ended.
    pub(crate) fn check_close(&mut self, id: Id, verdict: Verdict, attempt: i64) {
        let (row, track) = (&self.ledger.rows[&id], self.tracks.get_mut(&id).expect("a known job"));
        (track.holder, track.lost_in_a_row) = (None, 0);
        match verdict {
            Verdict::Release | Verdict::Postpone(_) => {
                track.releases += 1;
                self.counts.released += 1;
                assert_eq!(
                    row.attempt,
                    attempt - 1,
                    "job {id}: neither a shutdown nor waiting costs an attempt"
                );
            }
            Verdict::Retry(_) => self.counts.retried += 1,
            _ => assert!(!row.state.is_live(), "job {id} ended and lives"),
        }
    }

    /// The state of everything.
    pub(crate) fn check(&mut self) {
        let mut keys = BTreeSet::new();
        for (id, row) in &self.ledger.rows {
            let track = self.tracks.get_mut(id).expect("a row that nobody has asked for");
            assert!(track.committed, "job {id} was rolled back and is there");
            if let Some(end) = &track.end {
                assert_eq!(row, end, "job {id}: an end is final");
                continue;
            }
            // Failures use up the attempts; a crash costs one more, at most two in a row before each end of a run.
            let most = row.max_attempts + (MAX_CRASHES - 1) * (1 + track.releases);
            assert!((0..=most).contains(&row.attempt), "job {id}: attempt {} of {most}", row.attempt);
            assert!((0..MAX_CRASHES).contains(&row.crashes), "job {id}: {} crashes", row.crashes);
            assert_eq!(row.lease.is_some(), row.state == State::Running, "job {id}: {row:?}");
            assert_eq!(row.finished_at.is_some(), !row.state.is_live(), "job {id}: {row:?}");
            assert!(row.state != State::Queued || !row.cancel_requested, "job {id} was given up and waits");
            if let Some(key) = row.unique_key.as_ref().filter(|_| row.state.is_live()) {
                assert!(keys.insert((&row.kind, key)), "two living jobs {} have the key {key}", row.kind);
            }
            if !row.state.is_live() {
                track.end = Some(row.clone());
            }
        }
    }

    /// When all is over.
    pub(crate) fn check_the_end(&self) {
        for (id, track) in &self.tracks {
            let row = self.ledger.rows.get(id);
            assert_eq!(row.is_some(), track.committed, "job {id}: a row exactly if it was committed");
            let Some(row) = row else { continue };
            assert!(!row.state.is_live(), "job {id} never ends");
            if row.kind == "poison" {
                let most = MAX_CRASHES * (1 + track.releases);
                assert!(track.starts <= most, "job {id} has killed {} workers", track.starts);
                assert!(row.state != State::Succeeded);
            }
        }
        for (tick, id) in &self.ticks {
            assert!(self.ledger.rows.contains_key(id), "tick {tick:?} has no job");
        }
        let jobs: BTreeSet<_> = self.ticks.values().collect();
        assert_eq!(jobs.len(), self.ticks.len(), "one job a tick");
    }
}
