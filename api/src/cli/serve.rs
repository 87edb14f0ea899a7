//! `parkade-api serve`.

use anyhow::Context;
use api::{ApiState, http};
use shared::{app::App, parking::accounts, platform::config::Config};
use tokio::net::TcpListener;

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    config.require_jwt_keys()?;
    let app = App::start_together(config).await?;
    if let Some(admin) = &app.config.admin {
        accounts::ensure_admin(&app, admin).await?;
    }
    let address = app.config.http_addr;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    app.tasks.spawn(api::routes::lots::warm(app.clone()));
    let _metrics = http::metrics::start(&app).await?;
    let state = ApiState::from(app.clone());
    http::drain::serve(listener, api::router(state.clone()), &app, state.followers).await?;
    app.finish().await;
    Ok(())
}
