//! Everything that is known when a run has ended: what was requested, the ledger, the journal and the notes.

use std::collections::HashMap;

use anyhow::Result;
use bench::report::{Goal, Report};
use sea_orm::EntityTrait;
use shared::jobs::ledger::row as job;
use uuid::Uuid;

use super::{
    cluster::Cluster,
    journal::{self, Line},
    load::Load,
};

pub struct Evidence<'a> {
    /// The database's name in tables.
    pub name: &'static str,
    pub cluster: &'a Cluster,
    pub load: &'a Load,
    /// The ledger.
    pub rows: HashMap<Uuid, job::Model>,
    /// The journal.
    pub lines: Vec<Line>,
    pub report: &'a mut Report,
}

impl<'a> Evidence<'a> {
    pub async fn gather(
        name: &'static str,
        cluster: &'a Cluster,
        load: &'a Load,
        report: &'a mut Report,
    ) -> Result<Self> {
        let rows = job::Entity::find().all(cluster.app.db.read()).await?;
        let rows = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(Self { name, cluster, load, rows, lines: journal::read(&cluster.journal)?, report })
    }

    /// Whether the line belongs to a poison job.
    pub fn is_poison(&self, line: &Line) -> bool {
        self.rows.get(&line.id).is_some_and(|row| row.kind == "chaos-poison")
    }

    /// A count that shows how much has happened.
    pub fn count(&mut self, what: &str, count: usize) {
        self.report.add(format!("{}: {what}", self.name), number(count), "", "");
    }

    /// Something that must not happen. The first offenders are printed.
    pub fn none(&mut self, what: &str, offenders: Vec<String>) {
        for offender in offenders.iter().take(10) {
            eprintln!("{}: {what}: {offender}", self.name);
        }
        let count = number(offenders.len());
        self.report.require(format!("{}: {what}", self.name), count, "", Goal::AtMost(0.0));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
pub fn number(count: usize) -> f64 {
    count as f64
}
