//! The ledger under every crash that a seed can think of, and the proof that the machine simulated is the one shipped.
//!
//! `SEED=17 cargo test -p shared --test ledger_simulation simulation -- --nocapture` plays one seed again, step by step.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

mod actors;
mod checks;
mod differential;
mod world;

use std::time::Instant;

use world::World;

const SEEDS: u64 = 10_000;

/// A number that the developer gives.
#[expect(clippy::disallowed_methods, reason = "this is told by whoever runs the tests, it is no setting")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Plays one seed. Panics with what went wrong.
fn play(seed: u64, loud: bool) -> world::Counts {
    let mut world = World::new(seed, loud);
    world.live();
    world.recover();
    world.counts
}

#[test]
fn ten_thousand_seeds_keep_every_ledger_rule() {
    if let Some(seed) = told("SEED") {
        println!("{:#?}", play(seed, true));
        return;
    }
    let (begun, threads) = (Instant::now(), 4);
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
    let seconds = begun.elapsed().as_secs_f64();
    println!("{SEEDS} seeds in {seconds:.1} s, {:.0} a second: {total:#?}", SEEDS as f64 / seconds);
    // A world in which nothing goes wrong would prove nothing.
    assert!(total.everything_happened(), "{total:#?}");
    assert!(seconds < 120.0, "too slow to be part of the tests: {seconds} s");
}
