//! Simulates the ledger under crashes, outages and wrong clocks, and checks that the simulated ledger behaves like
//! the real one.
//!
//! `SEED=17 cargo test -p shared --test ledger_simulation simulation -- --nocapture` replays one seed and prints
//! each step.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

mod actors;
mod checks;
mod differential;
mod machine;
mod world;

use std::time::Instant;

use world::World;

const SEEDS: u64 = 10_000;

/// The seed to replay, if the developer sets one.
#[expect(clippy::disallowed_methods, reason = "an option of this test, not a setting")]
fn seed_to_replay() -> Option<u64> {
    std::env::var("SEED").ok().map(|text| text.parse().expect("a number"))
}

/// Simulates the world of one seed. Panics if a rule is broken.
fn play(seed: u64, is_verbose: bool) -> world::Counts {
    let mut world = World::new(seed, is_verbose);
    world.run_with_faults();
    world.recover();
    world.counts
}

#[test]
fn ten_thousand_seeds_keep_every_ledger_rule() {
    if let Some(seed) = seed_to_replay() {
        println!("{:#?}", play(seed, true));
        return;
    }
    let (started, threads) = (Instant::now(), 4);
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            std::thread::spawn(move || {
                let mut total = world::Counts::default();
                for seed in (0..SEEDS).skip(part).step_by(threads) {
                    let played = std::panic::catch_unwind(|| play(seed, false));
                    total += played.unwrap_or_else(|_| panic!("SEED={seed} fails"));
                }
                total
            })
        })
        .collect();
    let mut total = world::Counts::default();
    for part in parts {
        total += part.join().expect("no seed fails");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{SEEDS} seeds in {seconds:.1} s, {:.0} per second: {total:#?}", SEEDS as f64 / seconds);
    // A simulation without some kind of fault would be inconclusive.
    assert!(total.everything_happened(), "{total:#?}");
    assert!(seconds < 120.0, "too slow for a regular test: {seconds} s");
}
