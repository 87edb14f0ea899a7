//! What came of the work: every mail at the server and every file on the disk, against what the database says.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use sea_orm::EntityTrait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::{
    jobs::{JobState, ledger::row as job, policy::POISON},
    parking::exports::file,
    platform::entities::email_delivery,
};
use uuid::Uuid;

use super::judge::{Evidence, figure};
use crate::report::Goal;

impl Evidence<'_> {
    /// Every Message-ID at the sink against the deliveries.
    pub(super) async fn mails(&mut self) -> Result<()> {
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
        let refused = rows.iter().filter(|row| row.state == "refused").count();
        self.count("mails accepted by the server", mails.len());
        self.count("distinct Message-IDs", taken.len());
        self.count("duplicates, all marked as resent", marked);
        self.count("mails held in doubt", doubt);
        self.count("mails refused by the server", refused);
        self.none("mails lost: sent, says the row", lost);
        self.none("mails twice that are not marked", twice);
        self.none("mails that nobody asked for", strangers);
        self.mail_jobs(&rows);
        Ok(())
    }

    /// The jobs of mails against their rows.
    fn mail_jobs(&mut self, rows: &[email_delivery::Model]) {
        let of: HashMap<Uuid, &email_delivery::Model> =
            rows.iter().filter_map(|row| Some((row.job_id?, row))).collect();
        // Those that turned out to be needless have no row.
        let is_skipped =
            |row: &job::Model| row.result.as_deref().is_some_and(|text| text.contains("skipped"));
        let mail_jobs = self.rows.values().filter(|row| row.queue == "mail" && row.kind.starts_with("send-"));
        let mail_jobs = mail_jobs.filter(|row| !is_skipped(row));
        let dead = mail_jobs.clone().filter(|row| row.state == JobState::Failed);
        // A row that says "sent" was written by the run whose lease was lost while it waited for the database.
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
        self.none("mails done, says the job, and not the row", unsent);
        self.none("mails given up for no reason", unexplained);
    }

    /// Every file against what the job says of it.
    pub(super) fn exports(&mut self) -> Result<()> {
        let folder = &self.site.app.config.upload_folder;
        let (mut wrong, mut failed, mut sums) = (vec![], vec![], BTreeSet::new());
        let (mut whole, mut again) = (0, 0);
        for row in self.rows.values().filter(|row| row.kind == "export-csv") {
            let content = std::fs::read(file::path(folder, row.id)).ok();
            let sum = content.map(|bytes| {
                Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            });
            match (row.state, sum) {
                (JobState::Succeeded, Some(sum)) => {
                    let result: Value = serde_json::from_str(row.result.as_deref().unwrap_or("null"))?;
                    if result["sha256"].as_str() != Some(&sum) {
                        wrong.push(format!("{}: the file is not what the job says", row.id));
                    }
                    whole += 1;
                    again += usize::from(row.attempt > 1);
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
        self.count("export files that are whole", whole);
        self.count("of these written again after a crash", again);
        self.none("export files that are wrong", wrong);
        self.none("exports that failed", failed);
        self.report.must(
            format!("{}: different contents of the same export", self.name),
            figure(sums.len()),
            "",
            Goal::AtMost(1.0),
        );
        self.cancellations();
        Ok(())
    }

    fn cancellations(&mut self) {
        let asked: Vec<Uuid> = self.load.asked().cancelled.clone();
        let alive = asked.iter().filter(|id| self.rows.get(id).is_none_or(|row| row.finished_at.is_none()));
        let alive: Vec<String> = alive.map(ToString::to_string).collect();
        self.count("cancellations of exports promised", asked.len());
        self.none("cancelled exports that go on", alive);
    }
}
