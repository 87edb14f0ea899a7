//! Open-loop load: requests arrive at a given rate, however many responses are pending, as those of many strangers do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bench::http::{Connection, request};
use parking_lot::Mutex;
use rand::Rng;
use serde_json::Value;
use tokio::task::JoinSet;

use super::testbed::User;
use crate::client::RESPONSE_TIMEOUT;

const MOST_CONNECTIONS: usize = 1_000;

/// Connections that were idle for longer are closed, as proxies do, because the server would soon close them too.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A response that does not depend on the load.
    Served,
    /// 503 with the code and the header that ask the caller to retry.
    Rejected,
    /// Any other response, or none.
    Wrong,
}

#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub answer: Answer,
    /// From sending the request to its response, in milliseconds.
    pub millis: f64,
    /// How late the request was sent, in milliseconds: the clients share the machine with the server.
    pub lag: f64,
}

/// Clients with a pool of connections.
pub struct Clients {
    address: String,
    users: Vec<User>,
    idle: Mutex<Vec<Client>>,
    opened: Mutex<usize>,
    outcomes: Mutex<Vec<Outcome>>,
    wrong: Mutex<Vec<String>>,
}

struct Client {
    connection: Option<Connection>,
    used_at: Instant,
    user: User,
    reservation: Option<i64>,
}

impl Clients {
    pub fn new(address: &str, users: Vec<User>) -> Arc<Self> {
        let (idle, opened, outcomes, wrong) = Default::default();
        Arc::new(Self { address: address.to_owned(), users, idle, opened, outcomes, wrong })
    }

    /// This many clients send one request after the other.
    pub async fn closed_loop(self: &Arc<Self>, count: usize, duration: Duration) -> Result<Vec<Outcome>> {
        let (mut tasks, started) = (JoinSet::new(), Instant::now());
        for _ in 0..count {
            let clients = self.clone();
            tasks.spawn(async move {
                while started.elapsed() < duration {
                    clients.call(Instant::now()).await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(self.take_outcomes())
    }

    /// This many requests per second are sent, whatever becomes of them.
    pub async fn open_loop(self: &Arc<Self>, rate: f64, duration: Duration) -> Result<Vec<Outcome>> {
        let (mut tasks, started, mut sent) = (JoinSet::new(), Instant::now(), 0_u32);
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while started.elapsed() < duration {
            tick.tick().await;
            loop {
                let due = started + Duration::from_secs_f64(f64::from(sent) / rate);
                if due > Instant::now() || due > started + duration {
                    break;
                }
                let clients = self.clone();
                tasks.spawn(async move { clients.call(due).await });
                sent += 1;
            }
            while tasks.try_join_next().is_some() {}
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(self.take_outcomes())
    }

    fn take_outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut *self.outcomes.lock())
    }

    /// The first wrong answers.
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().clone()
    }

    async fn call(&self, due: Instant) {
        let client = self.idle.lock().pop().or_else(|| self.new_client());
        let (lag, sent) = (due.elapsed().as_secs_f64() * 1e3, Instant::now());
        let answered = match client {
            Some(mut client) => {
                if client.used_at.elapsed() > IDLE_TIMEOUT {
                    client.connection = None;
                }
                let answered = tokio::time::timeout(RESPONSE_TIMEOUT, self.send(&mut client)).await;
                let answered = answered.map_err(anyhow::Error::from).flatten();
                if answered.is_err() {
                    client.connection = None;
                }
                client.used_at = Instant::now();
                self.idle.lock().push(client);
                answered
            }
            None => Err(anyhow::anyhow!("{MOST_CONNECTIONS} requests are pending")),
        };
        let answer = answered.unwrap_or_else(|error| {
            let mut wrong = self.wrong.lock();
            if wrong.len() < 5 {
                wrong.push(format!("{error:#}"));
            }
            Answer::Wrong
        });
        let millis = sent.elapsed().as_secs_f64() * 1e3;
        self.outcomes.lock().push(Outcome { answer, millis, lag });
    }

    fn new_client(&self) -> Option<Client> {
        let mut opened = self.opened.lock();
        let user = self.users[*opened % self.users.len()].clone();
        *opened += 1;
        (*opened <= MOST_CONNECTIONS).then_some(Client {
            connection: None,
            used_at: Instant::now(),
            user,
            reservation: None,
        })
    }

    /// Four requests in ten read the lots, three the caller's reservations, and three book or release.
    async fn send(&self, client: &mut Client) -> Result<Answer> {
        let own = format!("/api/users/{}/reservations?limit=20", client.user.id);
        let (method, path, body) = match (rand::rng().random_range(0..10), client.reservation) {
            (0..4, _) => ("GET", "/api/parking-lots", String::new()),
            (4..7, _) => ("GET", own.as_str(), String::new()),
            (_, None) => ("POST", "/api/booking/book-spot", r#"{"lot_id":1}"#.to_owned()),
            (_, Some(id)) => ("POST", "/api/booking/release-spot", format!("{{\"reservation_id\":{id}}}")),
        };
        let headers = format!("authorization: Bearer {}\r\n", client.user.token);
        let request = request(&self.address, method, path, &headers, &body);
        let connection = match &mut client.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.address).await?),
        };
        let (status, body) = connection.send(&request).await?;
        let body: Value = match status {
            200 => Value::Null,
            _ => serde_json::from_slice(body).unwrap_or_default(),
        };
        if status == 503 && body["code"] == "overloaded" && connection.has_header("retry-after: 1") {
            return Ok(Answer::Rejected);
        }
        ensure!(status < 500 && status != 429, "{method} {path}: status {status}: {body}");
        match (path, status) {
            ("/api/booking/book-spot", 201) => client.reservation = body["reservation"]["id"].as_i64(),
            ("/api/booking/release-spot", _) => client.reservation = None,
            _ => {}
        }
        Ok(Answer::Served)
    }
}
