//! Calls that come at a given rate, however many are still waiting for their answers, as those of many strangers do.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rand::Rng;
use serde_json::Value;
use tokio::task::JoinSet;

use super::ground::Person;
use crate::http::{Connection, request};

/// Nobody opens more connections.
const MOST: usize = 1_000;

/// A connection that was not used for longer is closed, as proxies do, since the server would close it sooner or later.
const IDLE: Duration = Duration::from_secs(60);

/// An answer later than this is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// By what was asked for, or by a refusal that has nothing to do with how much is going on.
    Served,
    /// 503 with the code and the header that say when to come again.
    Refused,
    /// Anything else, also nothing.
    Wrong,
}

/// What came of a call.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// How.
    pub answer: Answer,
    /// How long after it was sent, in milliseconds.
    pub millis: f64,
    /// How much later than due it was sent, since the callers share the cores with those whom they call.
    pub lag: f64,
}

/// Those who call.
pub struct Crowd {
    address: String,
    people: Vec<Person>,
    /// Connections that nobody is using.
    idle: Mutex<Vec<Caller>>,
    opened: Mutex<usize>,
    outcomes: Mutex<Vec<Outcome>>,
    wrong: Mutex<Vec<String>>,
}

struct Caller {
    connection: Option<Connection>,
    used: Instant,
    person: Person,
    parked: Option<i64>,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crowd {
    /// Nobody is connected yet.
    pub fn new(address: &str, people: Vec<Person>) -> Arc<Self> {
        let (address, none) = (address.to_owned(), Mutex::default());
        let (opened, outcomes, wrong) = Default::default();
        Arc::new(Self { address, people, idle: none, opened, outcomes, wrong })
    }

    /// So many call one after the other, each as soon as they are answered. What came of it.
    pub async fn in_turn(self: &Arc<Self>, callers: usize, time: Duration) -> Result<Vec<Outcome>> {
        let (mut tasks, begun) = (JoinSet::new(), Instant::now());
        for _ in 0..callers {
            let crowd = self.clone();
            tasks.spawn(async move {
                while begun.elapsed() < time {
                    crowd.call(Instant::now()).await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(self.take())
    }

    /// So many calls a second, whatever becomes of them. What came of it.
    pub async fn at_rate(self: &Arc<Self>, rate: f64, time: Duration) -> Result<Vec<Outcome>> {
        let (mut tasks, begun, mut sent) = (JoinSet::new(), Instant::now(), 0_u32);
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while begun.elapsed() < time {
            tick.tick().await;
            loop {
                let due = begun + Duration::from_secs_f64(f64::from(sent) / rate);
                if due > Instant::now() || due > begun + time {
                    break;
                }
                let crowd = self.clone();
                tasks.spawn(async move { crowd.call(due).await });
                sent += 1;
            }
            while tasks.try_join_next().is_some() {}
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(self.take())
    }

    fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut *lock(&self.outcomes))
    }

    /// The first answers that nobody should have had.
    pub fn wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// One call, which was due then.
    async fn call(&self, due: Instant) {
        let caller = lock(&self.idle).pop().or_else(|| self.newcomer());
        let (lag, sent) = (due.elapsed().as_secs_f64() * 1e3, Instant::now());
        let answered = match caller {
            Some(mut caller) => {
                if caller.used.elapsed() > IDLE {
                    caller.connection = None;
                }
                let answered = tokio::time::timeout(PATIENCE, self.ask(&mut caller)).await;
                let answered = answered.map_err(anyhow::Error::from).flatten();
                if answered.is_err() {
                    caller.connection = None;
                }
                caller.used = Instant::now();
                lock(&self.idle).push(caller);
                answered
            }
            None => Err(anyhow::anyhow!("more than {MOST} wait for an answer")),
        };
        let answer = answered.unwrap_or_else(|error| {
            let mut wrong = lock(&self.wrong);
            if wrong.len() < 5 {
                wrong.push(format!("{error:#}"));
            }
            Answer::Wrong
        });
        let millis = sent.elapsed().as_secs_f64() * 1e3;
        lock(&self.outcomes).push(Outcome { answer, millis, lag });
    }

    fn newcomer(&self) -> Option<Caller> {
        let mut opened = lock(&self.opened);
        let person = self.people[*opened % self.people.len()].clone();
        *opened += 1;
        (*opened <= MOST).then_some(Caller { connection: None, used: Instant::now(), person, parked: None })
    }

    /// Four in ten look at the lots, three at their own reservations, and three come or leave.
    async fn ask(&self, caller: &mut Caller) -> Result<Answer> {
        let (what, parked) = (rand::rng().random_range(0..10), caller.parked);
        let mine = format!("/api/users/{}/reservations?limit=20", caller.person.id);
        let (method, path, body) = match (what, parked) {
            (0..4, _) => ("GET", "/api/parking-lots", String::new()),
            (4..7, _) => ("GET", mine.as_str(), String::new()),
            (_, None) => ("POST", "/api/booking/book-spot", r#"{"lot_id":1}"#.to_owned()),
            (_, Some(id)) => ("POST", "/api/booking/release-spot", format!("{{\"reservation_id\":{id}}}")),
        };
        let headers = format!("authorization: Bearer {}\r\n", caller.person.token);
        let request = request(&self.address, method, path, &headers, &body);
        let connection = match &mut caller.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.address).await?),
        };
        let (status, body) = connection.send(&request).await?;
        let body: Value = match status {
            200 => Value::Null,
            _ => serde_json::from_slice(body).unwrap_or_default(),
        };
        if status == 503 && body["code"] == "overloaded" && connection.was_told("retry-after: 1") {
            // Its body may not have been read.
            if connection.was_told("connection: close") {
                caller.connection = None;
            }
            return Ok(Answer::Refused);
        }
        ensure!(status < 500 && status != 429, "{method} {path} was answered {status}: {body}");
        match (path, status) {
            ("/api/booking/book-spot", 201) => caller.parked = body["reservation"]["id"].as_i64(),
            ("/api/booking/release-spot", _) => caller.parked = None,
            _ => {}
        }
        Ok(Answer::Served)
    }
}
