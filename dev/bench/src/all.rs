//! All benchmarks in one run, whether or not their goals are met.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use bench::report::Report;
use clap::Parser;

use crate::benchmark::{Benchmark, measure, print};

/// A line of arguments.
#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(clap::Args)]
pub struct Options {
    /// As small as possible: shows that all of them run to their end, and no meaningful figures.
    #[arg(long)]
    smoke: bool,
    /// As for `peer`; without it, that one is left out.
    #[arg(long)]
    python: Option<PathBuf>,
}

/// Each benchmark with its arguments, for some fifteen minutes on two cores.
const MODEST: [&str; 10] = [
    "api --seconds 2 --span month --heavy 20000",
    "booking --seconds 5",
    "jobs --starts 300 --jobs 10000 --backlog 100000",
    "export --rows 200000 --runs 2",
    "events --followers 400 --reconnects 50 --cancels 60",
    "cache --seconds 1 --rounds 4 --watch 8 --pairs 4",
    "pages --span month",
    "audit --entries 100000",
    "timing --calls 500",
    "peer --seconds 4",
];

const SMOKE: [&str; 10] = [
    "api --seconds 1 --span day --spots 20 --heavy 1000",
    "booking --seconds 1",
    "jobs --starts 20 --jobs 400 --backlog 12000",
    "export --rows 5000 --runs 1",
    "events --followers 20 --reconnects 5 --cancels 20",
    "cache --seconds 1 --rounds 1 --span day --people 20 --watch 2 --pairs 2",
    "pages --smoke",
    "audit --entries 2000",
    "timing --calls 10",
    "peer --seconds 1 --rounds 1 --reservations 20000 --exported 5000",
];

/// Fails only if something broke.
pub async fn run(options: &Options, json: Option<&Path>) -> Result<()> {
    let (mut all, mut broken) = (Report::default(), Vec::new());
    for line in if options.smoke { SMOKE } else { MODEST } {
        let name = line.split(' ').next().unwrap_or(line);
        let mut arguments: Vec<&Path> = ["bench"].into_iter().chain(line.split(' ')).map(Path::new).collect();
        if name == "peer" {
            let Some(python) = &options.python else { continue };
            arguments.extend([Path::new("--python"), python]);
        }
        eprintln!("==> {line}");
        let benchmark = Line::try_parse_from(arguments)?.benchmark;
        let mut report = Report::default();
        if let Err(error) = measure(&benchmark, &mut report).await {
            broken.push(format!("{name}: {error:#}"));
        }
        broken.extend(report.broken().into_iter().map(|what| format!("{name}: {what}")));
        eprintln!("{report}");
        all.append_as(name, report);
    }
    print(&all, json)?;
    let missed = all.missed_goals();
    if !missed.is_empty() {
        eprintln!("\nmissed:\n  {}", missed.join("\n  "));
    }
    ensure!(broken.is_empty(), "broken:\n  {}", broken.join("\n  "));
    Ok(())
}
