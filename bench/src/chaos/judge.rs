//! What was asked for against what has happened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::{
    db::sql,
    entities::{email_delivery, job},
    exports::file,
    jobs::policy::{MAX_CRASHES, POISON},
    maintenance::integrity,
};
use uuid::Uuid;

use super::{
    calm::Calm,
    kinds::{self, Event, Line},
    load::Load,
    site::{Notes, Site},
};
use crate::report::{Goal, Report, percentile, sorted};

/// Everything that is known at the end.
pub struct Evidence<'a> {
    name: &'static str,
    site: &'a Site,
    load: &'a Load,
    rows: HashMap<Uuid, job::Model>,
    lines: Vec<Line>,
    report: &'a mut Report,
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
        self.promises().await?;
        self.runs();
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
    fn count(&mut self, what: &str, count: usize) {
        self.report.add(format!("{}: {what}", self.name), figure(count), "", "");
    }

    /// Something that must not be.
    fn none(&mut self, what: &str, offenders: Vec<String>) {
        for offender in offenders.iter().take(10) {
            eprintln!("{}: {what}: {offender}", self.name);
        }
        self.report.must(format!("{}: {what}", self.name), figure(offenders.len()), "", Goal::AtMost(0.0));
    }

    /// Times of something in seconds, with a goal for all but a hundredth.
    fn times(&mut self, what: &str, seconds: Vec<f64>, goal: f64) {
        if seconds.is_empty() {
            return;
        }
        let (name, times) = (self.name, sorted(seconds));
        self.report.add(
            format!("{name}: {what}, p50"),
            percentile(&times, 0.5),
            "s",
            format!("{} times", times.len()),
        );
        self.report.check(format!("{name}: {what}, p99"), percentile(&times, 0.99), "s", Goal::AtMost(goal));
    }

    fn endings(&mut self) {
        let of = |state: &str| self.rows.values().filter(|row| row.state == state).count();
        let ends = ["succeeded", "failed", "cancelled"].map(|state| (state, of(state)));
        let unended = self.rows.values().filter(|row| row.finished_at.is_none());
        let unended = unended.map(|row| format!("{} {} is {}", row.kind, row.id, row.state)).collect();
        self.count("jobs committed", self.rows.len());
        ends.into_iter().for_each(|(state, count)| self.count(&format!("jobs that {}", past(state)), count));
        self.none("jobs that never ended", unended);
    }

    /// Whatever was answered is in the ledger, and each change has its jobs, whether or not somebody heard of it.
    async fn promises(&mut self) -> Result<()> {
        let courier = self.load.courier;
        let (lost, ghosts, surprises, different) = {
            let asked = self.load.asked();
            let promised = asked.committed.iter().chain(&asked.exports);
            let mut lost: Vec<String> =
                promised.filter(|id| !self.rows.contains_key(*id)).map(|id| format!("job {id}")).collect();
            let keys = |kind: &str| -> BTreeSet<i64> {
                let of_kind = self.rows.values().filter(|row| row.kind == kind);
                of_kind.filter_map(|row| row.unique_key.as_ref()?.parse().ok()).collect()
            };
            let (confirmed, receipted) = (keys("send-confirmation"), keys("send-receipt"));
            let without = |ids: &[i64], keys: &BTreeSet<i64>, what: &str| -> Vec<String> {
                ids.iter().filter(|id| !keys.contains(id)).map(|id| format!("{what} {id}")).collect()
            };
            lost.extend(without(&asked.booked, &confirmed, "the confirmation of"));
            lost.extend(without(&asked.released, &receipted, "the receipt of"));
            let run: BTreeSet<Uuid> = self.lines.iter().map(|line| line.id).collect();
            let ghosts =
                asked.rolled_back.iter().filter(|id| run.contains(id) || self.rows.contains_key(*id));
            let ghosts: Vec<String> = ghosts.map(ToString::to_string).collect();
            let different = vec![String::new(); usize::try_from(asked.replayed_differently)?];
            (lost, ghosts, asked.surprises.clone(), different)
        };
        let counts = {
            let asked = self.load.asked();
            [
                ("bookings answered", asked.booked.len()),
                ("releases answered", asked.released.len()),
                ("exports answered", asked.exports.len()),
                ("jobs asked for without HTTP", asked.committed.len()),
                ("jobs rolled back, and announced", asked.rolled_back.len()),
                ("requests refused", usize::try_from(asked.refused)?),
                ("requests without an answer", usize::try_from(asked.unknown)?),
                ("requests repeated under their key", usize::try_from(asked.replayed)?),
            ]
        };
        counts.into_iter().for_each(|(what, count)| self.count(what, count));
        self.none("jobs lost", lost);
        self.none("jobs rolled back and run", ghosts);
        self.none("answers that nobody should get", surprises);
        self.none("repeated requests answered differently", different);
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
        let orphans = self
            .ids("SELECT r.user_id AS id FROM reservations r WHERE r.state = 'active' GROUP BY r.user_id HAVING COUNT(*) > 1")
            .await?;
        self.none("drivers parked twice", orphans);
        Ok(())
    }

    async fn ids(&self, text: &str) -> Result<Vec<String>> {
        let db = self.site.app.db.read();
        let rows = db.query_all_raw(sql(db, text, [])).await?;
        let ids: Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get("", "id")).collect();
        Ok(ids?.into_iter().map(|id| id.to_string()).collect())
    }

    /// The journal of the workers against the ledger.
    fn runs(&mut self) {
        let begins = || self.lines.iter().filter(|line| line.event == Event::Begin);
        let mut starts: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
        begins().for_each(|line| starts.entry(line.id).or_default().push(line.attempt));
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
            let result: Value =
                row.result.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            if row.state == "succeeded" && result["attempt"].as_i64() != Some(row.attempt) {
                stale.push(format!("{} {id}: attempt {} has the result {result}", row.kind, row.attempt));
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

    /// Every Message-ID at the sink against the deliveries.
    async fn mails(&mut self) -> Result<()> {
        let rows = email_delivery::Entity::find().all(self.site.app.db.read()).await?;
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mails = self.site.sink.messages();
        for mail in &mails {
            *taken.entry(mail.message_id().context("a Message-ID")?).or_default() += 1;
        }
        let (mut lost, mut twice, mut marked, mut doubt) = (vec![], vec![], 0, 0);
        let known: BTreeSet<&str> = rows.iter().map(|row| row.message_id.as_str()).collect();
        for row in &rows {
            let times = taken.get(&row.message_id).copied().unwrap_or_default();
            if row.state == "sent" && times == 0 {
                lost.push(row.key.clone());
            }
            if times > 1 {
                marked += times - 1;
                if !row.resent || times > 2 {
                    twice.push(format!("{}: {times} times, {}, resent: {}", row.key, row.state, row.resent));
                }
            }
            doubt += usize::from(row.state == "ambiguous");
        }
        let strangers = taken.keys().filter(|id| !known.contains(id.as_str())).cloned().collect();
        let of: HashMap<Uuid, &email_delivery::Model> =
            rows.iter().filter_map(|row| Some((row.job_id?, row))).collect();
        let mail_jobs = self.rows.values().filter(|row| row.kind.starts_with("send-"));
        let dead = mail_jobs.clone().filter(|row| row.state == "failed");
        let explained = |row: &&job::Model| {
            of.get(&row.id).is_some_and(|mail| ["refused", "ambiguous"].contains(&mail.state.as_str()))
                || row.error.as_deref() == Some(POISON)
        };
        let unexplained: Vec<String> =
            dead.filter(|row| !explained(row)).map(|row| format!("{}: {:?}", row.id, row.error)).collect();
        let done = mail_jobs.filter(|row| row.state == "succeeded");
        let unsent = done.filter(|row| of.get(&row.id).is_none_or(|mail| mail.state != "sent"));
        let unsent: Vec<String> = unsent.map(|row| format!("{} {:?}", row.id, row.result)).collect();
        let refused = rows.iter().filter(|row| row.state == "refused").count();
        self.count("mails accepted by the server", mails.len());
        self.count("distinct Message-IDs", taken.len());
        self.count("duplicates, all marked as resent", marked);
        self.count("mails held in doubt", doubt);
        self.count("mails refused by the server", refused);
        self.none("mails lost: sent, says the row", lost);
        self.none("mails done, says the job, and not the row", unsent);
        self.none("mails given up for no reason", unexplained);
        self.none("mails twice that are not marked", twice);
        self.none("mails that nobody asked for", strangers);
        Ok(())
    }

    /// Every file against what the job says of it.
    fn exports(&mut self) -> Result<()> {
        let folder = &self.site.app.config.upload_folder;
        let (mut wrong, mut failed, mut sums) = (vec![], vec![], BTreeSet::new());
        let (mut whole, mut again) = (0, 0);
        for row in self.rows.values().filter(|row| row.kind == "export-csv") {
            let content = std::fs::read(file::path(folder, row.id)).ok();
            let sum = content.map(|bytes| {
                Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            });
            match (row.state.as_str(), sum) {
                ("succeeded", Some(sum)) => {
                    let result: Value = serde_json::from_str(row.result.as_deref().unwrap_or("null"))?;
                    if result["sha256"].as_str() != Some(&sum) {
                        wrong.push(format!("{}: the file is not what the job says", row.id));
                    }
                    whole += 1;
                    again += usize::from(row.attempt > 1);
                    sums.insert(sum);
                }
                ("succeeded", None) => wrong.push(format!("{}: no file", row.id)),
                ("cancelled", Some(_)) => wrong.push(format!("{}: cancelled, with a file", row.id)),
                ("failed", _) if row.error.as_deref() != Some(POISON) => {
                    failed.push(format!("{}: {:?}", row.id, row.error));
                }
                _ => {}
            }
        }
        let asked: Vec<Uuid> = self.load.asked().cancelled.clone();
        let alive = asked.iter().filter(|id| self.rows.get(id).is_none_or(|row| row.finished_at.is_none()));
        let alive: Vec<String> = alive.map(ToString::to_string).collect();
        self.count("export files that are whole", whole);
        self.count("of these written again after a crash", again);
        self.count("cancellations of exports promised", asked.len());
        self.none("export files that are wrong", wrong);
        self.none("exports that failed", failed);
        self.none("cancelled exports that go on", alive);
        self.report.must(
            format!("{}: different contents of the same export", self.name),
            figure(sums.len()),
            "",
            Goal::AtMost(1.0),
        );
        Ok(())
    }

    /// How long after the death of a worker its jobs began elsewhere.
    fn recovery(&mut self) {
        let (kills, outages) = {
            let notes = self.site.notes();
            (notes.kills.clone(), notes.outages.clone())
        };
        // Poison kills as soon as it has begun.
        let poisoned = self.lines.iter().filter(|line| self.is_poison(line)).map(|line| (line.at, line.pid));
        let kills: Vec<_> = kills.into_iter().chain(poisoned).collect();
        let (mut calm, mut all) = (Vec::new(), Vec::new());
        for (at, pid) in kills {
            let of_it = |event| self.lines.iter().filter(move |line| line.pid == pid && line.event == event);
            let ended: BTreeSet<_> = of_it(Event::End).map(|line| (line.id, line.attempt)).collect();
            for left in of_it(Event::Begin).filter(|line| !ended.contains(&(line.id, line.attempt))) {
                let next = self.lines.iter().filter(|line| {
                    line.id == left.id && line.event == Event::Begin && line.at > at && line.pid != pid
                });
                let Some(next) = next.map(|line| line.at).min() else { continue };
                let seconds = seconds(next - at);
                all.push(seconds);
                if !outages.iter().any(|(from, to)| at < to + 1_000_000 && *from < next) {
                    calm.push(seconds);
                }
            }
        }
        self.times("a killed worker's job runs elsewhere, Redis there", calm, 5.0);
        let times = sorted(all);
        self.report.add(
            format!("{}: the same with Redis away or not, worst", self.name),
            percentile(&times, 1.0),
            "s",
            format!("{} times", times.len()),
        );
    }

    fn processes(&mut self) {
        let Notes {
            kills,
            stops,
            api_kills,
            poison,
            frozen,
            emptied,
            redis_kills,
            deserters,
            returns,
            changed,
            ..
        } = std::mem::take(&mut *self.site.notes());
        for (what, count) in [
            ("workers killed", kills.len()),
            ("workers frozen", frozen as usize),
            ("workers stopped", stops.len()),
            ("poison jobs", poison.len()),
            ("kills of the API between commit and push", api_kills.len()),
            ("kills of Redis", redis_kills as usize),
            ("databases of Redis emptied", emptied as usize),
        ] {
            self.count(what, count);
        }
        let silent = |row: &&job::Model| {
            let created = u64::try_from(row.created_at.timestamp_micros()).unwrap_or_default();
            row.kind.starts_with("send-")
                && api_kills.iter().any(|(from, to)| (*from..*to).contains(&created))
        };
        let silent = self.rows.values().filter(silent).count();
        self.count("jobs committed by an API that could tell nobody", silent);
        self.none("ends that changed", changed);
        self.none("workers that ended by themselves", deserters);
        // One that was told to stop may have had poison in its hands.
        let poisoned: BTreeSet<u32> =
            self.lines.iter().filter(|line| self.is_poison(line)).map(|line| line.pid).collect();
        let badly = stops.iter().filter(|(_, pid, seconds)| seconds.is_none() && !poisoned.contains(pid));
        let badly = badly.map(|(_, pid, _)| format!("worker {pid}")).collect();
        self.none("workers that did not stop well", badly);
        let times: Vec<f64> = stops.iter().filter_map(|(_, _, seconds)| *seconds).collect();
        let longest = times.iter().copied().fold(0.0, f64::max);
        self.report.must(format!("{}: SIGTERM to exit, worst", self.name), longest, "s", Goal::AtMost(30.0));
        let late =
            |stop: &(u64, u32, Option<f64>)| 1000.0 * self.fetched_after(stop.0, stop.1).unwrap_or_default();
        let (worst, last) =
            (stops.iter().map(late).fold(0.0, f64::max), stops.last().map(late).unwrap_or_default());
        let note = "a claim under way may wait for the database";
        self.report.add(
            format!("{}: SIGTERM to the last job begun, in the storm", self.name),
            worst,
            "ms",
            note,
        );
        self.report.check(format!("{}: the same after it", self.name), last, "ms", Goal::AtMost(50.0));
        // While Redis is away nobody hears of a job, so the first that begins says that work goes on.
        let begins = || self.lines.iter().filter(|line| line.event == Event::Begin);
        let first = |back: u64| {
            begins().map(|line| line.at).filter(|at| *at > back).min().map(|at| seconds(at - back))
        };
        let resumed = returns.iter().filter_map(|back| first(*back)).collect();
        self.times("Redis is back and work goes on", resumed, 3.0);
        let (asked, accepted) = self.load.asked().without_redis;
        self.count("exports asked for while Redis was away", usize::try_from(asked).unwrap_or_default());
        let refused = vec![String::new(); usize::try_from(asked - accepted).unwrap_or_default()];
        self.none("of these not answered with 202", refused);
    }

    fn calm(&mut self, calm: Calm) {
        self.report.add(format!("{}: everything done after the faults", self.name), calm.settled, "s", "");
        self.times("a cancelled job that runs has stopped", calm.cancels, 0.25);
        self.times("a job on the lane of poison begins", calm.beside_poison, 10.0);
        self.none("jobs cancelled while they waited, and begun", calm.risen);
        self.none("shutdowns that cost an attempt", calm.charged);
    }

    fn is_poison(&self, line: &Line) -> bool {
        self.rows.get(&line.id).is_some_and(|row| row.kind == "chaos-poison")
    }

    /// How long after SIGTERM a worker began its last job.
    fn fetched_after(&self, asked: u64, pid: u32) -> Option<f64> {
        let later =
            self.lines.iter().filter(|line| line.pid == pid && line.event == Event::Begin && line.at > asked);
        later.map(|line| seconds(line.at - asked)).max_by(f64::total_cmp)
    }
}

fn past(state: &str) -> &str {
    match state {
        "cancelled" => "were cancelled",
        other => other,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn figure(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
