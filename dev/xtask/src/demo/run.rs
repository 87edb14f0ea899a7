//! Starts everything, runs the steps, and stays until Ctrl-C.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    show::Show,
    stack::Stack,
    state::{self, State},
    story,
};
use crate::{
    cargo,
    install::{self, Server},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Exit after the walk-through; the exit code says whether it succeeded.
    #[arg(long)]
    once: bool,
    /// Port of the API on 127.0.0.1; 0 chooses a free one.
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// small: 1 lot of 50 spots, demo: 20 of 300, large: 200 of 500; a month of traffic.
    #[arg(long, default_value = "small", value_parser = ["small", "demo", "large"])]
    size: String,
    /// The database to use instead of a new SQLite file.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Keep all files in this folder, for the next run too; by default they are temporary.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The folder with the demo's files.
enum Data {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Data {
    fn open(kept: Option<&PathBuf>) -> Result<Self> {
        let Some(folder) = kept else {
            return Ok(Self::Temporary(TempDir::with_prefix("parkade-demo-")?));
        };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self::Kept(folder.canonicalize()?))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Kept(folder) => folder.clone(),
            Self::Temporary(folder) => folder.path().to_owned(),
        }
    }

    /// Keeps the files when this process ends.
    fn keep(self) -> PathBuf {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.keep(),
        }
    }
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let port = port(args.port)?;
    let data = Data::open(args.data.as_ref())?;
    // Held until the end, because two demos must not use the same files.
    let _lock = state::lock(&data.path())?;
    install::ensure(&[Server::Redis])?;
    let binaries = cargo::build_debug()?;
    let database = args.database.as_deref().map(resolve_sqlite).transpose()?;
    let state = State::open(&data.path(), database)?;

    let show = Show::new();
    let mut stop = Stop::listen()?;
    let started = Instant::now();
    let stack = tokio::select! {
        stack = Stack::start(&show, &binaries, data.path(), port, state, &args.size) => stack,
        () = stop.requested() => bail!("stopped during the start"),
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(error) => return Err(error.context(format!("the files are kept in {}", data.keep().display()))),
    };
    show.line(&format!("everything is running after {:.1} s", started.elapsed().as_secs_f64()));

    let ended = tokio::select! {
        done = story::run(&show, &stack) => done.map(|()| true),
        () = stop.requested() => Ok(false),
    };
    let ended = match ended {
        Ok(true) if !args.once => stay(&show, &stack, &mut stop).await,
        other => other.map(|_| ()),
    };
    if ended.is_err() {
        stack.show_logs(&show);
    }
    stack.stop(&show).await;
    ended.map_err(|error| {
        error.context(format!("the demo failed; its files are kept in {}", data.keep().display()))
    })
}

/// Prints the addresses and every new mail, and writes mails to files, until a signal or the end of a process.
async fn stay(show: &Show, stack: &Stack, stop: &mut Stop) -> Result<()> {
    let mut seen = stack.sink.messages().len();
    for (nth, mail) in stack.sink.messages().iter().enumerate() {
        stack.write_mail(nth, mail)?;
    }
    stack.introduce(show);
    show.line("Ctrl-C stops everything");
    loop {
        let new_mails = stack.sink.wait_for(|mails| mails.len() > seen, Duration::from_secs(3600));
        tokio::select! {
            () = stop.requested() => return Ok(()),
            name = stack.first_to_end() => return Err(anyhow!("{name} exited unexpectedly")),
            mails = new_mails => for (nth, mail) in mails.iter().flatten().enumerate().skip(seen) {
                show.mail(mail);
                show.result("file", stack.write_mail(nth, mail)?.display());
                seen = nth + 1;
            },
        }
    }
}

/// The requested port if it is free, or a free one for 0.
fn port(requested: u16) -> Result<u16> {
    if requested == 0 {
        return devstack::free_port();
    }
    match TcpListener::bind((Ipv4Addr::LOCALHOST, requested)) {
        Ok(_) => Ok(requested),
        Err(error) => bail!(
            "cannot listen on 127.0.0.1:{requested} ({error}); another demo or program uses the port; \
             choose one with --port N, or any free one with --port 0"
        ),
    }
}

/// Makes the path of a SQLite file absolute, because the processes run in another folder.
fn resolve_sqlite(url: &str) -> Result<String> {
    let Some(file) = url.strip_prefix("sqlite://").filter(|file| !file.starts_with(['/', ':'])) else {
        return Ok(url.to_owned());
    };
    let here = std::env::current_dir()?;
    let here = here.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Ok(format!("sqlite://{here}/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_sqlite_path_becomes_absolute() {
        assert_eq!(resolve_sqlite("postgres://localhost/x").unwrap(), "postgres://localhost/x");
        assert_eq!(resolve_sqlite("sqlite:///a.db").unwrap(), "sqlite:///a.db");
        let found = resolve_sqlite("sqlite://a.db?mode=rwc").unwrap();
        assert!(found.starts_with("sqlite:///") && found.ends_with("/a.db?mode=rwc"), "{found}");
    }

    #[test]
    fn a_port_in_use_is_an_error_with_advice() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = port(taken.local_addr().unwrap().port()).unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
    }
}
