//! Checks of the ledger: every job that was promised is there, ended once, and ran as its row says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use shared::{
    jobs::{
        Job, JobState,
        policy::{MAX_CRASHES, POISON},
    },
    operations::integrity,
    platform::{db::sql, entities::cron_tick},
};
use uuid::Uuid;

use super::{
    evidence::Evidence,
    journal::Event,
    worker::{TICKS, Tick},
};

impl Evidence<'_> {
    pub fn ends(&mut self) {
        let of = |state: JobState| self.rows.values().filter(|row| row.state == state).count();
        let ends =
            [JobState::Succeeded, JobState::Failed, JobState::Cancelled].map(|state| (state, of(state)));
        let unfinished = self.rows.values().filter(|row| row.finished_at.is_none());
        let unfinished = unfinished.map(|row| format!("{} {} is {}", row.kind, row.id, row.state)).collect();
        self.count("jobs committed", self.rows.len());
        ends.into_iter().for_each(|(state, count)| self.count(&format!("jobs {state}"), count));
        self.none("jobs that never ended", unfinished);
    }

    /// What was confirmed to callers is in the ledger, and what was rolled back is not.
    pub fn promises(&mut self) -> Result<()> {
        let load = self.load;
        let requests = load.requests();
        for (what, count) in [
            ("bookings confirmed", requests.booked.len()),
            ("releases confirmed", requests.released.len()),
            ("exports accepted", requests.exports.len()),
            ("jobs committed without the API", requests.committed.len()),
            ("jobs announced but rolled back", requests.rolled_back.len()),
            ("requests rejected", usize::try_from(requests.rejected)?),
            ("requests with an unknown outcome", usize::try_from(requests.unknown)?),
            ("requests repeated with the same key", usize::try_from(requests.replayed)?),
        ] {
            self.count(what, count);
        }
        let promised = requests.committed.iter().chain(&requests.exports);
        let lost = promised.filter(|id| !self.rows.contains_key(*id)).map(|id| format!("job {id}"));
        let lost = lost
            .chain(self.without_mail(&requests.booked, "send-confirmation"))
            .chain(self.without_mail(&requests.released, "send-receipt"))
            .collect();
        let begun: BTreeSet<Uuid> = self.lines.iter().map(|line| line.id).collect();
        let revived =
            requests.rolled_back.iter().filter(|id| begun.contains(id) || self.rows.contains_key(*id));
        let revived = revived.map(ToString::to_string).collect();
        self.none("jobs lost", lost);
        self.none("jobs rolled back but run", revived);
        self.none("unexpected responses", requests.unexpected.clone());
        let different = vec![String::new(); usize::try_from(requests.replayed_differently)?];
        self.none("repeated requests with another response", different);
        Ok(())
    }

    /// The reservations without a mail of this kind.
    fn without_mail(&self, reservations: &[i64], kind: &str) -> Vec<String> {
        let of_kind = self.rows.values().filter(|row| row.kind == kind);
        let mailed: BTreeSet<i64> = of_kind.filter_map(|row| row.unique_key.as_ref()?.parse().ok()).collect();
        let without = reservations.iter().filter(|id| !mailed.contains(id));
        without.map(|id| format!("{kind} of {id}")).collect()
    }

    /// Each booking and each stay has exactly one mail job, whether or not its caller got a response.
    pub async fn changes(&mut self) -> Result<()> {
        let exporter = self.load.exporter;
        for (what, kind, condition) in [
            ("bookings without exactly one confirmation", "send-confirmation", "TRUE"),
            ("stays without exactly one receipt", "send-receipt", "r.state = 'completed'"),
        ] {
            let text = format!(
                "SELECT r.id FROM reservations r WHERE r.user_id <> {exporter} AND {condition} AND (SELECT COUNT(*)
                 FROM jobs j WHERE j.kind = '{kind}' AND j.unique_key = CAST(r.id AS TEXT)) <> 1"
            );
            let found = self.ids(&text).await?;
            self.none(what, found);
        }
        Ok(())
    }

    async fn ids(&self, text: &str) -> Result<Vec<String>> {
        let db = self.cluster.app.db.read();
        let rows = db.query_all_raw(sql(db, text, [])).await?;
        let ids: Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get("", "id")).collect();
        Ok(ids?.into_iter().map(|id| id.to_string()).collect())
    }

    /// Each tick of the schedule has one job, although every worker proposes it.
    pub async fn ticks(&mut self) -> Result<()> {
        let ticks = cron_tick::Entity::find().filter(cron_tick::Column::Name.eq(TICKS));
        let ticks = ticks.all(self.cluster.app.db.read()).await?;
        let mut jobs: BTreeMap<DateTime<Utc>, Vec<Uuid>> = BTreeMap::new();
        for row in self.rows.values().filter(|row| row.kind == Tick::NAME) {
            jobs.entry(serde_json::from_str::<Tick>(&row.payload)?.due).or_default().push(row.id);
        }
        let has_its_job = |tick: &cron_tick::Model| {
            jobs.get(&tick.tick).is_some_and(|ids| ids.as_slice() == tick.job_id.as_slice())
        };
        let wrong =
            ticks.iter().filter(|tick| !has_its_job(tick)).map(|tick| tick.tick.to_string()).collect();
        let known: BTreeSet<_> = ticks.iter().map(|tick| tick.tick).collect();
        let unknown = jobs.keys().filter(|due| !known.contains(due)).map(ToString::to_string).collect();
        self.count("ticks of a schedule", ticks.len());
        self.none("ticks without exactly their one job", wrong);
        self.none("jobs without a tick", unknown);
        Ok(())
    }

    /// The journal agrees with the ledger.
    pub fn runs(&mut self) {
        let mut starts: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.event == Event::Begin) {
            starts.entry(line.id).or_default().push(line.attempt);
        }
        let (mut repeated, mut stale, mut innocent, mut poison) = (vec![], vec![], vec![], vec![]);
        let mut again = 0;
        let endless = self.cluster.notes().endless.clone();
        for (id, attempts) in &starts {
            let Some(row) = self.rows.get(id) else { continue };
            let distinct: BTreeSet<_> = attempts.iter().collect();
            again += usize::from(attempts.len() > 1);
            // A shutdown gives the attempt back, so its number is used again.
            if distinct.len() < attempts.len() && !endless.contains(id) {
                repeated.push(format!("{} {id}: runs {attempts:?}", row.kind));
            }
            let result = format!("{{\"attempt\":{}}}", row.attempt);
            if row.state == JobState::Succeeded && row.result.as_ref() != Some(&result) {
                stale.push(format!("{} {id}: attempt {}, result {:?}", row.kind, row.attempt, row.result));
            }
            if row.kind == "chaos-poison" {
                if attempts.len() > 3 || row.error.as_deref() != Some(POISON) {
                    poison.push(format!("{id}: runs {attempts:?}, {}", row.state));
                }
            } else if row.error.as_deref() == Some(POISON) {
                innocent.push((row.crashes, format!("{} {id}: runs {attempts:?}", row.kind)));
            }
        }
        let too_early = innocent
            .iter()
            .filter(|(crashes, _)| crashes + 1 < MAX_CRASHES)
            .map(|(_, text)| text.clone())
            .collect();
        self.count("journaled jobs", starts.len());
        self.count("of these run more than once", again);
        self.count("given up after killed workers in a row", innocent.len());
        self.none("jobs given up too early", too_early);
        self.none("attempts that ran twice", repeated);
        self.none("stale writes accepted", stale);
        self.none("poison run more than three times, or not given up", poison);
    }

    /// The rules of the data hold.
    pub async fn integrity(&mut self) -> Result<()> {
        let broken = integrity::check(&self.cluster.app).await?;
        let broken = broken.into_iter().filter(|check| !check.offenders.is_empty());
        let broken = broken.map(|check| format!("{}: {:?}", check.rule, check.offenders)).collect();
        self.none("integrity rules broken", broken);
        Ok(())
    }
}
