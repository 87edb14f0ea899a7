//! Checks of what the jobs produced: every mail that the server took and every export file agrees with the database.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use bench::report::Goal;
use sea_orm::EntityTrait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::{
    jobs::{JobState, ledger::row as job, policy::POISON},
    parking::exports::file,
    platform::entities::{email_delivery, export::Format},
};
use uuid::Uuid;

use super::evidence::{Evidence, number};

impl Evidence<'_> {
    /// The Message-IDs at the mail server agree with the deliveries.
    pub async fn mails(&mut self) -> Result<()> {
        let rows = email_delivery::Entity::find().all(self.cluster.app.db.read()).await?;
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mails = self.cluster.sink.messages();
        for mail in &mails {
            *taken.entry(mail.message_id().context("a mail without a Message-ID")?).or_default() += 1;
        }
        let (mut lost, mut duplicates, mut resent, mut ambiguous) = (vec![], vec![], 0, 0);
        let known: BTreeSet<&str> = rows.iter().map(|row| row.message_id.as_str()).collect();
        for row in &rows {
            let times = taken.get(&row.message_id).copied().unwrap_or_default();
            if row.state == "sent" && times == 0 {
                lost.push(row.key.clone());
            }
            if times > 1 {
                resent += times - 1;
                if !row.resent || times > 2 {
                    duplicates
                        .push(format!("{}: {times} times, {}, resent: {}", row.key, row.state, row.resent));
                }
            }
            ambiguous += usize::from(row.state == "ambiguous");
        }
        let unknown = taken.keys().filter(|id| !known.contains(id.as_str())).cloned().collect();
        let refused = rows.iter().filter(|row| row.state == "refused").count();
        self.count("mails accepted by the server", mails.len());
        self.count("distinct Message-IDs", taken.len());
        self.count("duplicates marked as resent", resent);
        self.count("mails held as ambiguous", ambiguous);
        self.count("mails rejected by the server", refused);
        self.none("mails recorded as sent, but lost", lost);
        self.none("duplicates not marked as resent", duplicates);
        self.none("mails without a delivery", unknown);
        self.mail_jobs(&rows);
        Ok(())
    }

    /// The jobs of mails agree with their deliveries.
    fn mail_jobs(&mut self, rows: &[email_delivery::Model]) {
        let of: HashMap<Uuid, &email_delivery::Model> =
            rows.iter().filter_map(|row| Some((row.job_id?, row))).collect();
        // A skipped mail has no delivery.
        let is_skipped =
            |row: &job::Model| row.result.as_deref().is_some_and(|text| text.contains("skipped"));
        let mail_jobs = self.rows.values().filter(|row| row.queue == "mail" && row.kind.starts_with("send-"));
        let mail_jobs = mail_jobs.filter(|row| !is_skipped(row));
        let dead = mail_jobs.clone().filter(|row| row.state == JobState::Failed);
        // "sent" was recorded by a run that lost its lease while it waited for the database.
        let explained = |row: &&job::Model| {
            of.get(&row.id)
                .is_some_and(|mail| ["refused", "ambiguous", "sent"].contains(&mail.state.as_str()))
                || row.error.as_deref() == Some(POISON)
        };
        let unexplained: Vec<String> =
            dead.filter(|row| !explained(row)).map(|row| format!("{}: {:?}", row.id, row.error)).collect();
        let done = mail_jobs.filter(|row| row.state == JobState::Succeeded);
        let unsent = done.filter(|row| of.get(&row.id).is_none_or(|mail| mail.state != "sent"));
        let unsent: Vec<String> = unsent.map(|row| format!("{} {:?}", row.id, row.result)).collect();
        self.none("mail jobs done without a sent mail", unsent);
        self.none("mail jobs failed without a reason", unexplained);
    }

    /// The export files agree with their jobs.
    pub fn exports(&mut self) -> Result<()> {
        let folder = &self.cluster.app.config.upload_folder;
        let (mut wrong, mut failed, mut sums) = (vec![], vec![], BTreeSet::new());
        let (mut complete, mut repeated) = (0, 0);
        for row in self.rows.values().filter(|row| row.kind == "export-csv") {
            let content = std::fs::read(file::path(folder, row.id, Format::Csv)).ok();
            let sum = content.map(|bytes| {
                Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            });
            match (row.state, sum) {
                (JobState::Succeeded, Some(sum)) => {
                    let result: Value = serde_json::from_str(row.result.as_deref().unwrap_or("null"))?;
                    if result["sha256"].as_str() != Some(&sum) {
                        wrong.push(format!("{}: the checksum differs", row.id));
                    }
                    complete += 1;
                    repeated += usize::from(row.attempt > 1);
                    sums.insert(sum);
                }
                (JobState::Succeeded, None) => wrong.push(format!("{}: no file", row.id)),
                (JobState::Cancelled, Some(_)) => wrong.push(format!("{}: cancelled, with a file", row.id)),
                (JobState::Failed, _) if row.error.as_deref() != Some(POISON) => {
                    failed.push(format!("{}: {:?}", row.id, row.error));
                }
                _ => {}
            }
        }
        self.count("complete export files", complete);
        self.count("of these written more than once", repeated);
        self.none("wrong export files", wrong);
        self.none("exports that failed", failed);
        self.report.require(
            format!("{}: contents of the same export", self.name),
            number(sums.len()),
            "",
            Goal::AtMost(1.0),
        );
        self.cancellations();
        Ok(())
    }

    fn cancellations(&mut self) {
        let cancelled: Vec<Uuid> = self.load.requests().cancelled.clone();
        let alive =
            cancelled.iter().filter(|id| self.rows.get(id).is_none_or(|row| row.finished_at.is_none()));
        let alive: Vec<String> = alive.map(ToString::to_string).collect();
        self.count("cancellations of exports confirmed", cancelled.len());
        self.none("cancelled exports that never ended", alive);
    }
}
