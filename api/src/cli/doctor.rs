//! `parkade-api doctor`.

use anyhow::bail;
use clap::Args;
use serde_json::json;
use shared::{
    base::clock::Clock,
    operations::doctor::{self, Finding, Level},
    platform::config::Config,
};

use super::output::print;

#[derive(Args)]
pub(super) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let findings = doctor::examine(config, &Clock::System).await;
        if self.json {
            print(&serde_json::to_string_pretty(&json!({ "findings": findings }))?)?;
        } else {
            findings.iter().try_for_each(show)?;
        }
        match findings.iter().filter(|finding| finding.verdict.level == Level::Problem).count() {
            0 => Ok(()),
            1 => bail!("there is a problem"),
            problems => bail!("there are {problems} problems"),
        }
    }
}

fn show(finding: &Finding) -> anyhow::Result<()> {
    let level = match finding.verdict.level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Problem => "PROBLEM",
    };
    print(&format!("{level:<9}{:<10}{}", finding.area, finding.verdict.what))?;
    match &finding.verdict.advice {
        Some(advice) => print(&format!("{:<19}→ {advice}", "")),
        None => Ok(()),
    }
}
