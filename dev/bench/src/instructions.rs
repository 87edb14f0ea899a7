//! Instructions that the API executes for a request, counted by valgrind: a figure that other load on the machine hardly
//! changes.

use std::path::Path;

use anyhow::{Context, Result};
use bench::{
    http::{Connection, request},
    report::Report,
    testbed::{Testbed, binary, listening, output},
};
use shared::platform::db::Engine;
use tokio::process::Command;

use crate::{booking, stays::Client};

#[derive(clap::Args)]
pub struct Options {
    /// Requests per count.
    #[arg(long, default_value_t = 200)]
    requests: u32,
}

const VALGRIND: &str = "/usr/bin/valgrind";

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let tokens = booking::prepare(&testbed).await?;
    let address = format!("127.0.0.1:{}", devstack::free_port()?);
    let (counts, program) = (testbed.path("counts"), binary("parkade-api")?);
    let file = format!("--callgrind-out-file={}", counts.display());
    let program = program.to_str().context("the path of the API is not UTF-8")?;
    let arguments = ["--tool=callgrind", &file, program, "serve"];
    let api = testbed.spawn(Path::new(VALGRIND), &arguments, &[("HTTP_ADDR", address.clone())])?;
    listening(&api, &address).await.context("is valgrind installed?")?;
    let counter = Counter { pid: api.pid().to_string(), file: counts.display().to_string() };
    let label = |what: &str| format!("{}: {what}", testbed.name());

    let mut connection = Connection::open(&address).await?;
    let list = request(&address, "GET", "/api/parking-lots", "", "");
    let mut client = Client::new(&address, &tokens[0]).await?;
    // Fills caches and pools.
    for _ in 0..20 {
        connection.send(&list).await?;
        client.stay().await?;
    }
    counter.reset().await?;
    for _ in 0..options.requests {
        connection.send(&list).await?;
    }
    report.add(label("cached list of lots"), counter.thousands(options.requests).await?, "thousand", "each");
    for _ in 0..options.requests {
        client.stay().await?;
    }
    report.add(label("book and release"), counter.thousands(options.requests).await?, "thousand", "each");
    Ok(())
}

/// The counter of a process under callgrind.
struct Counter {
    pid: String,
    file: String,
}

impl Counter {
    async fn reset(&self) -> Result<()> {
        output(Command::new("callgrind_control").args(["--zero", &self.pid])).await?;
        Ok(())
    }

    /// Thousands of instructions for each of these requests since the last count.
    async fn thousands(&self, requests: u32) -> Result<f64> {
        output(Command::new("callgrind_control").args(["--dump", &self.pid])).await?;
        // Dumps are numbered.
        let mut number = 1;
        while Path::new(&format!("{}.{}", self.file, number + 1)).exists() {
            number += 1;
        }
        let text = std::fs::read_to_string(format!("{}.{number}", self.file))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("no totals")?;
        Ok(total.trim().parse::<f64>()? / 1000.0 / f64::from(requests))
    }
}
