//! `parkade-api seed`.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use clap::Args;
use shared::{
    app::App,
    operations::demo::{self, Plan, Size, Span},
    parking::accounts::password::{self, Priority},
    platform::{
        cache::Group,
        config::{Config, Environment},
    },
};

use super::{output::print, progress};

#[derive(Args)]
pub(super) struct Seed {
    /// small: 1 lot of 50 spots; demo: 20 lots of 300; large: 200 lots of 500.
    #[arg(long, default_value = "small")]
    size: Size,
    /// How far back the history goes: day, month or year.
    #[arg(long, default_value = "month")]
    span: Span,
    /// The same seed creates the same rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of reservations of one heavy user.
    #[arg(long, default_value_t = 0)]
    heavy: u64,
    /// The password of all simulated accounts; by default a random one, which is printed.
    #[arg(long)]
    password: Option<String>,
}

impl Seed {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        if config.environment == Environment::Production {
            bail!("APP_ENV is production: simulated accounts must not be added to it");
        }
        let app = App::start(config).await?;
        let password = self.password.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let hash = password::hash(Priority::Other, password.clone()).await?;
        let plan = Plan::new(self.size, self.span, self.seed, app.clock.now(), app.config.zone, self.heavy);
        let rows = AtomicU64::new(0);
        let loading = demo::load(&app.db, &plan, &hash, |loaded| rows.store(loaded, Ordering::Relaxed));
        let loaded = progress::show("seed", Some(&rows), loading).await?;
        // An API that is already running may have cached the empty database.
        app.cache.invalidate(&[Group::Everything]).await;
        app.db.close().await;
        print(&format!(
            "{loaded} in {:.1} s; log in as admin@parkade.test or driver@parkade.test with the password {password}",
            loaded.elapsed.as_secs_f64()
        ))
    }
}
