//! Cache consistency: a read after a write sees it, at once in the process that wrote and soon in the others.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    app::App,
    base::clock::Clock,
    parking::phone_codes,
    platform::cache::{Entry, Group, Recipe},
};
use testkit::{Answer, Driver, TestApp};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    support::{ENGINES, at_once, noon, shown, spots},
    verification::welcome_token,
};

/// Two API processes with warm caches, and one without caches as the reference.
struct Processes {
    writer: TestApp,
    reader: TestApp,
    truth: TestApp,
    admin: Driver,
    asha: Driver,
    lot: i64,
    /// The writes performed so far, as path templates.
    made: Mutex<BTreeSet<String>>,
}

impl Processes {
    async fn new(t: &TestApp, clock: &Clock) -> Self {
        let writer = t.at(clock.clone()).await;
        let closed = devstack::free_port().unwrap().to_string();
        let reader = writer.second_process(&[]).await;
        let truth = writer.second_process(&[("REDIS_PORT", &closed)]).await;
        let (admin, asha) = (writer.admin().await, writer.driver("Asha").await);
        let lot = writer.lot(3).await;
        Self { writer, reader, truth, admin, asha, lot, made: Mutex::default() }
    }

    /// Every cached view: its name, its path, and who may read it.
    fn views(&self) -> [(&'static str, String, Option<&Driver>); 11] {
        let (lot, id) = (self.lot, self.asha.id);
        [
            ("lots", "/parking-lots".to_owned(), None),
            ("lot", format!("/parking-lots/{lot}"), None),
            ("spots", format!("/parking-lots/{lot}/available-spots"), None),
            ("users", "/users".to_owned(), Some(&self.admin)),
            ("by email", "/users?email=ASHA@example.com".to_owned(), Some(&self.admin)),
            ("by name", "/users?username=asha".to_owned(), Some(&self.admin)),
            ("user", format!("/users/{id}"), Some(&self.admin)),
            ("reservations", format!("/users/{id}/reservations?state=all"), Some(&self.admin)),
            ("user report", "/user-reports".to_owned(), Some(&self.asha)),
            ("history", "/user-booking-history".to_owned(), Some(&self.asha)),
            ("report", "/reports".to_owned(), Some(&self.admin)),
        ]
    }

    async fn seen(&self, by: &TestApp) -> Vec<(&'static str, Value)> {
        let mut seen = Vec::new();
        for (name, path, who) in self.views() {
            let mut answer = by.get(&path, who).await;
            // These are counted in Redis and never cached.
            if let Some(data) = answer.body.pointer_mut("/data").and_then(Value::as_object_mut) {
                data.remove("redis_analytics");
            }
            seen.push((name, json!({ "status": answer.status.as_u16(), "body": answer.body })));
        }
        seen.iter_mut().for_each(|(_, seen)| {
            if seen["status"] != 200 {
                seen["body"] = json!("refused");
            }
        });
        seen
    }

    /// The current value of every view. Fails unless all processes agree, the reader within a second.
    async fn agree(&self, after: &str) -> Vec<(&'static str, Value)> {
        let truth = self.seen(&self.truth).await;
        for (seen, truth) in self.seen(&self.writer).await.iter().zip(&truth) {
            assert_eq!(seen, truth, "after {after}");
        }
        shown(truth.clone(), async || self.seen(&self.reader).await).await;
        truth
    }

    /// Writes through one process while both have warm caches, and records which views changed.
    async fn write(&self, what: &str, who: Option<&Driver>, body: Value) -> Write {
        let before = self.seen(&self.reader).await;
        assert_eq!(self.seen(&self.writer).await, before, "{what}");
        let (method, path) = what.split_once(' ').unwrap();
        let is_id = |part: &&str| part.parse::<i64>().is_ok();
        let template: Vec<_> = path.split('/').map(|part| if is_id(&part) { "{id}" } else { part }).collect();
        self.made.lock().unwrap().insert(format!(
            "{method} {}",
            template.join("/").replace("vehicles/{id}", "vehicles/{vehicle_id}")
        ));
        let request = self.writer.request(method.parse::<Method>().unwrap(), path, who).json(&body);
        let answer = self.writer.send(request).await;
        assert!(answer.status.is_success(), "{what}: {}", answer.text);
        let after = self.agree(what).await;
        let changed =
            before.iter().zip(&after).filter(|(before, after)| before != after).map(|(_, after)| after.0);
        Write { answer, changed: changed.collect() }
    }
}

struct Write {
    answer: Answer,
    changed: BTreeSet<&'static str>,
}

impl Write {
    fn id(&self, of: &str) -> i64 {
        self.answer.body[of]["id"].as_i64().expect("an id")
    }

    /// Asserts that exactly these views changed.
    #[track_caller]
    fn changed(self, expected: &[&str]) -> Self {
        assert_eq!(self.changed, expected.iter().copied().collect());
        self
    }
}

/// Operations that change no cached view.
const WITHOUT_EFFECT: &[&str] = &[
    "POST /admin/cache/clear",
    "POST /admin/clear-cache",
    "POST /admin/reset-database",
    "DELETE /admin/jobs/{id}",
    "POST /admin/jobs/{id}/cancel",
    "POST /admin/jobs/{id}/requeue",
    "POST /admin/jobs/purge",
    "POST /admin/jobs/requeue",
    "POST /admin/queues/{name}/pause",
    "POST /admin/queues/{name}/resume",
    "POST /admin/schedules/{name}/pause",
    "POST /admin/schedules/{name}/resume",
    "POST /admin/schedules/{name}/run",
    "POST /auth/forgot-password",
    "POST /auth/login",
    "POST /auth/logout",
    "POST /auth/refresh",
    "POST /auth/reset-password",
    "POST /auth/second-factor",
    "DELETE /auth/second-factor",
    "POST /auth/second-factor/confirm",
    "POST /auth/second-factor/verify",
    "DELETE /auth/sessions",
    "DELETE /auth/sessions/{id}",
    "POST /auth/resend-verification",
    "POST /auth/undo-email-change",
    "DELETE /users/{id}/second-factor",
    "DELETE /users/{id}/sessions",
    "POST /export/admin/cleanup",
    "POST /export/csv/cancel/{id}",
    "POST /export/csv/request",
    "POST /tasks/{task}",
    "POST /unsubscribe",
    "PUT /users/{id}/lots",
    "POST /users/me/export",
    "POST /users/me/phone/verification",
];

/// All other operations; [`next_read_in_any_process_shows_the_write`] calls each of them.
const WRITES: &[&str] = &[
    "POST /auth/register",
    "POST /auth/verify-email",
    "POST /booking/book-spot",
    "POST /booking/occupy-spot",
    "POST /booking/release-spot",
    "POST /parking-lots",
    "PUT /parking-lots/{id}",
    "POST /admin/lots/{id}/tariffs",
    "PUT /admin/lots/{id}/holidays",
    "DELETE /parking-lots/{id}",
    "PUT /parking-spots/{id}",
    "POST /reservations",
    "PATCH /reservations/{id}",
    "DELETE /reservations/{id}",
    "POST /reservations/{id}/payment",
    "POST /reservations/{id}/payment/verify",
    "POST /reservations/{id}/waive",
    "POST /reservations/{id}/refund",
    "POST /attendant/arrivals",
    "POST /attendant/departures",
    "POST /users/me/phone/verification/confirm",
    "POST /users",
    "PUT /users/{id}",
    "DELETE /users/{id}",
    "POST /users/{id}/vehicles",
    "DELETE /users/{id}/vehicles/{vehicle_id}",
];

#[test]
fn every_documented_write_is_tried() {
    let document = serde_json::to_value(api::routes::document()).unwrap();
    let mut writes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| *method != "get") {
            writes.insert(format!("{} {}", method.to_uppercase(), path.strip_prefix("/api").unwrap()));
        }
    }
    let known: BTreeSet<_> = WRITES.iter().chain(WITHOUT_EFFECT).map(|name| (*name).to_owned()).collect();
    assert_eq!(writes, known);
}

/// Defect 44.
#[testkit::both_databases]
async fn next_read_in_any_process_shows_the_write(t: TestApp) {
    let clock = Clock::fixed(noon());
    let p = Processes::new(&t, &clock).await;
    let (admin, asha, lot) = (Some(&p.admin), Some(&p.asha), p.lot);
    let spot = spots(&p.writer, lot).await[1];
    let availability = ["lots", "lot", "spots", "report"];
    let mine = ["reservations", "user report", "history", "report"];
    let stay = ["lots", "lot", "spots", "reservations", "user report", "history", "report"];

    let form = json!({ "username": "Ravi", "email": "ravi@example.com", "password": testkit::PASSWORD });
    let ravi = p.write("POST /auth/register", None, form).await.changed(&["users", "report"]).id("user");
    let form = json!({ "username": "Meera", "email": "meera@example.com", "password": testkit::PASSWORD });
    p.write("POST /users", admin, form).await.changed(&["users", "report"]);
    let me = format!("/users/{}", p.asha.id);
    let of_asha = ["users", "by email", "by name", "user"];
    let token = welcome_token(&p.writer, p.asha.id).await;
    p.write("POST /auth/verify-email", None, json!({ "token": token })).await.changed(&of_asha);
    let vehicle = p
        .write(&format!("POST {me}/vehicles"), asha, json!({ "plate": "MH 0" }))
        .await
        .changed(&of_asha)
        .id("vehicle");
    p.write(&format!("DELETE {me}/vehicles/{vehicle}"), asha, json!({})).await.changed(&of_asha);
    let phone = json!({ "phone_number": "+919876543210", "current_password": testkit::PASSWORD });
    p.write(&format!("PUT {me}"), asha, phone).await.changed(&of_asha);
    let code = phone_codes::issue(&p.writer.app, Uuid::new_v4(), p.asha.id, "+919876543210").await.unwrap();
    let confirm = "POST /users/me/phone/verification/confirm";
    p.write(confirm, asha, json!({ "code": code })).await.changed(&of_asha);
    p.write(&format!("PUT {me}"), asha, json!({ "username": "Asha R.", "vehicle_number": "MH 1" }))
        .await
        .changed(&["users", "by email", "by name", "user", "reservations"]);

    let form =
        json!({ "location_name": "B", "price": 5, "address": "B", "pincode": "1", "number_of_slots": 1 });
    let other = p.write("POST /parking-lots", admin, form).await.changed(&["lots", "report"]).id("lot");
    p.write(
        &format!("PUT /parking-lots/{lot}"),
        admin,
        json!({ "location_name": "C", "number_of_slots": 4 }),
    )
    .await
    .changed(&availability);
    let tariff = json!({ "currency": "INR", "lines": [
        { "name": "Day", "amount": 100, "charge": { "kind": "step", "minutes": 60 } }] });
    let tariffs = format!("POST /admin/lots/{other}/tariffs");
    p.write(&tariffs, admin, json!({ "tariff": tariff })).await.changed(&[]);
    let holidays = format!("PUT /admin/lots/{other}/holidays");
    p.write(&holidays, admin, json!({ "holidays": ["2026-12-25"] })).await.changed(&[]);
    p.write(&format!("DELETE /parking-lots/{other}"), admin, json!({})).await.changed(&["lots", "report"]);

    let reservation = p
        .write("POST /booking/book-spot", asha, json!({ "lot_id": lot }))
        .await
        .changed(&stay)
        .id("reservation");
    p.write(&format!("PUT /parking-lots/{lot}"), admin, json!({ "location_name": "D", "address": "E" }))
        .await
        .changed(&stay);
    clock.advance(TimeDelta::minutes(61));
    p.write("POST /booking/release-spot", asha, json!({ "reservation_id": reservation }))
        .await
        .changed(&stay);

    let bill = format!("/reservations/{reservation}/payment");
    p.write(&format!("POST {bill}"), asha, json!({ "transaction_id": "T1" })).await.changed(&mine);
    p.write(&format!("POST {bill}/verify"), admin, json!({})).await.changed(&[
        "reservations",
        "history",
        "report",
    ]);

    p.write(&format!("POST /reservations/{reservation}/refund"), admin, json!({ "reason": "flooded" }))
        .await
        .changed(&mine);
    let guest = json!({ "lot_id": lot, "plate": "GUEST 1" });
    p.write("POST /attendant/arrivals", admin, guest.clone()).await.changed(&availability);
    p.write("POST /attendant/departures", admin, guest).await.changed(&availability);

    let window = json!({ "spot_id": spot, "parking_time": clock.now(), "leaving_time": clock.now() + TimeDelta::hours(2) });
    let reservation =
        p.write("POST /reservations", asha, window.clone()).await.changed(&stay).id("reservation");
    let longer = json!({ "leaving_time": clock.now() + TimeDelta::hours(3) });
    p.write(&format!("PATCH /reservations/{reservation}"), asha, longer)
        .await
        .changed(&["reservations", "history"]);
    p.write(&format!("DELETE /reservations/{reservation}"), asha, json!({})).await.changed(&stay);
    let reservation = p.write("POST /reservations", asha, window).await.changed(&stay).id("reservation");
    p.write("POST /booking/occupy-spot", asha, json!({ "reservation_id": reservation })).await.changed(&mine);
    clock.advance(TimeDelta::minutes(5));
    p.write(&format!("PUT /parking-spots/{spot}"), admin, json!({ "status": "available" }))
        .await
        .changed(&stay);
    p.write(&format!("POST /reservations/{reservation}/waive"), admin, json!({ "reason": "broken barrier" }))
        .await
        .changed(&mine);
    p.write(&format!("PUT /parking-spots/{spot}"), admin, json!({ "status": "occupied", "user_id": ravi }))
        .await
        .changed(&availability);
    p.write(&format!("DELETE /users/{ravi}"), admin, json!({}))
        .await
        .changed(&["lots", "lot", "spots", "report", "users"]);
    p.write("POST /booking/book-spot", asha, json!({ "lot_id": lot })).await.changed(&stay);
    p.write(&format!("DELETE {me}"), admin, json!({})).await.changed(&[
        "users",
        "by email",
        "user",
        "lots",
        "lot",
        "spots",
        "reservations",
        "user report",
        "history",
        "report",
    ]);
    assert_eq!(*p.made.lock().unwrap(), WRITES.iter().map(|name| (*name).to_owned()).collect());
}

#[testkit::both_databases]
async fn next_read_shows_time_driven_changes(t: TestApp) {
    // Half an hour before a new day and month in Asia/Kolkata.
    let clock = Clock::fixed("2026-11-30T18:00:00Z".parse().unwrap());
    let p = Processes::new(&t, &clock).await;
    let (asha, spot) = (Some(&p.asha), spots(&p.writer, p.lot).await[1]);
    let until = |minutes| json!({ "spot_id": spot, "parking_time": clock.now(), "leaving_time": clock.now() + TimeDelta::minutes(minutes) });
    let reservation =
        p.write("POST /booking/book-spot", asha, json!({ "lot_id": p.lot })).await.id("reservation");
    clock.advance(TimeDelta::minutes(4));
    p.agree("four minutes of a session").await;
    clock.advance(TimeDelta::minutes(1));
    p.agree("five minutes of a session").await;
    p.write("POST /booking/release-spot", asha, json!({ "reservation_id": reservation })).await;
    p.write("POST /reservations", asha, until(10)).await;
    clock.advance(TimeDelta::minutes(10));
    p.agree("the end of a window").await;
    let before = p.agree("the end of a window").await;
    clock.advance(TimeDelta::minutes(31));
    p.agree("the end of the month").await;
    assert!(shared::parking::bookings::expire_no_shows(&p.writer.app).await.unwrap() <= 1);
    assert_ne!(p.agree("a no-show").await, before);
}

#[testkit::both_databases]
async fn concurrent_readers_see_acknowledged_writes(t: TestApp) {
    let t = Arc::new(t);
    let processes = [t.clone(), Arc::new(t.second_process(&[]).await)];
    let (admin, lot) = (t.admin().await, t.lot(1).await);
    t.put(&format!("/parking-lots/{lot}"), Some(&admin), json!({ "price": 0 })).await.expect(200);
    // By process: the latest write that it has answered.
    let answered: Arc<[AtomicUsize; 2]> = Arc::default();
    let readers = (0..6).map(|reader| {
        let (t, answered) = (processes[reader % 2].clone(), answered.clone());
        async move {
            let mut floor = 0;
            while floor < WRITES_TO_SEE - 1 {
                floor = answered[reader % 2].load(Ordering::SeqCst);
                let price = price(&t, lot).await.as_f64().unwrap();
                assert!(price >= f64::from(u32::try_from(floor).unwrap()), "{price} was read after {floor}");
            }
        }
    });
    let readers = tokio::spawn(at_once(readers.collect::<Vec<_>>()));
    for write in 1..=WRITES_TO_SEE {
        let writer = &processes[write % 2];
        writer
            .put(&format!("/parking-lots/{lot}"), Some(&admin), json!({ "price": write }))
            .await
            .expect(200);
        answered[write % 2].store(write, Ordering::SeqCst);
    }
    readers.await.unwrap();
}

#[testkit::both_databases]
async fn slow_reader_does_not_cache_stale_data(t: TestApp) {
    let reader = t.second_process(&[]).await;
    let slow = Slow::default();
    for group in [Group::Catalog, Group::Occupancy, Group::Users, Group::User(7)] {
        let recipe =
            Recipe { key: format!("test:{group}"), groups: vec![group], ttl: Duration::from_secs(300) };
        slow.set("old");
        let held = tokio::spawn(slow.clone().get(reader.app.clone(), recipe.clone(), true));
        slow.wait_until_reading().await;
        slow.set("new");
        t.app.cache.invalidate(&[group]).await;
        // In the slow reader's process, reads that hear of the write wait for a load that begins after it.
        let late = tokio::spawn(slow.clone().get(reader.app.clone(), recipe.clone(), false));
        assert_eq!(slow.clone().get(t.app.clone(), recipe.clone(), false).await, "new", "{group}");
        slow.go_on.notify_one();
        assert_eq!(
            held.await.unwrap(),
            "old",
            "this read began before the write, so it may see the old value"
        );
        late.await.unwrap();
        for app in [&t.app, &reader.app, &t.app] {
            shown("new".to_owned(), async || slow.clone().get(app.clone(), recipe.clone(), false).await)
                .await;
        }
        let loads = slow.loads.load(Ordering::SeqCst);
        slow.clone().get(t.app.clone(), recipe.clone(), false).await;
        assert_eq!(slow.loads.load(Ordering::SeqCst), loads, "a fresh value stays cached");
        // The slow reader stored its result last, and that result is not used either.
        slow.set("old");
        let recipe = Recipe { key: format!("test-of-late-results:{group}"), ..recipe };
        let held = tokio::spawn(slow.clone().get(reader.app.clone(), recipe.clone(), true));
        slow.wait_until_reading().await;
        slow.set("newer");
        t.app.cache.invalidate(&[group]).await;
        slow.go_on.notify_one();
        held.await.unwrap();
        assert_eq!(slow.clone().get(t.app.clone(), recipe, false).await, "newer", "{group}");
    }
}

/// Writes in the test with many readers.
const WRITES_TO_SEE: usize = 150;

/// A data source whose reads can be blocked.
#[derive(Clone, Default)]
struct Slow {
    row: Arc<Mutex<&'static str>>,
    loads: Arc<AtomicUsize>,
    reading: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Slow {
    fn set(&self, what: &'static str) {
        *self.row.lock().unwrap() = what;
    }

    /// Waits until the blocked read has begun.
    async fn wait_until_reading(&self) {
        let begun = tokio::time::timeout(Duration::from_secs(20), self.reading.notified()).await;
        begun.expect("a cache miss");
    }

    async fn get(self, app: App, recipe: Recipe, held: bool) -> String {
        let first = Arc::new(std::sync::atomic::AtomicBool::new(held));
        let load = move || {
            let (slow, held) = (self.clone(), first.swap(false, Ordering::SeqCst));
            async move {
                slow.loads.fetch_add(1, Ordering::SeqCst);
                let row = *slow.row.lock().unwrap();
                if held {
                    slow.reading.notify_one();
                    slow.go_on.notified().await;
                }
                Ok(Entry::of(row.as_bytes().to_vec()))
            }
        };
        let entry = app.cache.get(recipe, load).await.unwrap();
        String::from_utf8(entry.body.to_vec()).unwrap()
    }
}

async fn price(t: &TestApp, lot: i64) -> Value {
    t.get(&format!("/parking-lots/{lot}"), None).await.expect(200).body["lot"]["price"].clone()
}

/// Redis goes away before a write and comes back after it, alternately with and without its data.
#[tokio::test(flavor = "multi_thread")]
async fn write_during_redis_outage_is_seen_afterwards() {
    for engine in ENGINES {
        let (t, mut redis) = TestApp::start_with_redis(engine).await;
        let t = t.second_process(&[("CACHE_PARKING_TTL", "3600")]).await;
        let (admin, lot) = (t.admin().await, t.lot(1).await);
        let path = format!("/parking-lots/{lot}");
        for (round, killed) in [(1, true), (2, false), (3, true), (4, false)] {
            warm(&t, lot).await;
            let before = price(&t, lot).await;
            if killed {
                redis.kill().await.unwrap()
            } else {
                redis.pause().unwrap()
            }
            t.put(&path, Some(&admin), json!({ "price": round })).await.expect(200);
            assert_ne!(price(&t, lot).await, before);
            assert_eq!(price(&t, lot).await.as_f64(), Some(f64::from(round)), "while Redis is away");
            if killed {
                redis.restart().await.unwrap()
            } else {
                redis.resume().unwrap()
            }
            for _ in 0..20 {
                assert_eq!(price(&t, lot).await.as_f64(), Some(f64::from(round)), "after Redis is back");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Reads until the answer is cached, which takes until the process has reconnected to Redis.
async fn warm(t: &TestApp, lot: i64) {
    let kept = redis::Cmd::exists(t.app.redis.keys().cached(&format!("parking_lot:{lot}")));
    t.eventually("the lot is cached", async || {
        price(t, lot).await;
        t.app.redis.query(async |mut redis| kept.query_async(&mut redis).await).await.unwrap_or(false)
    })
    .await;
}

async fn if_none_match(t: &TestApp, path: &str, who: &Driver, tags: &str) -> Answer {
    t.send(t.request(Method::GET, path, Some(who)).header("if-none-match", tags)).await
}

#[testkit::both_databases]
async fn if_none_match_returns_304(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(3).await);
    let asha_reads = [
        "/parking-lots".to_owned(),
        format!("/parking-lots/{lot}"),
        format!("/parking-lots/{lot}/available-spots"),
        format!("/users/{}/reservations", asha.id),
        "/user-reports".to_owned(),
        "/user-booking-history".to_owned(),
        format!("/users/{}", asha.id),
    ];
    let mut reads: Vec<_> = asha_reads.iter().map(|path| (path.as_str(), &asha)).collect();
    reads.push(("/users", &admin));
    let mut tags = Vec::new();
    for (path, who) in &reads {
        let answer = t.get(path, Some(who)).await.expect(200);
        let tag = answer.headers["etag"].to_str().unwrap().to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        assert_eq!(answer.headers["cache-control"], "private, no-cache");
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            tag.replacen("\"", "W/\"", 1).trim_end_matches('"').to_owned() + "-gzip\"",
            tag.trim_end_matches('"').to_owned() + ";gzip\"",
            tag.trim_end_matches('"').to_owned() + "--br\"",
            format!("\"other\", {tag}"),
            format!("\"a\",W/{tag},\"b\""),
            "*".to_owned(),
        ] {
            let answer = if_none_match(&t, path, who, &known).await.expect(304);
            assert_eq!(
                (answer.text.as_str(), answer.headers["etag"].to_str().unwrap()),
                ("", tag.as_str()),
                "{path}"
            );
        }
        for unknown in [
            "\"other\"",
            "W/\"other\"",
            "",
            "nonsense",
            &tag.replace('"', ""),
            &format!("{tag}x"),
            &format!("w/{tag}"),
            &format!("{tag}-gzip"),
            &tag.replacen('"', "\"x", 1),
        ] {
            assert_eq!(
                if_none_match(&t, path, who, unknown).await.expect(200).text,
                answer.text,
                "{path} {unknown}"
            );
        }
        tags.push(tag);
    }
    let reservation = t.book(&asha, lot).await;
    t.release(&asha, reservation).await.expect(200);
    t.book(&asha, lot).await;
    t.put(&format!("/users/{}", asha.id), Some(&asha), json!({ "username": "Asha R." })).await.expect(200);
    for ((path, who), tag) in reads.iter().zip(&tags) {
        let answer = if_none_match(&t, path, who, tag).await.expect(200);
        assert_ne!(answer.headers["etag"].to_str().unwrap(), tag, "{path}");
        assert!(answer.body["msg"].is_string(), "{path}");
    }
}
