//! Health probes during a fault: what an orchestrator sees, and whether rejections say when to retry.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use bench::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::client::RESPONSE_TIMEOUT;

/// The longest time that any response, and the detection of a fault, may take, in milliseconds.
pub const LIMIT: f64 = 3_000.0;

/// The longest time until everything works again after a fault.
pub const RECOVERY: Duration = Duration::from_secs(5);

const INTERVAL: Duration = Duration::from_millis(50);

/// When a fault began, when its end was begun, and when that was complete.
#[derive(Clone, Copy)]
pub struct Period {
    pub began: Instant,
    pub ending: Instant,
    pub ended: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Live,
    Ready,
    Read,
}

struct Probe {
    at: Instant,
    kind: Kind,
    /// `None` without a response.
    status: Option<u16>,
    millis: f64,
    has_retry_after: bool,
}

impl Probe {
    /// Seconds from `instant` until the response.
    fn since(&self, instant: Instant) -> f64 {
        (self.at - instant).as_secs_f64() + self.millis / 1e3
    }
}

/// A task that keeps probing.
pub struct Probing {
    stop: Arc<AtomicBool>,
    probes: Arc<Mutex<Vec<Probe>>>,
    task: JoinHandle<()>,
}

impl Probing {
    pub fn start(address: &str, token: &str) -> Self {
        let (stop, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (address, token) = (address.to_owned(), format!("authorization: Bearer {token}\r\n"));
        let (stopped, recorded) = (stop.clone(), probes.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                for (kind, path) in [
                    (Kind::Live, "/api/health/live"),
                    (Kind::Ready, "/api/health/ready"),
                    (Kind::Read, "/api/auth/sessions"),
                ] {
                    let request = request(&address, "GET", path, &token, "");
                    let probe = probe(&address, kind, &request).await;
                    recorded.lock().push(probe);
                }
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { stop, probes, task }
    }

    pub async fn stop(self) -> Result<Probes> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?;
        Ok(Probes(std::mem::take(&mut *self.probes.lock())))
    }
}

async fn probe(address: &str, kind: Kind, request: &[u8]) -> Probe {
    let at = Instant::now();
    let sending = async {
        let mut connection = Connection::open(address).await?;
        let (status, _) = connection.send(request).await?;
        anyhow::Ok((status, connection.has_header("retry-after: 1")))
    };
    let response = tokio::time::timeout(RESPONSE_TIMEOUT, sending).await.ok().and_then(Result::ok);
    let has_retry_after = response.is_some_and(|(_, has_retry_after)| has_retry_after);
    let status = response.map(|(status, _)| status);
    Probe { at, kind, status, millis: at.elapsed().as_secs_f64() * 1e3, has_retry_after }
}

pub struct Probes(Vec<Probe>);

impl Probes {
    fn of(&self, kind: Kind) -> impl Iterator<Item = &Probe> {
        self.0.iter().filter(move |probe| probe.kind == kind)
    }

    /// Adds what the probes saw. `must_detect`: whether the API has to become unready during the fault.
    pub fn add_to(
        &self,
        report: &mut Report,
        label: &impl Fn(&str) -> String,
        period: Period,
        must_detect: bool,
    ) {
        let times = sorted(self.of(Kind::Live).map(|probe| probe.millis).collect());
        let note = format!("p99 {:.1} ms", percentile(&times, 0.99));
        report.add(label("liveness probes"), number(times.len()), "", note);
        let failed = self.of(Kind::Live).filter(|probe| probe.status != Some(200)).count();
        report.require(label("of these not answered with 200"), number(failed), "", Goal::AtMost(0.0));
        self.add_readiness(report, label, period, must_detect);
        let slowest = self.0.iter().map(|probe| probe.millis).fold(0.0, f64::max);
        report.require(label("slowest probe"), slowest, "ms", Goal::AtMost(LIMIT));
        let without = self.0.iter().filter(|probe| probe.status == Some(503) && !probe.has_retry_after);
        report.require(label("503 without Retry-After"), number(without.count()), "", Goal::AtMost(0.0));
    }

    fn add_readiness(
        &self,
        report: &mut Report,
        label: &impl Fn(&str) -> String,
        Period { began, ending, ended }: Period,
        must_detect: bool,
    ) {
        let detection = Duration::from_secs_f64(LIMIT / 1e3);
        let during = self.of(Kind::Ready).filter(|probe| probe.at > began + detection && probe.at < ending);
        let during: Vec<_> = during.map(|probe| probe.status).collect();
        let ready = number(during.iter().filter(|status| **status == Some(200)).count());
        if must_detect {
            let unready = self.of(Kind::Ready).find(|probe| probe.at > began && probe.status == Some(503));
            let after = unready.map_or(f64::NAN, |probe| probe.since(began));
            report.require(label("unready after"), after, "s", Goal::AtMost(LIMIT / 1e3));
            report.require(label("ready during the fault"), ready, "", Goal::AtMost(0.0));
        } else {
            report.add(label("ready during the fault"), ready, "", format!("of {} probes", during.len()));
        }
        let recovered = self.of(Kind::Ready).find(|probe| probe.at > ended && probe.status == Some(200));
        let after = recovered.map_or(f64::NAN, |probe| probe.since(ended));
        report.require(label("ready again after"), after, "s", Goal::AtMost(RECOVERY.as_secs_f64()));
    }
}

/// A count as the value of a report.
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
