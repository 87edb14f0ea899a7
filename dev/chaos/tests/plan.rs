//! The plan of faults depends on the seed and has enough of each fault.

#[path = "../src/random/plan.rs"]
mod plan;

use std::time::Duration;

use plan::{Fault, Plan};

#[test]
fn a_plan_depends_on_the_seed_only() {
    let plan = |seed| Plan::new(seed, Duration::from_secs(60)).processes;
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn fifteen_minutes_have_the_promised_faults() {
    let plan = Plan::new(7, Duration::from_mins(15));
    assert!(plan.count(|fault| *fault == Fault::KillWorker) >= 200);
    assert!(plan.count(|fault| matches!(fault, Fault::KillRedis(_))) >= 50);
    assert!(plan.count(|fault| *fault == Fault::KillApi) >= 20);
    assert!(plan.count(|fault| *fault == Fault::FlushRedis) >= 10);
}
