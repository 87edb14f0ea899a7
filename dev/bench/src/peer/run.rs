//! The order of the measurements.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
};
use devstack::Process;

use super::{
    answers,
    compare::{Figure, Row},
    data, export,
    options::Options,
    peak::Peak,
    system::System,
    usage,
    work::{self, MANY, Users},
};
use crate::{
    api, baseline,
    load::{Load, clients},
};

/// Time for caches and connections of a process that has just started.
const SETTLE: Duration = Duration::from_secs(3);

/// Both systems, and what was measured of them. In every array, Parkade is first.
pub struct Run<'a> {
    systems: [System; 2],
    users: [Users; 2],
    options: &'a Options,
    hash: &'a str,
    baseline: (Process, String),
    rows: Vec<Row>,
    idle: [u64; 2],
    peak: [u64; 2],
    in_time: [f64; 2],
    /// Parkade's share of an empty axum server, and of Argon2 alone, in per cent.
    shares: [Vec<f64>; 2],
}

impl<'a> Run<'a> {
    /// Fails if an answer differs.
    pub async fn new(ours: System, peer: System, options: &'a Options, hash: &'a str) -> Result<Self> {
        let mut systems = [ours, peer];
        for system in &mut systems {
            system.start_worker()?;
        }
        tokio::time::sleep(SETTLE).await;
        let idle = [memory(&systems[0])?, memory(&systems[1])?];
        answers::compare(&systems[0], &systems[1]).await?;
        let users = [users(&systems[0]).await?, users(&systems[1]).await?];
        let mut connection = Connection::open(&systems[0].address).await?;
        let list = request(&systems[0].address, "GET", "/api/parking-lots", "", "");
        let bytes = connection.send(&list).await?.1.len();
        let baseline =
            baseline::start(systems[0].testbed().context("the first system is not Parkade")?, bytes).await?;
        let (rows, shares) = (Vec::new(), [Vec::new(), Vec::new()]);
        Ok(Self {
            systems,
            users,
            options,
            hash,
            baseline,
            rows,
            idle,
            peak: idle,
            in_time: [100.0; 2],
            shares,
        })
    }

    pub async fn measure(&mut self) -> Result<()> {
        for system in &mut self.systems {
            work::drain(system).await?;
            system.stop_worker().await?;
        }
        self.reads().await?;
        self.flows().await?;
        for system in &mut self.systems {
            system.start_worker()?;
            work::drain(system).await?;
        }
        self.mailed_flows().await?;
        self.reports().await?;
        self.exports().await?;
        for system in &self.systems {
            system.check().await?;
        }
        Ok(())
    }

    /// Cached reads and logins, each beside what axum and Argon2 do alone.
    async fn reads(&mut self) -> Result<()> {
        let duration = Duration::from_secs(self.options.seconds);
        let mut lists = Row::new("cached list of lots, 64 clients", "/s", Goal::AtLeast(5.0));
        let mut accounts = Row::new("one user, cached, 64 clients", "/s", Goal::AtLeast(6.0));
        let mut logins = Row::new("login, 16 clients", "/s", Goal::AtLeast(1.0));
        for _ in 0..self.options.rounds {
            for side in 0..2 {
                let (system, users) = (&self.systems[side], &self.users[side]);
                let is_ours = system.is_ours();
                let peak = Peak::of(system.memory_roots()?);
                lists.push(is_ours, timed(system, work::list(system, users, duration), rate).await?);
                accounts.push(is_ours, timed(system, work::user(system, users, duration), rate).await?);
                logins.push(is_ours, timed(system, work::login(system, users, duration), rate).await?);
                self.peak[side] = self.peak[side].max(peak.bytes());
            }
            let address = &self.baseline.1;
            let requests = vec![request(address, "GET", baseline::BYTES, "", ""); MANY];
            let axum = clients(address, &requests, duration).await?.rate;
            self.shares[0].extend(lists.last_of_ours().map(|ours| 100.0 * ours / axum));
            let argon2 = api::bare_argon2(self.hash, work::FEW, duration).await?.rate;
            self.shares[1].extend(logins.last_of_ours().map(|ours| 100.0 * ours / argon2));
        }
        self.rows.extend([lists, accounts, logins]);
        Ok(())
    }

    async fn flows(&mut self) -> Result<()> {
        let mut row = Row::new("book and release, no worker, 16 clients", "flows/s", Goal::AtLeast(1.6));
        for _ in 0..self.options.rounds {
            for side in 0..2 {
                let (system, users) = (&self.systems[side], &self.users[side]);
                let peak = Peak::of(system.memory_roots()?);
                let flows = work::flows(system, users, self.options.seconds);
                row.push(system.is_ours(), timed(system, flows, |rate| *rate).await?);
                self.peak[side] = self.peak[side].max(peak.bytes());
            }
        }
        self.rows.push(row);
        Ok(())
    }

    async fn mailed_flows(&mut self) -> Result<()> {
        let mut flows =
            Row::new("book and release, mails by SMTP, 16 clients", "flows/s", Goal::AtLeast(1.1));
        let mut mails = Row::new("mails accepted meanwhile", "/s", Goal::AtLeast(1.0));
        for _ in 0..self.options.rounds {
            for side in 0..2 {
                let (system, users) = (&self.systems[side], &self.users[side]);
                let peak = Peak::of(system.memory_roots()?);
                let mailed = work::mailed_flows(system, users, self.options.seconds).await?;
                flows.push(system.is_ours(), mailed.flows);
                mails.push(system.is_ours(), mailed.mails);
                self.in_time[side] = self.in_time[side].min(mailed.in_time);
                self.peak[side] = self.peak[side].max(peak.bytes());
            }
        }
        self.rows.extend([flows, mails]);
        Ok(())
    }

    async fn reports(&mut self) -> Result<()> {
        let mut row = Row::new("administrators' report after a write", "ms", Goal::AtMost(0.5));
        for _ in 0..self.options.rounds {
            for (system, users) in self.systems.iter().zip(&self.users) {
                row.push(system.is_ours(), work::report(system, users, self.options.seconds).await?);
            }
        }
        self.rows.push(row);
        Ok(())
    }

    async fn exports(&mut self) -> Result<()> {
        let mut row = Row::new("export as CSV", "s", Goal::AtMost(0.6));
        for _ in 0..self.options.rounds {
            for side in 0..2 {
                let system = &self.systems[side];
                let peak = Peak::of(system.memory_roots()?);
                row.push(system.is_ours(), export::run(system).await?.seconds);
                self.peak[side] = self.peak[side].max(peak.bytes());
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// All figures so far.
    pub fn add_to(&self, report: &mut Report) {
        for row in &self.rows {
            row.add_to(report);
        }
        for (name, shares, goal) in [
            ("list of lots / axum alone", &self.shares[0], 50.0),
            ("login / Argon2 alone", &self.shares[1], 95.0),
        ] {
            let share = percentile(&sorted(shares.clone()), 0.5);
            report.check(format!("Parkade: {name}"), share, "%", Goal::AtLeast(goal));
        }
        let name = "mails accepted 5 s after the load";
        report.check(format!("{name}: Parkade"), self.in_time[0], "%", Goal::AtLeast(100.0));
        report.add(format!("{name}: peer"), self.in_time[1], "%", "");
        for (name, [ours, peer], goal) in [("idle", self.idle, 0.25), ("peak", self.peak, 0.4)] {
            let mut row = Row::new(name, "MiB", Goal::AtMost(goal));
            row.push(true, mebibytes(ours));
            row.push(false, mebibytes(peer));
            row.add_to(report);
        }
    }
}

/// Runs some work, and returns its rate with the processor time of each item.
async fn timed<T>(
    system: &System,
    work: impl Future<Output = Result<T>>,
    rate: impl Fn(&T) -> f64,
) -> Result<Figure> {
    let (before, started) = (system.processor_time()?, Instant::now());
    let value = rate(&work.await?);
    let (busy, items) = (system.processor_time()? - before, value * started.elapsed().as_secs_f64());
    Ok(Figure { value, processor: Some(busy.as_secs_f64() * 1000.0 / items) })
}

fn rate(load: &Load) -> f64 {
    load.rate
}

async fn users(system: &System) -> Result<Users> {
    let ids: Vec<i64> = (data::FIRST_DRIVER..).take(MANY).collect();
    let mut tokens = Vec::new();
    for id in &ids {
        tokens.push(system.log_in(*id).await?);
    }
    Ok(Users { ids, tokens, admin: system.log_in(data::ADMIN).await? })
}

fn memory(system: &System) -> Result<u64> {
    Ok(usage::memory(&usage::family(&system.memory_roots()?)))
}

#[expect(clippy::cast_precision_loss, reason = "a size")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
