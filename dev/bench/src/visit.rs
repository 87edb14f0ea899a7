//! People at the car park: what they ask for, in which mixture, and how long each answer took.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::ADMIN,
    parking::accounts::{self, session},
    platform::db::sql,
};
use tokio::task::JoinSet;

use crate::{
    http::{Connection, request},
    report::{percentile, sorted},
    stage::Stage,
};

/// Something that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
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
    /// Whatever it was, there was no room for it (503).
    Refused,
}

impl Ask {
    /// What the tables call it.
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
            Self::Write => "booking and releasing",
            Self::Refused => "refused",
        }
    }
}

/// Of a hundred requests. The old client reads the lots on every page, and what is a driver's own now and then. The car parks
/// of the demo see some 7,400 arrivals a day, so in the busiest hour not one booking or release a second; that is the share of
/// writes that it takes from the people who think between their requests, and far more from those who do not.
const MIX: [(Ask, usize); 10] = [
    (Ask::Lots, 40),
    (Ask::Lot, 14),
    (Ask::FreeSpots, 8),
    (Ask::User, 10),
    (Ask::Reservations, 12),
    (Ask::UserReport, 6),
    (Ask::Users, 2),
    (Ask::Reports, 5),
    (Ask::Dashboard, 2),
    (Ask::Write, 1),
];

/// The mix in an order that spreads each kind.
fn steps() -> Vec<Ask> {
    let all: Vec<Ask> = MIX.iter().flat_map(|(ask, share)| vec![*ask; *share]).collect();
    (0..all.len()).map(|i| all[i * 37 % all.len()]).collect()
}

/// A driver with a phone, who borrows an administrator's for what only those may see.
pub struct Person {
    id: i64,
    token: String,
    admin: String,
    lot: i64,
    parked: Option<i64>,
    step: usize,
}

/// How long answers took, in milliseconds.
pub type Times = BTreeMap<Ask, Vec<f64>>;

/// Drivers who are not parked and have the longest histories.
pub async fn people(stage: &Stage, count: usize) -> Result<Vec<Person>> {
    let (app, db) = (&stage.app, stage.app.db.read());
    let admin = accounts::by_email(app, ADMIN).await?.context("the demo has an administrator")?.id;
    let admin = session::open(app, app.db.write(), admin, None).await?;
    let text = "SELECT user_id FROM reservations r WHERE NOT EXISTS
                    (SELECT 1 FROM reservations o WHERE o.user_id = r.user_id AND o.state IN ('active', 'reserved'))
                GROUP BY user_id ORDER BY COUNT(*) DESC, user_id LIMIT $1";
    let rows = db.query_all_raw(sql(db, text, [i64::try_from(count)?.into()])).await?;
    ensure!(rows.len() == count, "the demo has fewer than {count} drivers");
    let mut people = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let id = row.try_get("", "user_id")?;
        let token = session::open(app, app.db.write(), id, None).await?;
        let lot = i64::try_from(number)? % 20 + 1;
        people.push(Person { id, token, admin: admin.clone(), lot, parked: None, step: number * 7 });
    }
    Ok(people)
}

impl Person {
    /// Does what is next, and says what it was and how long it took.
    async fn act(&mut self, connection: &mut Connection, steps: &[Ask]) -> Result<(Ask, f64)> {
        let ask = steps[self.step % steps.len()];
        self.step += 1;
        let request = self.request(ask);
        let asked = Instant::now();
        let (status, body) = connection.send(&request).await?;
        let took = asked.elapsed().as_secs_f64() * 1000.0;
        if status == 503 {
            return Ok((Ask::Refused, took));
        }
        if ask == Ask::Write {
            self.parked = match (status, self.parked) {
                (201, None) => {
                    let answer: serde_json::Value = serde_json::from_slice(body)?;
                    Some(answer["reservation"]["id"].as_i64().context("an id")?)
                }
                (200, Some(_)) => None,
                _ => anyhow::bail!("answered {status}: {}", String::from_utf8_lossy(body)),
            };
        } else {
            ensure!(status == 200, "{ask:?} answered {status}: {}", String::from_utf8_lossy(body));
        }
        Ok((ask, took))
    }

    fn request(&mut self, ask: Ask) -> Vec<u8> {
        let (id, lot) = (self.id, self.lot);
        let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
        let (own, admin) = (bearer(&self.token), bearer(&self.admin));
        let get = |path: &str, headers: &str| request("api", "GET", path, headers, "");
        match ask {
            Ask::Lots => get("/api/parking-lots", &own),
            Ask::Lot => get(&format!("/api/parking-lots/{lot}"), &own),
            Ask::FreeSpots => get(&format!("/api/parking-lots/{lot}/available-spots"), &own),
            Ask::User => get(&format!("/api/users/{id}"), &own),
            Ask::Reservations => get(&format!("/api/users/{id}/reservations"), &own),
            Ask::UserReport => get("/api/user-reports", &own),
            Ask::Users => get("/api/users", &admin),
            Ask::Reports => get("/api/reports", &admin),
            Ask::Dashboard => get("/api/admin/redis-dashboard", &admin),
            Ask::Write | Ask::Refused => match self.parked {
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

/// Everybody acts until the time is over, spread over the processes at these addresses; between two requests each thinks
/// for `pause`. Returns the people as they are then.
pub async fn visit(
    addresses: &[String],
    people: Vec<Person>,
    time: Duration,
    pause: Duration,
) -> Result<(Vec<Person>, Times)> {
    let begun = Instant::now();
    let mut visits = JoinSet::new();
    for (number, mut person) in people.into_iter().enumerate() {
        let address = addresses[number % addresses.len()].clone();
        visits.spawn(async move {
            let (steps, mut times) = (steps(), Times::new());
            let mut connection = Connection::open(&address).await?;
            // Not all at once.
            tokio::time::sleep(pause.mul_f64(rand::random())).await;
            while begun.elapsed() < time {
                let (ask, took) = person.act(&mut connection, &steps).await?;
                times.entry(ask).or_default().push(took);
                tokio::time::sleep(pause).await;
            }
            anyhow::Ok((person, times))
        });
    }
    let (mut people, mut all) = (Vec::new(), Times::new());
    while let Some(visit) = visits.join_next().await {
        let (person, times) = visit??;
        people.push(person);
        add(&mut all, times);
    }
    Ok((people, all))
}

/// Puts times together.
pub fn add(all: &mut Times, more: Times) {
    for (ask, mut times) in more {
        all.entry(ask).or_default().append(&mut times);
    }
}

/// p50, p95 and p99 of one kind.
pub fn spread(times: &Times, ask: Ask) -> [f64; 3] {
    let values = sorted(times.get(&ask).cloned().unwrap_or_default());
    [0.5, 0.95, 0.99].map(|share| percentile(&values, share))
}

/// How many answers there were, and how long one took on average.
#[expect(clippy::cast_precision_loss, reason = "figures")]
pub fn mean(times: &Times, of: impl Fn(Ask) -> bool) -> (f64, f64) {
    let values: Vec<f64> =
        times.iter().filter(|(ask, _)| of(**ask)).flat_map(|(_, times)| times.clone()).collect();
    (values.len() as f64, values.iter().sum::<f64>() / values.len() as f64)
}
