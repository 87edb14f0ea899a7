//! `parkade-api integrity`.

use anyhow::bail;
use shared::{app::App, operations::integrity, platform::config::Config};

use super::output::print;

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let app = App::connect(config).await?;
    let checks = integrity::check(&app).await?;
    app.db.close().await;
    for check in &checks {
        print(&format!("{:<5}{}", if check.offenders.is_empty() { "ok" } else { "FAIL" }, check.rule))?;
        check.offenders.iter().try_for_each(|offender| print(&format!("       {offender}")))?;
    }
    match checks.iter().filter(|check| !check.offenders.is_empty()).count() {
        0 => print("The data is sound"),
        broken => bail!("the data violates {broken} of {} rules", checks.len()),
    }
}
