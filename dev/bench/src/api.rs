//! How fast the API answers over a year of data, beside a server on axum that does nothing and bare Redis.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devstack::Process;
use redis::AsyncCommands;
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::{self, ADMIN, DRIVER, Plan, Size, Span},
    parking::accounts::{self, password, session},
    platform::{
        cache::Group,
        db::{Engine, sql},
    },
};

use crate::{
    empty,
    http::{Connection, request},
    load::{Load, clients, repeat},
    report::{Goal, Report},
    stage::{Stage, listening},
};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How far back the data goes: day, month or year.
    #[arg(long, default_value = "year")]
    span: Span,
    /// Spots of each of the 20 lots. So many see 900,000 reservations a year, which the heavy user makes a million.
    #[arg(long, default_value_t = 90)]
    spots: usize,
    /// Reservations of the one user with many.
    #[arg(long, default_value_t = 100_000)]
    heavy: u64,
}

const CLIENTS: [usize; 3] = [1, 16, 64];

/// Of every simulated account.
const PASSWORD: &str = "correct horse battery staple";

/// Takes all figures on one database.
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let stage = Stage::set(engine).await?;
    let time = Duration::from_secs(options.seconds);
    let hash = password::hash(PASSWORD.into()).await?;
    let rows = seed(&stage, options, &hash).await?;
    let (api, address) = stage.api().await?;
    let calls = calls(&stage, &address).await?;
    let list = answer(&address, &calls[0].1[0]).await?;
    let (empty, empty_address) = empty_server(&stage, list.len()).await?;
    let mut redis = stage.app.redis.queue.connection()?;
    let _: () = redis.set("bench:list", &list).await?;

    for count in CLIENTS {
        let label = |what: &str| format!("{}, {count} clients: {what}", stage.name());
        let bare = |path| vec![request(&empty_address, "GET", path, "", ""); count];
        let nothing = clients(&empty_address, &bare(empty::NOTHING), time).await?;
        report.add(label("limit: bare axum, no body"), nothing.rate, "/s", nothing.spread());
        let limit = clients(&empty_address, &bare(empty::BYTES), time).await?;
        let note = format!("{}, {} bytes", limit.spread(), list.len());
        report.add(label("limit: bare axum, body of the lot list"), limit.rate, "/s", note);
        let values = repeat(vec![redis.clone(); count], time, |mut redis| async move {
            let _: Vec<u8> = redis.get("bench:list").await?;
            Ok(redis)
        });
        let values = values.await?;
        report.add(label("limit: Redis GET of it, one connection"), values.rate, "/s", values.spread());
        // More would be told to come again.
        let hashes = repeat(vec![hash.clone(); count.min(password::capacity())], time, |hash| async move {
            ensure!(password::verify(PASSWORD.into(), Some(hash.clone())).await?, "the password is right");
            Ok(hash)
        });
        let hashes = hashes.await?;
        report.add(label("limit: bare Argon2"), hashes.rate, "/s", hashes.spread());
        for (number, (what, requests)) in calls.iter().enumerate() {
            forget_peak(&api)?;
            let callers = if what == "login" { count.min(password::capacity()) } else { count };
            let requests: Vec<_> = requests.iter().cycle().take(callers).cloned().collect();
            let load = clients(&address, &requests, time).await?;
            report.add(label(what), load.rate, "/s", format!("{}, {}", load.spread(), peak(&api)?));
            let (share, what) =
                (100.0 * load.rate / limit.rate, format!("{what}, of bare axum with the body"));
            match (number, count) {
                (0, 1) => report.add(label(&what), share, "%", ""),
                (0, _) => report.check(label(&what), share, "%", Goal::AtLeast(60.0)),
                _ => {}
            }
        }
    }
    drop(empty);
    reports(&stage, (&api, &address), time, rows, report).await?;
    stage.check().await
}

/// Fills the database. Returns how many reservations there are.
async fn seed(stage: &Stage, options: &Options, hash: &str) -> Result<u64> {
    let app = &stage.app;
    let plan = Plan::new(Size::Demo, options.span, 1, app.clock.now(), app.config.zone, options.heavy);
    let plan = Plan { spots_per_lot: options.spots, ..plan };
    let loaded = demo::load(&app.db, &plan, hash, |_| {}).await?;
    if stage.engine == Engine::Postgres {
        app.db.write().execute_unprepared("VACUUM ANALYZE").await?;
    }
    Ok(loaded.reservations)
}

/// What is called, and the requests of which each client takes one.
type Call = (String, Vec<Vec<u8>>);

/// Everything that is measured with several clients; the cached list of lots is the first.
async fn calls(stage: &Stage, host: &str) -> Result<Vec<Call>> {
    let (app, db) = (&stage.app, stage.app.db.read());
    // One with a history of about a hundred reservations.
    let text = "SELECT user_id, COUNT(*) AS n FROM reservations GROUP BY user_id
                ORDER BY ABS(COUNT(*) - 100), user_id LIMIT 1";
    let row = db.query_one_raw(sql(db, text, [])).await?.context("a user")?;
    let (user, rows): (i64, i64) = (row.try_get("", "user_id")?, row.try_get("", "n")?);
    let token = session::open(app, app.db.write(), user, None).await?;
    let bearer = format!("authorization: Bearer {token}\r\n");
    let text = "SELECT email FROM users WHERE role = 'user' ORDER BY id LIMIT 64";
    let mut logins = Vec::new();
    for row in db.query_all_raw(sql(db, text, [])).await? {
        let email: String = row.try_get("", "email")?;
        let body = format!("{{\"email\":\"{email}\",\"password\":\"{PASSWORD}\"}}");
        logins.push(request(host, "POST", "/api/auth/login", "", &body));
    }
    let get = |what: &str, path: &str, headers: &str| {
        (what.to_owned(), vec![request(host, "GET", path, headers, "")])
    };
    let own = format!("/api/users/{user}/reservations");
    Ok(vec![
        get("lots, cached", "/api/parking-lots", ""),
        get("lots, uncached (?limit=1000 never is)", "/api/parking-lots?limit=1000", ""),
        get("one lot, cached", "/api/parking-lots/1", ""),
        get(&format!("{rows} own reservations, cached"), &own, &bearer),
        get(
            &format!("{rows} own reservations, uncached (?limit=1000)"),
            &format!("{own}?limit=1000"),
            &bearer,
        ),
        ("login".to_owned(), logins),
    ])
}

/// The body of one answer.
async fn answer(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    let mut connection = Connection::open(address).await?;
    let (status, body) = connection.send(request).await?;
    ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(body));
    Ok(body.to_vec())
}

/// A bare server as a process of its own, as the API is one.
async fn empty_server(stage: &Stage, bytes: usize) -> Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", devstack::free_port()?);
    let arguments = ["empty-server", &address, &bytes.to_string()];
    let server = stage.spawn(&env::current_exe()?, &arguments, &[])?;
    listening(&server, &address).await?;
    Ok((server, address))
}

/// The kernel forgets what the process has had at the most: `clear_refs` in proc(5).
fn forget_peak(process: &Process) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{}/clear_refs", process.pid()), "5")?)
}

fn peak(process: &Process) -> Result<String> {
    Ok(format!("peak {} MiB", process.memory()?.peak_bytes >> 20))
}

/// Both reports, each made anew for every call: everything that they are made from has always just changed.
async fn reports(
    stage: &Stage,
    (api, address): (&Process, &str),
    time: Duration,
    rows: u64,
    report: &mut Report,
) -> Result<()> {
    let (app, name) = (&stage.app, stage.name());
    for (path, email) in [("/api/reports", ADMIN), ("/api/user-reports", DRIVER)] {
        let user = accounts::by_email(app, email).await?.context("a simulated account")?.id;
        let token = session::open(app, app.db.write(), user, None).await?;
        let request = request(address, "GET", path, &format!("authorization: Bearer {token}\r\n"), "");
        let (what, count) = match path {
            "/api/reports" => ("/reports, uncached, over reservations:", rows),
            _ => ("/user-reports, uncached, over reservations:", own_rows(stage, user).await?),
        };
        forget_peak(api)?;
        let mut connection = Connection::open(address).await?;
        let (begun, mut times) = (Instant::now(), Vec::new());
        while times.len() < 10 || begun.elapsed() < time {
            app.cache.invalidate(&[Group::Occupancy, Group::User(user)]).await;
            let asked = Instant::now();
            let (status, body) = connection.send(&request).await?;
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
            ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(body));
        }
        let load = Load::of(begun, times);
        let label = format!("{name}: {what} {count}");
        match stage.engine {
            Engine::Postgres => {
                report.check(format!("{label}, p50"), load.percentile(0.5), "ms", Goal::AtMost(150.0));
            }
            Engine::Sqlite => report.add(format!("{label}, p50"), load.percentile(0.5), "ms", ""),
        }
        report.add(format!("{label}, p95"), load.percentile(0.95), "ms", peak(api)?);
    }
    Ok(())
}

async fn own_rows(stage: &Stage, user: i64) -> Result<u64> {
    let db = stage.app.db.read();
    let text = "SELECT COUNT(*) AS n FROM reservations WHERE user_id = $1";
    let row = db.query_one_raw(sql(db, text, [user.into()])).await?.context("a row")?;
    Ok(u64::try_from(row.try_get::<i64>("", "n")?)?)
}
