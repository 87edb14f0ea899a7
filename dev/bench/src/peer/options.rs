//! The options of the comparison.

use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Options {
    /// Rounds; in each one, both systems are measured in turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Past reservations in both databases.
    #[arg(long, default_value_t = 500_000)]
    pub reservations: i64,
    /// Those of the user whose reservations are exported.
    #[arg(long, default_value_t = 100_000)]
    pub exported: i64,
    /// The Python of an environment with `dev/bench/peer/requirements.txt`; `cargo xtask bench` makes one.
    #[arg(long)]
    pub python: PathBuf,
}
