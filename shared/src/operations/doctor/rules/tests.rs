//! Every rule at its boundaries.

use super::*;
use crate::operations::doctor::verdict::Level::{self, Ok, Problem, Warning};

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn rules_judge_by_their_limits_and_advise_on_what_is_wrong() {
    let known = texts(&["a", "b"]);
    let good = PostgresServer { is_crash_safe: true, waits_for_disk: true, max_connections: 51 };
    let plain = RedisServer {
        version: "7".into(),
        has_append_only_file: true,
        max_memory: 0,
        used_memory: 1,
        policy: "allkeys-lru".into(),
    };
    let full = RedisServer { max_memory: 100, used_memory: 90, policy: "noeviction".into(), ..plain.clone() };
    let key = "0123456789abcdef0123456789abcdef";
    let cases: Vec<(Level, Vec<Verdict>)> = vec![
        (Ok, vec![schema(&known, &known)]),
        (Warning, vec![schema(&known[..1], &known), schema(&[], &known)]),
        (Problem, vec![schema(&texts(&["a", "b", "c"]), &known)]),
        (Ok, postgres(good, 24)),
        (Warning, postgres(good, 25)),
        (Warning, postgres(PostgresServer { waits_for_disk: false, ..good }, 24)),
        (Problem, postgres(PostgresServer { is_crash_safe: false, ..good }, 24)),
        (Ok, vec![sqlite("wal", false)]),
        (Warning, vec![sqlite("delete", false), sqlite("wal", true)]),
        (Ok, vec![disk("x", 0, 90), disk("x", 89, 90), disk("x", 98, 100)]),
        (Warning, vec![disk("x", 90, 90), disk("x", 98, 90)]),
        (Problem, vec![disk("x", 99, 100), disk("x", 100, 100)]),
        (Ok, vec![clock("x", 0), clock("x", 999), clock("x", -999)]),
        (Warning, vec![clock("x", 1_000), clock("x", -2_999)]),
        (Problem, vec![clock("x", 3_000), clock("x", -3_000), clock("x", i64::MIN)]),
        (Ok, redis(&plain)),
        (Ok, redis(&RedisServer { used_memory: 89, ..full.clone() })),
        (Warning, redis(&RedisServer { has_append_only_file: false, ..plain.clone() })),
        (Warning, redis(&full)),
        (Problem, redis(&RedisServer { max_memory: 100, ..plain })),
        (Ok, vec![latency(0.1), latency(9.9)]),
        (Warning, vec![latency(10.0), latency(99.0)]),
        (Problem, vec![latency(100.0)]),
        (Ok, vec![secret(&[key.into()])]),
        (Warning, vec![secret(&[key.into(), "please-change-me-0123456789abcdef".into()])]),
        (Problem, vec![secret(&[]), secret(&["x".repeat(64).into()])]),
        (Ok, vec![public_url("http://127.0.0.1:5000", false), public_url("https://p.example", true)]),
        (Problem, vec![public_url("http://p.example", true), public_url("https://localhost", true)]),
        (
            Ok,
            vec![
                origins(&texts(&["http://localhost:5173"]), false),
                origins(&texts(&["https://a.example"]), true),
            ],
        ),
        (Warning, vec![origins(&texts(&["https://a.example", "http://b.example"]), true)]),
        (Ok, vec![consumers("mail", 1), backlog("mail", 9, 300), dead(0), backup(true, Some(26))]),
        (
            Warning,
            vec![
                backlog("mail", 1, 301),
                dead(1),
                backup(true, Some(27)),
                backup(true, None),
                backup(false, None),
            ],
        ),
        (Problem, vec![consumers("mail", 0)]),
    ];
    for (level, verdicts) in cases {
        assert_eq!(verdicts.iter().map(|verdict| verdict.level).max(), Some(level), "{verdicts:?}");
        for verdict in verdicts {
            assert_eq!(verdict.level == Ok, verdict.advice.is_none(), "{verdict:?}");
        }
    }
}

#[test]
fn an_outage_of_the_mail_server_is_a_problem() {
    let time: chrono::DateTime<chrono::Utc> = "2026-11-24T12:30:00Z".parse().unwrap();
    let outage = Outage {
        since: time,
        reason: "not sent: away".into(),
        needs_repair: false,
        failures: 3,
        probe_at: time,
    };
    let found = mail_outage(&outage, 1);
    assert_eq!(found.level, Problem);
    assert_eq!(
        found.what,
        "1 mail waiting since 2026-11-24 12:30 UTC, because the mail server takes none: not sent: away"
    );
}
