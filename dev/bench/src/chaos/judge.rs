//! What was asked for against what has happened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use shared::{
    jobs::{
        Job, JobState,
        ledger::row as job,
        policy::{MAX_CRASHES, POISON},
    },
    operations::integrity,
    platform::{db::sql, entities::cron_tick},
};
use uuid::Uuid;

use super::{
    calm::Calm,
    kinds::{self, Event, Line, TICKS, Tick},
    load::Load,
    site::Site,
};
use crate::report::{Goal, Report};

/// Everything that is known at the end.
pub struct Evidence<'a> {
    pub(super) name: &'static str,
    pub(super) site: &'a Site,
    pub(super) load: &'a Load,
    pub(super) rows: HashMap<Uuid, job::Model>,
    pub(super) lines: Vec<Line>,
    pub(super) report: &'a mut Report,
}

impl<'a> Evidence<'a> {
    /// Gathers it.
    pub async fn gather(
        name: &'static str,
        site: &'a Site,
        load: &'a Load,
        report: &'a mut Report,
    ) -> Result<Self> {
        let rows = job::Entity::find().all(site.app.db.read()).await?;
        let rows = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(Self { name, site, load, rows, lines: kinds::read(&site.journal)?, report })
    }

    /// Judges everything. The report says what is wrong.
    pub async fn judge(&mut self, calm: Calm) -> Result<()> {
        self.endings();
        self.promises()?;
        self.changes().await?;
        self.runs();
        self.ticks().await?;
        self.mails().await?;
        self.exports()?;
        self.recovery();
        self.processes();
        self.calm(calm);
        let broken = integrity::check(&self.site.app).await?;
        let broken = broken.into_iter().filter(|check| !check.offenders.is_empty());
        let broken: Vec<String> =
            broken.map(|check| format!("{}: {:?}", check.rule, check.offenders)).collect();
        self.none("rules of the data that are broken", broken);
        Ok(())
    }

    /// A figure that tells how much has happened.
    pub(super) fn count(&mut self, what: &str, count: usize) {
        self.report.add(format!("{}: {what}", self.name), figure(count), "", "");
    }

    /// Something that must not be.
    pub(super) fn none(&mut self, what: &str, offenders: Vec<String>) {
        for offender in offenders.iter().take(10) {
            eprintln!("{}: {what}: {offender}", self.name);
        }
        self.report.must(format!("{}: {what}", self.name), figure(offenders.len()), "", Goal::AtMost(0.0));
    }

    fn endings(&mut self) {
        let of = |state: JobState| self.rows.values().filter(|row| row.state == state).count();
        let ends =
            [JobState::Succeeded, JobState::Failed, JobState::Cancelled].map(|state| (state, of(state)));
        let unended = self.rows.values().filter(|row| row.finished_at.is_none());
        let unended = unended.map(|row| format!("{} {} is {}", row.kind, row.id, row.state)).collect();
        self.count("jobs committed", self.rows.len());
        ends.into_iter()
            .for_each(|(state, count)| self.count(&format!("jobs that {}", past(state.as_str())), count));
        self.none("jobs that never ended", unended);
    }

    /// Whatever was answered is in the ledger, and what was refused or rolled back is not.
    fn promises(&mut self) -> Result<()> {
        let load = self.load;
        let asked = load.asked();
        for (what, count) in [
            ("bookings answered", asked.booked.len()),
            ("releases answered", asked.released.len()),
            ("exports answered", asked.exports.len()),
            ("jobs asked for without HTTP", asked.committed.len()),
            ("jobs rolled back, and announced", asked.rolled_back.len()),
            ("requests refused", usize::try_from(asked.refused)?),
            ("requests without an answer", usize::try_from(asked.unknown)?),
            ("requests repeated under their key", usize::try_from(asked.replayed)?),
        ] {
            self.count(what, count);
        }
        let promised = asked.committed.iter().chain(&asked.exports);
        let lost = promised.filter(|id| !self.rows.contains_key(*id)).map(|id| format!("job {id}"));
        let lost = lost
            .chain(self.without_mail(&asked.booked, "send-confirmation"))
            .chain(self.without_mail(&asked.released, "send-receipt"))
            .collect();
        let run: BTreeSet<Uuid> = self.lines.iter().map(|line| line.id).collect();
        let ghosts = asked.rolled_back.iter().filter(|id| run.contains(id) || self.rows.contains_key(*id));
        let ghosts = ghosts.map(ToString::to_string).collect();
        self.none("jobs lost", lost);
        self.none("jobs rolled back and run", ghosts);
        self.none("answers that nobody should get", asked.surprises.clone());
        let different = vec![String::new(); usize::try_from(asked.replayed_differently)?];
        self.none("repeated requests answered differently", different);
        Ok(())
    }

    /// Those of the reservations for which there is no such mail.
    fn without_mail(&self, reservations: &[i64], kind: &str) -> Vec<String> {
        let of_kind = self.rows.values().filter(|row| row.kind == kind);
        let there: BTreeSet<i64> = of_kind.filter_map(|row| row.unique_key.as_ref()?.parse().ok()).collect();
        let without = reservations.iter().filter(|id| !there.contains(id));
        without.map(|id| format!("{kind} of {id}")).collect()
    }

    /// Each change has its jobs, whether or not somebody heard of it.
    async fn changes(&mut self) -> Result<()> {
        let courier = self.load.courier;
        for (what, kind, condition) in [
            ("bookings without one confirmation", "send-confirmation", "TRUE"),
            ("stays without one receipt", "send-receipt", "r.state = 'completed'"),
        ] {
            let text = format!(
                "SELECT r.id FROM reservations r WHERE r.user_id <> {courier} AND {condition} AND (SELECT COUNT(*)
                 FROM jobs j WHERE j.kind = '{kind}' AND j.unique_key = CAST(r.id AS TEXT)) <> 1"
            );
            let found = self.ids(&text).await?;
            self.none(what, found);
        }
        Ok(())
    }

    async fn ids(&self, text: &str) -> Result<Vec<String>> {
        let db = self.site.app.db.read();
        let rows = db.query_all_raw(sql(db, text, [])).await?;
        let ids: Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get("", "id")).collect();
        Ok(ids?.into_iter().map(|id| id.to_string()).collect())
    }

    /// Each tick of the schedule is one job, whoever proposed it.
    async fn ticks(&mut self) -> Result<()> {
        let ticks = cron_tick::Entity::find().filter(cron_tick::Column::Name.eq(TICKS));
        let ticks = ticks.all(self.site.app.db.read()).await?;
        let mut jobs: BTreeMap<DateTime<Utc>, Vec<Uuid>> = BTreeMap::new();
        for row in self.rows.values().filter(|row| row.kind == Tick::NAME) {
            jobs.entry(serde_json::from_str::<Tick>(&row.payload)?.due).or_default().push(row.id);
        }
        let is_its_job = |tick: &cron_tick::Model| {
            jobs.get(&tick.tick).is_some_and(|ids| ids.as_slice() == tick.job_id.as_slice())
        };
        let wrong = ticks.iter().filter(|tick| !is_its_job(tick)).map(|tick| tick.tick.to_string()).collect();
        let known: BTreeSet<_> = ticks.iter().map(|tick| tick.tick).collect();
        let unknown = jobs.keys().filter(|due| !known.contains(due)).map(ToString::to_string).collect();
        self.count("ticks of a schedule", ticks.len());
        self.none("ticks with other than their one job", wrong);
        self.none("jobs without a tick", unknown);
        Ok(())
    }

    /// The journal of the workers against the ledger.
    fn runs(&mut self) {
        let mut starts: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.event == Event::Begin) {
            starts.entry(line.id).or_default().push(line.attempt);
        }
        let (mut unexplained, mut stale, mut innocent, mut poison) = (vec![], vec![], vec![], vec![]);
        let mut again = 0;
        let lingering = self.site.notes().lingering.clone();
        for (id, attempts) in &starts {
            let Some(row) = self.rows.get(id) else { continue };
            let distinct: BTreeSet<_> = attempts.iter().collect();
            again += usize::from(attempts.len() > 1);
            // A shutdown gives an attempt back, so its number comes again; that run was told to stop.
            if distinct.len() < attempts.len() && !lingering.contains(id) {
                unexplained.push(format!("{} {id}: runs {attempts:?}", row.kind));
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
        let buried_too_early = innocent
            .iter()
            .filter(|(crashes, _)| crashes + 1 < MAX_CRASHES)
            .map(|(_, text)| text.clone())
            .collect();
        self.count("jobs of our own that were run", starts.len());
        self.count("of these run again, with another attempt", again);
        self.count("given up: in three killed workers in a row", innocent.len());
        self.none("jobs given up without three killed workers", buried_too_early);
        self.none("runs that no crash explains", unexplained);
        self.none("stale writes accepted", stale);
        self.none("poison started more than three times, or not given up", poison);
    }
}

fn past(state: &str) -> &str {
    match state {
        "cancelled" => "were cancelled",
        other => other,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
pub(super) fn figure(count: usize) -> f64 {
    count as f64
}
