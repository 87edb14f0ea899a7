//! Claims and ends of runs that are wanted at the same time, in one statement.

use anyhow::anyhow;
use shared::{
    Error, Result,
    app::App,
    base::batches::Batches,
    jobs::{
        Outcome,
        ledger::{self, Claim},
        policy::LEASE,
    },
};
use tokio::sync::oneshot;
use uuid::Uuid;

/// The most rows of a statement. Each number is a statement of its own to the database, which prepares a hundred.
const MAX_ROWS: usize = 16;

/// What a worker is about to write into the ledger. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LedgerBatches {
    claims: Batches<Wanted<Uuid, Option<Claim>>>,
    ends: Batches<Wanted<(Claim, Outcome), bool>>,
}

/// What a caller wants, and where it waits.
struct Wanted<I, T> {
    item: I,
    answer: oneshot::Sender<Result<T>>,
}

impl LedgerBatches {
    /// As [`ledger::claim`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn claim(&self, app: &App, worker: &str, id: Uuid) -> Result<Option<Claim>> {
        let (answer, answered) = oneshot::channel();
        let (app, worker) = (app.clone(), worker.to_owned());
        let claiming = self.claims.add(vec![Wanted { item: id, answer }], move |wanted| {
            let (app, worker) = (app.clone(), worker.clone());
            async move { claim_all(&app, &worker, wanted).await }
        });
        claiming.map(tokio::spawn);
        answered.await.unwrap_or_else(|_| Err(dropped()))
    }

    /// As [`ledger::close`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn close(&self, app: &App, claim: &Claim, outcome: &Outcome) -> Result<bool> {
        let (answer, answered) = oneshot::channel();
        let (app, item) = (app.clone(), (claim.clone(), outcome.clone()));
        let closing = self.ends.add(vec![Wanted { item, answer }], move |wanted| {
            let app = app.clone();
            async move { close_all(&app, wanted).await }
        });
        closing.map(tokio::spawn);
        answered.await.unwrap_or_else(|_| Err(dropped()))
    }
}

fn dropped() -> Error {
    Error::Internal(anyhow!("the task that writes into the ledger panicked"))
}

async fn claim_all(app: &App, worker: &str, mut wanted: Vec<Wanted<Uuid, Option<Claim>>>) {
    while !wanted.is_empty() {
        let later = wanted.split_off(wanted.len().min(MAX_ROWS));
        let some = std::mem::replace(&mut wanted, later);
        let ids: Vec<Uuid> = some.iter().map(|wanted| wanted.item).collect();
        match ledger::claim_all(&app.db, app.clock.now(), LEASE, worker, &ids).await {
            Ok(mut claims) => some.into_iter().for_each(|wanted| {
                // A job that two messages name is claimed for the first.
                let found = claims.iter().position(|claim| claim.id == wanted.item);
                let _ = wanted.answer.send(Ok(found.map(|nth| claims.swap_remove(nth))));
            }),
            Err(error) => fail(some, &error),
        }
    }
}

async fn close_all(app: &App, mut wanted: Vec<Wanted<(Claim, Outcome), bool>>) {
    while !wanted.is_empty() {
        let later = wanted.split_off(wanted.len().min(MAX_ROWS));
        let some = std::mem::replace(&mut wanted, later);
        let ended: Vec<_> =
            some.iter().map(|Wanted { item: (claim, outcome), .. }| (claim, outcome)).collect();
        match ledger::close_all(app.db.relaxed(), app.clock.now(), &ended).await {
            Ok(closed) => some.into_iter().for_each(|wanted| {
                let _ = wanted.answer.send(Ok(closed.contains(&wanted.item.0.id)));
            }),
            Err(error) => fail(some, &error),
        }
    }
}

fn fail<I, T>(wanted: Vec<Wanted<I, T>>, error: &Error) {
    for wanted in wanted {
        let _ = wanted.answer.send(Err(error.duplicate()));
    }
}
