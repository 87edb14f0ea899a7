//! `parkade-worker`: the command line of the worker.

mod test_email;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use shared::{
    app::App,
    platform::{
        config::{Config, Sources},
        disk, settings, telemetry,
    },
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use worker::{Worker, cli::Jobs, metrics, registry::Registry};

/// Holds less memory after a load than the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Parkade's worker: runs background jobs such as mails, exports and cleanup
#[derive(Parser)]
#[command(name = "parkade-worker", version, after_help = settings::help())]
struct Cli {
    /// Read settings from this file, one NAME=VALUE per line
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run jobs until SIGTERM
    Run,
    /// Send a test mail and report each step
    TestEmail {
        /// The address to send it to
        address: String,
    },
    Jobs(Jobs),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::platform::telemetry::exit_code(run(Cli::parse()).await)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let config = Config::load(Sources::read(cli.config.as_deref()))?;
    let _spans = telemetry::init(&config, "parkade-worker")?;
    match cli.command {
        Command::TestEmail { address } => test_email::run(&config, &address).await,
        Command::Run => {
            config.require_jwt_keys()?;
            disk::ensure_writable("UPLOAD_FOLDER", &config.upload_folder)?;
            if config.mail.server.is_none() {
                disk::ensure_writable("MAIL_FOLDER", &config.mail.folder)?;
            }
            let app = App::start_together(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
            let stop = stop_on_signal()?;
            let worker = Worker::new(app.clone(), Registry::default());
            let _metrics = metrics::start(&worker).await?;
            worker.run(stop).await;
            app.finish().await;
            Ok(())
        }
        Command::Jobs(jobs) => jobs.run(config).await,
    }
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stop requested");
        stopped.cancel();
    });
    Ok(stop)
}
