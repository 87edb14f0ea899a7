//! The journal: a file to which all workers of a run append when they begin and finish a job.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Begin,
    /// The job is done, and the worker is about to record that.
    End,
}

#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// In microseconds since 1970.
    pub at: u64,
    /// The worker process.
    pub pid: u32,
    /// The job.
    pub id: Uuid,
    pub attempt: i64,
    pub event: Event,
}

/// Microseconds since 1970. All processes of a run share one machine, so their clocks agree.
pub fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

static FILE: OnceLock<File> = OnceLock::new();

/// Opens the journal of this process.
pub fn open(path: &Path) -> Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    FILE.set(file).ok().context("the journal is already open")
}

/// Appends a line in one write, so that a killed worker leaves a complete line or none.
pub fn append(id: Uuid, attempt: i64, event: Event) -> Result<()> {
    let event = if event == Event::Begin { 'B' } else { 'E' };
    let line = format!("{} {} {id} {attempt} {event}\n", micros(), std::process::id());
    let mut file = FILE.get().context("the journal is not open")?;
    file.write_all(line.as_bytes()).context("writing the journal")
}

/// Everything that the workers have written.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| parse(line).with_context(|| format!("a bad line in the journal: {line:?}")))
        .collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    Some(Line {
        at: words.next()?.parse().ok()?,
        pid: words.next()?.parse().ok()?,
        id: words.next()?.parse().ok()?,
        attempt: words.next()?.parse().ok()?,
        event: if words.next()? == "B" { Event::Begin } else { Event::End },
    })
}
