//! Realistic traffic: drivers and an administrator send a fixed mix of requests, and each response is timed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bench::{
    http::{Connection, request},
    report::{percentile, sorted},
    testbed::Testbed,
};
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::ADMIN,
    parking::accounts::{self, session},
    platform::db::sql,
};
use tokio::task::JoinSet;

/// The kinds of requests that are timed separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Lots,
    Lot,
    FreeSpots,
    User,
    Reservations,
    UserReport,
    Users,
    Reports,
    Dashboard,
    /// Booking, or releasing what was booked.
    Write,
    /// Any request that was answered with 503.
    Rejected,
}

impl Kind {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lots => "list of lots",
            Self::Lot => "a lot",
            Self::FreeSpots => "free spots",
            Self::User => "a user",
            Self::Reservations => "a user's reservations",
            Self::UserReport => "a user's report",
            Self::Users => "list of users",
            Self::Reports => "reports",
            Self::Dashboard => "dashboard",
            Self::Write => "book and release",
            Self::Rejected => "rejected",
        }
    }
}

/// Requests in a hundred. The old client reads the lots on every page, and the driver's own data now and then. The lots
/// of the demo have about 7,400 arrivals a day, less than one booking or release per second even in the busiest hour.
const MIX: [(Kind, usize); 10] = [
    (Kind::Lots, 40),
    (Kind::Lot, 14),
    (Kind::FreeSpots, 8),
    (Kind::User, 10),
    (Kind::Reservations, 12),
    (Kind::UserReport, 6),
    (Kind::Users, 2),
    (Kind::Reports, 5),
    (Kind::Dashboard, 2),
    (Kind::Write, 1),
];

/// The mix as a sequence in which each kind is spread evenly.
fn sequence() -> Vec<Kind> {
    let all: Vec<Kind> = MIX.iter().flat_map(|(kind, share)| vec![*kind; *share]).collect();
    (0..all.len()).map(|i| all[i * 37 % all.len()]).collect()
}

/// A driver, with an administrator's token for the requests that need one.
pub struct User {
    id: i64,
    token: String,
    admin_token: String,
    lot: i64,
    reservation: Option<i64>,
    next: usize,
}

/// Response times in milliseconds.
pub type Times = BTreeMap<Kind, Vec<f64>>;

/// The drivers with the longest histories who are not parked now.
pub async fn users(testbed: &Testbed, count: usize) -> Result<Vec<User>> {
    let (app, db) = (&testbed.app, testbed.app.db.read());
    let admin = accounts::by_email(app, ADMIN).await?.context("the administrator is missing")?.id;
    let admin_token = session::open(app, app.db.write(), admin, None).await?;
    let text = "SELECT user_id FROM reservations r WHERE NOT EXISTS
                    (SELECT 1 FROM reservations o WHERE o.user_id = r.user_id AND o.state IN ('active', 'reserved'))
                GROUP BY user_id ORDER BY COUNT(*) DESC, user_id LIMIT $1";
    let rows = db.query_all_raw(sql(db, text, [i64::try_from(count)?.into()])).await?;
    ensure!(rows.len() == count, "the data has fewer than {count} drivers");
    let mut users = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let id = row.try_get("", "user_id")?;
        let token = session::open(app, app.db.write(), id, None).await?;
        let lot = i64::try_from(number)? % 20 + 1;
        let admin_token = admin_token.clone();
        users.push(User { id, token, admin_token, lot, reservation: None, next: number * 7 });
    }
    Ok(users)
}

impl User {
    /// Sends the next request and returns its kind and its duration in milliseconds.
    async fn act(&mut self, connection: &mut Connection, sequence: &[Kind]) -> Result<(Kind, f64)> {
        let kind = sequence[self.next % sequence.len()];
        self.next += 1;
        let request = self.request(kind);
        let sent = Instant::now();
        let (status, body) = connection.send(&request).await?;
        let took = sent.elapsed().as_secs_f64() * 1000.0;
        if status == 503 {
            return Ok((Kind::Rejected, took));
        }
        if kind == Kind::Write {
            self.reservation = match (status, self.reservation) {
                (201, None) => {
                    let answer: serde_json::Value = serde_json::from_slice(body)?;
                    Some(answer["reservation"]["id"].as_i64().context("a reservation without an id")?)
                }
                (200, Some(_)) => None,
                _ => bail!("{kind:?}: status {status}: {}", String::from_utf8_lossy(body)),
            };
        } else {
            ensure!(status == 200, "{kind:?}: status {status}: {}", String::from_utf8_lossy(body));
        }
        Ok((kind, took))
    }

    fn request(&self, kind: Kind) -> Vec<u8> {
        let (id, lot) = (self.id, self.lot);
        let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
        let (own, admin) = (bearer(&self.token), bearer(&self.admin_token));
        let get = |path: &str, headers: &str| request("api", "GET", path, headers, "");
        match kind {
            Kind::Lots => get("/api/parking-lots", &own),
            Kind::Lot => get(&format!("/api/parking-lots/{lot}"), &own),
            Kind::FreeSpots => get(&format!("/api/parking-lots/{lot}/available-spots"), &own),
            Kind::User => get(&format!("/api/users/{id}"), &own),
            Kind::Reservations => get(&format!("/api/users/{id}/reservations"), &own),
            Kind::UserReport => get("/api/user-reports", &own),
            Kind::Users => get("/api/users", &admin),
            Kind::Reports => get("/api/reports", &admin),
            Kind::Dashboard => get("/api/admin/redis-dashboard", &admin),
            Kind::Write | Kind::Rejected => match self.reservation {
                None => {
                    let body = format!("{{\"lot_id\":{lot}}}");
                    request("api", "POST", "/api/booking/book-spot", &own, &body)
                }
                Some(id) => {
                    let body = format!("{{\"reservation_id\":{id}}}");
                    request("api", "POST", "/api/booking/release-spot", &own, &body)
                }
            },
        }
    }
}

/// All users send requests for this long, spread over the processes at these addresses, with a pause after each response.
pub async fn run(
    addresses: &[String],
    users: Vec<User>,
    duration: Duration,
    pause: Duration,
) -> Result<(Vec<User>, Times)> {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for (number, mut user) in users.into_iter().enumerate() {
        let address = addresses[number % addresses.len()].clone();
        clients.spawn(async move {
            let (sequence, mut times) = (sequence(), Times::new());
            let mut connection = Connection::open(&address).await?;
            // Keeps the users from sending in step.
            tokio::time::sleep(pause.mul_f64(rand::random())).await;
            while started.elapsed() < duration {
                let (kind, took) = user.act(&mut connection, &sequence).await?;
                times.entry(kind).or_default().push(took);
                tokio::time::sleep(pause).await;
            }
            anyhow::Ok((user, times))
        });
    }
    let (mut users, mut all) = (Vec::new(), Times::new());
    while let Some(client) = clients.join_next().await {
        let (user, times) = client??;
        users.push(user);
        merge(&mut all, times);
    }
    Ok((users, all))
}

/// Adds `more` to `all`.
pub fn merge(all: &mut Times, more: Times) {
    for (kind, mut times) in more {
        all.entry(kind).or_default().append(&mut times);
    }
}

/// p50, p95 and p99 of a kind.
pub fn percentiles(times: &Times, kind: Kind) -> [f64; 3] {
    let values = sorted(times.get(&kind).cloned().unwrap_or_default());
    [0.5, 0.95, 0.99].map(|share| percentile(&values, share))
}

/// The number of responses of some kinds, and their mean duration.
#[expect(clippy::cast_precision_loss, reason = "counts")]
pub fn count_and_mean(times: &Times, kinds: impl Fn(Kind) -> bool) -> (f64, f64) {
    let values: Vec<f64> =
        times.iter().filter(|(kind, _)| kinds(**kind)).flat_map(|(_, times)| times.clone()).collect();
    (values.len() as f64, values.iter().sum::<f64>() / values.len() as f64)
}
