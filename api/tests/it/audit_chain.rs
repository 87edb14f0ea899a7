//! The chain of the audit table on real databases: linking, verifying, pruning.

use std::process::{Output, Stdio};

use chrono::TimeDelta;
use futures::future::{join_all, try_join_all};
use serde_json::json;
use shared::{
    parking::audit::{self, Action, Actor, Checkpoint, Object},
    platform::db::Engine,
};
use testkit::{TestApp, binary, execute};

use crate::support::number;

/// Adds rows that are `age` old.
async fn record(t: &TestApp, rows: i64, age: TimeDelta) {
    let at = t.app.clock.now() - age;
    for id in 1..=rows {
        let (by, action) = (Actor::COMMAND_LINE, Action::LotChanged);
        audit::record(t.app.db.write(), at, &by, action, Object::Lot(id), &json!({ "n": id })).await.unwrap();
    }
}

/// What the verification says about the chain.
async fn broken(t: &TestApp) -> Option<String> {
    audit::verify(&t.app, &[]).await.unwrap().broken
}

/// Does what somebody does who controls the database.
async fn disable_triggers(t: &TestApp) {
    let texts: &[&str] = match t.app.db.engine() {
        Engine::Sqlite => &["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
        Engine::Postgres => &["ALTER TABLE audit DISABLE TRIGGER USER"],
    };
    for text in texts {
        execute(t, text, []).await;
    }
}

#[testkit::both_databases]
async fn changes_of_audit_rows_are_found_in_the_database(t: TestApp) {
    record(&t, 6, TimeDelta::zero()).await;
    assert_eq!(audit::link_pending(&t.app).await.unwrap(), 6);
    assert_eq!((broken(&t).await, audit::link_pending(&t.app).await.unwrap()), (None, 0));
    disable_triggers(&t).await;
    let insert = "INSERT INTO audit (at, origin, action, object_kind, details, seq, link)
        SELECT at, origin, action, object_kind, details, $, link FROM audit WHERE seq = 6";
    let inserted = insert.replace('$', "7");
    for (what, expected, manipulate, restore) in [
        (
            "changed",
            "entry 2 (lot_changed",
            vec!["UPDATE audit SET origin = 'x' WHERE seq = 2"],
            vec!["UPDATE audit SET origin = 'command line' WHERE seq = 2"],
        ),
        (
            "reordered",
            "entry 3 (lot_changed",
            vec![
                "UPDATE audit SET seq = -3 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 4",
                "UPDATE audit SET seq = 4 WHERE seq = -3",
            ],
            vec![
                "UPDATE audit SET seq = -3 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 4",
                "UPDATE audit SET seq = 4 WHERE seq = -3",
            ],
        ),
        ("inserted", "entry 7 (lot_changed", vec![&*inserted], vec!["DELETE FROM audit WHERE seq = 7"]),
        (
            "state changed",
            "the state of the chain was changed",
            vec!["UPDATE audit_chain SET state = state || ' '"],
            vec!["UPDATE audit_chain SET state = TRIM(state)"],
        ),
        ("removed", "entry 5 was removed", vec!["DELETE FROM audit WHERE seq = 5"], vec![]),
        ("last ones removed", "entries 5 to 6 were removed", vec!["DELETE FROM audit WHERE seq = 6"], vec![]),
        ("state removed", "entry 1 (lot_changed", vec!["DELETE FROM audit_chain"], vec![]),
    ] {
        for text in manipulate {
            execute(&t, text, []).await;
        }
        let found = broken(&t).await.unwrap_or_default();
        assert!(found.starts_with(expected), "{what}: {found}");
        for text in restore {
            execute(&t, text, []).await;
        }
    }
}

#[testkit::both_databases]
async fn several_linkers_make_one_chain_of_all_rows(t: TestApp) {
    let second = t.second_process(&[]).await;
    record(&t, 210, TimeDelta::zero()).await;
    let writing = join_all((0..5).map(|_| record(&t, 8, TimeDelta::zero())));
    let linking = try_join_all([&t, &second, &t, &second].map(|t| audit::link_pending(&t.app)));
    let (_, linked) = tokio::join!(writing, linking);
    let linked: u64 = linked.unwrap().iter().sum::<u64>() + audit::link_pending(&t.app).await.unwrap();
    assert_eq!(linked, 250);
    let verdict = audit::verify(&second.app, &[]).await.unwrap();
    assert_eq!((verdict.entries, verdict.broken, verdict.pending), (250, None, 0));
}

#[testkit::both_databases]
async fn old_audit_rows_are_pruned_and_the_rest_verifies(t: TestApp) {
    record(&t, 3, TimeDelta::days(500)).await;
    record(&t, 2, TimeDelta::days(10)).await;
    record(&t, 1, TimeDelta::days(500)).await;
    let before = t.app.clock.now() - TimeDelta::days(400);
    assert_eq!(audit::prune(&t.app, before).await.unwrap(), 0, "what is not linked stays");
    audit::link_pending(&t.app).await.unwrap();
    assert_eq!(audit::prune(&t.app, before).await.unwrap(), 3);
    assert_eq!(number(&t, "SELECT MIN(seq) AS n FROM audit").await, 4);
    record(&t, 1, TimeDelta::zero()).await;
    audit::link_pending(&t.app).await.unwrap();
    let verdict = audit::verify(&t.app, &[]).await.unwrap();
    assert_eq!((verdict.entries, verdict.broken), (4, None));
    let refused = testkit::change(&t, "DELETE FROM audit WHERE seq = 4", []).await.unwrap_err();
    assert!(refused.to_string().contains("append-only"));
}

#[testkit::both_databases]
async fn a_rollback_of_the_database_needs_a_checkpoint(t: TestApp) {
    record(&t, 3, TimeDelta::zero()).await;
    audit::link_pending(&t.app).await.unwrap();
    let earlier = crate::support::text(&t, "SELECT state || '|' || signature AS t FROM audit_chain").await;
    record(&t, 2, TimeDelta::zero()).await;
    audit::link_pending(&t.app).await.unwrap();
    let checkpoint = audit::checkpoint(&t.app).await.unwrap().unwrap();
    disable_triggers(&t).await;
    execute(&t, "DELETE FROM audit WHERE seq > 3", []).await;
    let (state, signature) = earlier.split_once('|').unwrap();
    execute(&t, "UPDATE audit_chain SET state = $1, signature = $2", [state.into(), signature.into()]).await;
    assert_eq!(broken(&t).await, None, "the database alone cannot tell");
    let log = Checkpoint::find_all(&format!("INFO end of the audit chain checkpoint={checkpoint}\n"));
    let found = audit::verify(&t.app, &log).await.unwrap().broken.unwrap();
    assert_eq!(found, "entries 4 to 5 were removed: a checkpoint names entry 5");
}

async fn verify(t: &TestApp, arguments: &[&str], changed: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(binary("parkade-api"));
    command.args(["audit"]).args(arguments).env_clear().envs(t.settings().iter().cloned());
    command.envs(changed.iter().copied()).current_dir(t.folder()).stdin(Stdio::null());
    command.output().await.unwrap()
}

#[testkit::both_databases]
async fn a_worker_links_and_the_command_verifies(t: TestApp) {
    t.admin().await;
    let worker = t.work();
    let linked = "SELECT COUNT(*) AS n FROM audit WHERE seq IS NOT NULL";
    t.eventually("the rows are linked", async || number(&t, linked).await == 2).await;
    worker.stop().await;
    let said = |output: &Output| {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), format!("{out}{err}"))
    };
    let checkpoint = verify(&t, &["checkpoint"], &[]).await;
    std::fs::write(t.folder().join("checkpoints"), checkpoint.stdout).unwrap();
    let checked = said(&verify(&t, &["verify", "--checkpoints", "checkpoints"], &[]).await);
    assert!(checked.0 && checked.1.starts_with("2 entries and 1 checkpoints agree\n"), "{}", checked.1);
    let other = [("APP_SECRET", "a secret that this chain has never seen: 32 bytes")];
    let (succeeds, why) = said(&verify(&t, &["verify"], &other).await);
    assert!(succeeds, "JWT_SECRET_KEY still verifies: {why}");
    let other = [("JWT_SECRET_KEY", "a secret that this chain has never seen: 32 bytes")];
    let (succeeds, why) = said(&verify(&t, &["verify"], &other).await);
    assert!(!succeeds && why.contains("a key that is not in the settings"), "{why}");
}
