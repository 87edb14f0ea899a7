//! `cargo xtask demo`: the whole product on this machine, and the main job as a client sees it.

mod client;
mod show;
mod stack;
mod state;
mod story;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{show::Show, stack::Stack, state::State};
use crate::{
    cargo,
    install::{self, Server},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop after the main job; the exit code says whether it went well.
    #[arg(long)]
    once: bool,
    /// Where the API listens on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// small: 1 lot of 50 spots, demo: 20 of 300, large: 200 of 500; a month of traffic.
    #[arg(long, default_value = "small", value_parser = ["small", "demo", "large"])]
    size: String,
    /// A database to use instead of a new SQLite file.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Keep everything in this folder, for the next run too; else it is temporary.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Where the demo keeps its files.
enum Data {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Data {
    fn open(kept: Option<&PathBuf>) -> Result<Self> {
        let Some(folder) = kept else {
            return Ok(Self::Temporary(TempDir::with_prefix("parkade-demo-")?));
        };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self::Kept(folder.canonicalize()?))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Kept(folder) => folder.clone(),
            Self::Temporary(folder) => folder.path().to_owned(),
        }
    }

    /// The files outlive this process.
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

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let port = port(args.port)?;
    let data = Data::open(args.data.as_ref())?;
    // Held until the end: two demos on the same files would spoil both.
    let _lock = state::lock(&data.path())?;
    install::ensure(&[Server::Redis])?;
    // With xtask itself, the shared dependencies get the features that they have in every other build here.
    cargo::run(["build", "-p", "api", "-p", "worker", "-p", "xtask"])?;
    let binaries = cargo::binaries("debug")?;
    let database = args.database.as_deref().map(from_here).transpose()?;
    let state = State::open(&data.path(), database)?;

    let show = Show::new();
    let mut stop = Stop::listen()?;
    let started = Instant::now();
    let stack = tokio::select! {
        stack = Stack::start(&show, &binaries, data.path(), port, state, &args.size) => stack,
        () = stop.asked() => bail!("stopped while starting"),
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(error) => return Err(error.context(format!("the files are kept in {}", data.keep().display()))),
    };
    show.line(&format!("everything is up after {:.1} s", started.elapsed().as_secs_f64()));

    let ended = tokio::select! {
        told = story::tell(&show, &stack) => told.map(|()| true),
        () = stop.asked() => Ok(false),
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

/// Prints where everything is, and mails as they come, which it keeps as files, until a signal or the end of a process.
async fn stay(show: &Show, stack: &Stack, stop: &mut Stop) -> Result<()> {
    let mut seen = stack.sink.messages().len();
    for (nth, mail) in stack.sink.messages().iter().enumerate() {
        stack.keep(nth, mail)?;
    }
    stack.introduce(show);
    show.line("Ctrl-C stops everything");
    loop {
        let news = stack.sink.wait_for(|mails| mails.len() > seen, Duration::from_secs(3600));
        tokio::select! {
            () = stop.asked() => return Ok(()),
            name = stack.first_to_end() => return Err(anyhow!("{name} has ended by itself")),
            mails = news => for (nth, mail) in mails.iter().flatten().enumerate().skip(seen) {
                show.mail(mail);
                show.result("whole", stack.keep(nth, mail)?.display());
                seen = nth + 1;
            },
        }
    }
}

/// The port to use: as asked when nobody listens there.
fn port(asked: u16) -> Result<u16> {
    if asked == 0 {
        return devstack::free_port();
    }
    match TcpListener::bind((Ipv4Addr::LOCALHOST, asked)) {
        Ok(_) => Ok(asked),
        Err(error) => bail!(
            "cannot listen on 127.0.0.1:{asked} ({error}): another demo, or another program, is there; \
             choose with --port N, or --port 0 for any free one"
        ),
    }
}

/// A SQLite file named from where the person stands; the processes stand elsewhere.
fn from_here(url: &str) -> Result<String> {
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
        assert_eq!(from_here("postgres://localhost/x").unwrap(), "postgres://localhost/x");
        assert_eq!(from_here("sqlite:///a.db").unwrap(), "sqlite:///a.db");
        let found = from_here("sqlite://a.db?mode=rwc").unwrap();
        assert!(found.starts_with("sqlite:///") && found.ends_with("/a.db?mode=rwc"), "{found}");
    }

    #[test]
    fn a_port_in_use_is_an_error_with_advice() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = port(taken.local_addr().unwrap().port()).unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
    }
}
