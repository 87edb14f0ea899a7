//! Verifying the chain.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    chain::{ChainKeys, Link, Proof, State},
    checkpoint::Checkpoint,
    entry::{COLUMNS, Entry},
    store,
    walk::{Broken, Linked, Walk},
};
use crate::{app::App, base::error::Result, platform::db::sql};

/// Rows that are read at once.
const BATCH: usize = 5_000;

/// What is known about the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Entries that were read, up to the first broken link.
    pub entries: u64,
    /// The first broken link.
    pub broken: Option<String>,
    /// What could not be verified, and why.
    pub notes: Vec<String>,
    /// Rows that are not linked yet.
    pub pending: i64,
}

/// Follows the chain from its beginning to its end, and compares it with checkpoints from outside the database.
///
/// # Errors
/// Those of the database.
pub async fn verify(app: &App, checkpoints: &[Checkpoint]) -> Result<Verdict> {
    let keys = ChainKeys::new(&app.keys)?;
    loop {
        let found = store::load(app.db.read(), &keys).await?;
        let start = found.as_ref().map(|stored| stored.state.start.clone());
        let verdict = verify_once(app, &keys, found, checkpoints).await?;
        // Rows may have been pruned meanwhile.
        let now = store::load(app.db.read(), &keys).await?.map(|stored| stored.state.start);
        if verdict.broken.is_none() || now == start {
            return Ok(verdict);
        }
    }
}

async fn verify_once(
    app: &App,
    keys: &ChainKeys,
    found: Option<store::Stored>,
    checkpoints: &[Checkpoint],
) -> Result<Verdict> {
    let mut verdict = Verdict { pending: pending(app).await?, ..Verdict::default() };
    let (state, proof) =
        found.map_or((State::default(), Proof::Genuine), |stored| (stored.state, stored.proof));
    match proof {
        Proof::Genuine => {}
        Proof::Forged => verdict.broken = Some("the state of the chain was changed".into()),
        Proof::UnknownKey => {
            verdict.broken = Some(
                "the chain was signed with a key that is not in the settings; append the earlier value to APP_SECRET"
                    .into(),
            );
        }
    }
    if verdict.broken.is_some() {
        return Ok(verdict);
    }
    let checkpoints = proven(keys, checkpoints, &mut verdict)?;
    describe_spans(keys, &state, &mut verdict);
    let mut walk = Walk::new(keys, &state, checkpoints);
    let broken = follow(app, &mut walk, &state, &mut verdict.entries).await?;
    let unproven = || {
        let span = state.spans.iter().find(|span| span.is_unproven)?;
        Some(format!("entries up to {} were taken over without proof", span.end.seq))
    };
    verdict.broken = broken.or_else(|| walk.finish()).or_else(unproven);
    Ok(verdict)
}

async fn pending(app: &App) -> Result<i64> {
    let db = app.db.read();
    let row = db.query_one_raw(sql(db, "SELECT COUNT(*) AS n FROM audit WHERE seq IS NULL", [])).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "n"))?)
}

/// The checkpoints of this installation, by place.
fn proven(
    keys: &ChainKeys,
    checkpoints: &[Checkpoint],
    verdict: &mut Verdict,
) -> Result<BTreeMap<i64, String>> {
    let (mut proven, mut others) = (BTreeMap::new(), 0);
    for checkpoint in checkpoints {
        match checkpoint.prove(keys)? {
            Proof::Genuine => drop(proven.insert(checkpoint.link.seq, checkpoint.link.mac.clone())),
            _ => others += 1,
        }
    }
    if others > 0 {
        verdict.notes.push(format!("{others} checkpoints are not signed with a key of the settings"));
    }
    Ok(proven)
}

fn describe_spans(keys: &ChainKeys, state: &State, verdict: &mut Verdict) {
    for span in state.spans.iter().filter(|span| keys.find(&span.key).is_none()) {
        verdict.notes.push(format!(
            "entries up to {} were linked with a key that is not in the settings: only their number was verified",
            span.end.seq
        ));
    }
}

/// Rows that were linked after the state was read are left to the next time.
async fn follow(app: &App, walk: &mut Walk<'_>, state: &State, entries: &mut u64) -> Result<Broken> {
    let db = app.db.read();
    let text = format!(
        "SELECT seq, link, {COLUMNS} FROM audit WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT {BATCH}"
    );
    let (mut last, end) = (i64::MIN, newest_end(app, state).await?);
    loop {
        let rows = db.query_all_raw(sql(db, &text, [last.into(), end.into()])).await?;
        for row in &rows {
            let link = Link { seq: row.try_get("", "seq")?, mac: row.try_get("", "link")? };
            last = link.seq;
            let linked = Linked { link, entry: Entry::from_query_result(row, "")? };
            if let Some(broken) = walk.step(&linked)? {
                return Ok(Some(broken));
            }
            *entries += 1;
        }
        if rows.len() < BATCH {
            return Ok(None);
        }
    }
}

/// The end of the state; or of everything, unless a linker has moved on since the state was read.
async fn newest_end(app: &App, state: &State) -> Result<i64> {
    let db = app.db.read();
    let text =
        "SELECT (SELECT MAX(seq) FROM audit) AS last, (SELECT state FROM audit_chain WHERE id = 1) AS state";
    let Some(row) = db.query_one_raw(sql(db, text, [])).await? else { return Ok(state.head().seq) };
    let now: Option<String> = row.try_get("", "state")?;
    let is_same = now.is_none_or(|now| serde_json::from_str(&now).is_ok_and(|now: State| now == *state));
    let last: Option<i64> = row.try_get("", "last")?;
    Ok(if is_same { last.unwrap_or(0) } else { state.head().seq })
}
