//! Response times and throughput of the API over a year of data, compared with an empty axum server and plain Redis.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::{
    http::{Connection, request},
    report::{Goal, Report},
    testbed::Testbed,
};
use devstack::Process;
use redis::AsyncCommands;
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::{self, ADMIN, DRIVER, Plan, Size, Span},
    parking::accounts::{
        self,
        password::{self, Priority},
        session,
    },
    platform::{
        cache::Group,
        db::{Engine, sql},
    },
};

use crate::{
    baseline,
    load::{Load, Outcome, clients, repeat},
};

#[derive(clap::Args)]
pub struct Options {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How far back the data goes: day, month or year.
    #[arg(long, default_value = "year")]
    span: Span,
    /// Spots in each of the 20 lots; 90 have about 900,000 reservations in a year.
    #[arg(long, default_value_t = 90)]
    spots: usize,
    /// Reservations of the heaviest user.
    #[arg(long, default_value_t = 100_000)]
    heavy: u64,
}

const CLIENTS: [usize; 3] = [1, 16, 64];

/// The password of every simulated account.
pub const PASSWORD: &str = "correct horse battery staple";

/// A request that is measured with several clients.
struct Endpoint {
    name: String,
    /// Dealt out to the clients in turn.
    requests: Vec<Vec<u8>>,
    /// The most clients that make sense.
    most_clients: usize,
}

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let duration = Duration::from_secs(options.seconds);
    let hash = password::hash(Priority::Other, PASSWORD.into()).await?;
    let rows = seed(&testbed, options, &hash).await?;
    let (api, address) = testbed.api().await?;
    let endpoints = endpoints(&testbed, &address).await?;
    let list = body_of(&address, &endpoints[0].requests[0]).await?;
    let mut redis = testbed.app.redis.queue.connection()?;
    let _: () = redis.set("bench:list", &list).await?;
    let (_baseline, baseline) = baseline::start(&testbed, list.len()).await?;

    for count in CLIENTS {
        let label = |what: &str| format!("{}, {count} clients: {what}", testbed.name());
        let limit = limits(&testbed, (&baseline, &hash), (count, duration), report).await?;
        for (number, endpoint) in endpoints.iter().enumerate() {
            reset_peak(&api)?;
            let clients_used = count.min(endpoint.most_clients);
            let requests: Vec<_> = endpoint.requests.iter().cycle().take(clients_used).cloned().collect();
            let load = clients(&address, &requests, duration).await?;
            let mut note = format!("{}, {}", load.summary(), peak(&api)?);
            if clients_used < count {
                note += &format!(", {clients_used} clients only");
            }
            report.add(label(&endpoint.name), load.rate, "/s", note);
            let (share, name) = (100.0 * load.rate / limit, label(&format!("{} / axum", endpoint.name)));
            match (number, count) {
                (0, 1) => report.add(name, share, "%", ""),
                (0, _) => report.check(name, share, "%", Goal::AtLeast(60.0)),
                _ => {}
            }
        }
    }
    for (path, email) in [("/api/reports", ADMIN), ("/api/user-reports", DRIVER)] {
        report_of(&testbed, (&api, &address), (path, email), (duration, rows), report).await?;
    }
    testbed.check_integrity().await
}

/// Fills the database and returns the number of reservations.
async fn seed(testbed: &Testbed, options: &Options, hash: &str) -> Result<u64> {
    let app = &testbed.app;
    let plan = Plan::new(Size::Demo, options.span, 1, app.clock.now(), app.config.zone, options.heavy);
    let plan = Plan { spots_per_lot: options.spots, ..plan };
    let loaded = demo::load(&app.db, &plan, hash, |_| {}).await?;
    if testbed.engine == Engine::Postgres {
        app.db.write().execute_unprepared("VACUUM ANALYZE").await?;
    }
    Ok(loaded.reservations)
}

/// The requests to measure; the first one is the cached list of lots.
async fn endpoints(testbed: &Testbed, host: &str) -> Result<Vec<Endpoint>> {
    let (app, db) = (&testbed.app, testbed.app.db.read());
    // A user with about a hundred reservations.
    let text = "SELECT user_id, COUNT(*) AS n FROM reservations GROUP BY user_id
                ORDER BY ABS(COUNT(*) - 100), user_id LIMIT 1";
    let row = db.query_one_raw(sql(db, text, [])).await?.context("no user has reservations")?;
    let (user, rows): (i64, i64) = (row.try_get("", "user_id")?, row.try_get("", "n")?);
    let token = session::open(app, app.db.write(), user, None).await?;
    let bearer = format!("authorization: Bearer {token}\r\n");
    let get = |name: &str, path: &str, headers: &str| Endpoint {
        name: name.to_owned(),
        requests: vec![request(host, "GET", path, headers, "")],
        most_clients: usize::MAX,
    };
    let own = format!("/api/users/{user}/reservations");
    Ok(vec![
        get("lots, cached", "/api/parking-lots", ""),
        get("lots, uncached (?limit=1000)", "/api/parking-lots?limit=1000", ""),
        get("one lot, cached", "/api/parking-lots/1", ""),
        get(&format!("{rows} own reservations, cached"), &own, &bearer),
        get(&format!("{rows} own reservations, uncached"), &format!("{own}?limit=1000"), &bearer),
        logins(testbed, host).await?,
    ])
}

async fn logins(testbed: &Testbed, host: &str) -> Result<Endpoint> {
    let db = testbed.app.db.read();
    let text = "SELECT email FROM users WHERE role = 'user' ORDER BY id LIMIT 64";
    let mut requests = Vec::new();
    for row in db.query_all_raw(sql(db, text, [])).await? {
        let email: String = row.try_get("", "email")?;
        let body = format!("{{\"email\":\"{email}\",\"password\":\"{PASSWORD}\"}}");
        requests.push(request(host, "POST", "/api/auth/login", "", &body));
    }
    Ok(Endpoint { name: "login".to_owned(), requests, most_clients: hashing_clients() })
}

/// Half of what may wait for a password hash: with more, the API rejects some of the logins.
fn hashing_clients() -> usize {
    Priority::Login.capacity().div_ceil(2)
}

async fn body_of(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    let mut connection = Connection::open(address).await?;
    let (status, body) = connection.send(request).await?;
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(body));
    Ok(body.to_vec())
}

/// What axum, Redis and Argon2 do alone. Returns the rate of axum with a body of the same size.
async fn limits(
    testbed: &Testbed,
    (baseline, hash): (&str, &str),
    (count, duration): (usize, Duration),
    report: &mut Report,
) -> Result<f64> {
    let label = |what: &str| format!("{}, {count} clients: limit: {what}", testbed.name());
    let requests = |path| vec![request(baseline, "GET", path, "", ""); count];
    let empty = clients(baseline, &requests(baseline::EMPTY), duration).await?;
    report.add(label("axum, no body"), empty.rate, "/s", empty.summary());
    let axum = clients(baseline, &requests(baseline::BYTES), duration).await?;
    report.add(label("axum, body as large as the lots"), axum.rate, "/s", axum.summary());
    let connection = testbed.app.redis.queue.connection()?;
    let values = repeat(vec![connection; count], duration, |mut redis| async move {
        let _: Vec<u8> = redis.get("bench:list").await?;
        Ok((redis, Outcome::Answered))
    });
    let values = values.await?;
    report.add(label("Redis GET of it, one connection"), values.rate, "/s", values.summary());
    let hashes = bare_argon2(hash, count.min(hashing_clients()), duration).await?;
    report.add(label("Argon2"), hashes.rate, "/s", hashes.summary());
    Ok(axum.rate)
}

/// What Argon2 does alone, with this many waiting passwords.
pub async fn bare_argon2(hash: &str, clients: usize, duration: Duration) -> Result<Load> {
    repeat(vec![hash.to_owned(); clients], duration, |hash| async move {
        let found = password::verify(Priority::Login, PASSWORD.into(), Some(hash.clone())).await?;
        ensure!(found == password::Match::Yes, "the hash does not match");
        Ok((hash, Outcome::Answered))
    })
    .await
}

/// Resets the kernel's record of the most memory that the process has used: `clear_refs` in proc(5).
fn reset_peak(process: &Process) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{}/clear_refs", process.pid()), "5")?)
}

fn peak(process: &Process) -> Result<String> {
    Ok(format!("peak {} MiB", process.memory()?.peak_bytes >> 20))
}

/// A report whose data changes before each request, so that it is never served from a cache.
async fn report_of(
    testbed: &Testbed,
    (api, address): (&Process, &str),
    (path, email): (&str, &str),
    (duration, rows): (Duration, u64),
    report: &mut Report,
) -> Result<()> {
    let app = &testbed.app;
    let user = accounts::by_email(app, email).await?.context("a simulated account is missing")?.id;
    let token = session::open(app, app.db.write(), user, None).await?;
    let request = request(address, "GET", path, &format!("authorization: Bearer {token}\r\n"), "");
    let rows = if email == ADMIN { rows } else { reservations_of(testbed, user).await? };
    reset_peak(api)?;
    let mut connection = Connection::open(address).await?;
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.len() < 10 || started.elapsed() < duration {
        app.cache.invalidate(&[Group::Occupancy, Group::User(user)]).await;
        let sent = Instant::now();
        let (status, body) = connection.send(&request).await?;
        times.push(sent.elapsed().as_secs_f64() * 1000.0);
        ensure!(status == 200, "{path}: status {status}: {}", String::from_utf8_lossy(body));
    }
    let load = Load::new(started, times, 0);
    let label = format!("{}: {path}, uncached, {rows} reservations", testbed.name());
    let p50 = load.percentile(0.5);
    match testbed.engine {
        Engine::Postgres => report.check(format!("{label}, p50"), p50, "ms", Goal::AtMost(150.0)),
        Engine::Sqlite => report.add(format!("{label}, p50"), p50, "ms", ""),
    }
    report.add(format!("{label}, p95"), load.percentile(0.95), "ms", peak(api)?);
    Ok(())
}

async fn reservations_of(testbed: &Testbed, user: i64) -> Result<u64> {
    let db = testbed.app.db.read();
    let text = "SELECT COUNT(*) AS n FROM reservations WHERE user_id = $1";
    let row = db.query_one_raw(sql(db, text, [user.into()])).await?.context("no row")?;
    Ok(u64::try_from(row.try_get::<i64>("", "n")?)?)
}
