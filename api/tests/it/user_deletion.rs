//! Deleting a user: what ends, what is erased, what stays, and what happens to concurrent bookings.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, PASSWORD, Processes, TestApp};

use crate::support::{
    Client, at_once, change, content, many_drivers, noon, number, reserve, seconds, spots, text,
};

async fn delete(t: &TestApp, admin: &Driver, id: i64) {
    t.delete(&format!("/users/{id}"), Some(admin)).await.expect(200);
}

async fn of_reservation(t: &TestApp, id: i64) -> String {
    text(t, &format!("SELECT state || ' ' || cost_minor AS t FROM reservations WHERE id = {id}")).await
}

/// Defects 22 and 54: the bill follows the rule for releases and is kept.
#[testkit::both_databases]
async fn deleting_a_user_bills_and_frees_their_spots(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(3).await);
    let paid = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(30));
    t.release(&asha, paid).await.expect(200);
    let running = t.book(&asha, lot).await;
    let his = t.book(&ravi, lot).await;
    let spot = spots(&t, lot).await[2];
    let reserved = reserve(&t, asha.id, spot, noon() + TimeDelta::hours(20), noon() + TimeDelta::hours(22))
        .await
        .unwrap();
    change(&t, "UPDATE reservations SET cost_minor = 5100 WHERE id = $1", [reserved.into()]).await.unwrap();
    let free =
        async || t.get(&format!("/parking-lots/{lot}"), None).await.body["lot"]["available_slots"].clone();
    assert_eq!(free().await, 1, "the reservation is not due yet");

    clock.advance(TimeDelta::hours(2) + seconds(1));
    delete(&t, &admin, asha.id).await;
    assert_eq!(of_reservation(&t, paid).await, "completed 2550");
    assert_eq!(
        of_reservation(&t, running).await,
        "completed 7650",
        "two hours and a second are billed as three"
    );
    assert_eq!(of_reservation(&t, reserved).await, "cancelled 0");
    assert_eq!(of_reservation(&t, his).await, "active 0");
    assert_eq!(free().await, 2);
    let unpaid = format!(
        "SELECT COUNT(*) AS n FROM reservations WHERE id = {running} AND transaction_id IS NULL AND payment_method IS NULL"
    );
    assert_eq!(number(&t, &unpaid).await, 1);
    assert_eq!(
        number(
            &t,
            &format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt' AND owner_id = {}", asha.id)
        )
        .await,
        1,
        "only the receipt of the first stay"
    );
    t.book(&t.driver("Meera").await, lot).await;
    t.get(&format!("/users/{}/reservations", asha.id), Some(&admin)).await.problem(404, "not_found");
}

#[testkit::both_databases]
async fn deletion_erases_personal_data(t: TestApp) {
    let admin = t.admin().await;
    let form = json!({
        "username": "Asha Identity", "email": "asha.identity@example.com", "password": PASSWORD,
        "vehicle_number": "MH12ID1234", "phone_number": "9876543210",
    });
    let request = t.request(Method::POST, "/auth/register", None).header("user-agent", "Identity Browser");
    let answer = t.send(request.json(&form)).await.expect(201);
    let asha = Driver {
        id: answer.body["user"]["id"].as_i64().unwrap(),
        token: answer.body["token"].as_str().unwrap().into(),
        email: String::new(),
    };
    let lot = t.lot(1).await;
    t.book(&asha, lot).await;
    for statement in [
        "UPDATE jobs SET error = 'asha.identity@example.com is refused' WHERE owner_id = $1",
        "INSERT INTO email_deliveries (key, kind, user_id, message_id, state, error, created_at, updated_at)
         SELECT 'welcome:1', 'welcome', id, 'x', 'refused', '550 asha.identity@example.com', created_at, created_at FROM users WHERE id = $1",
    ] {
        change(&t, statement, [asha.id.into()]).await.unwrap();
    }
    let identity = ["identity", "mh12id1234", "9876543210"];
    let known = async || {
        let all = content(&t).await.join("\n").to_lowercase();
        identity.iter().filter(|word| all.contains(**word)).count()
    };
    assert_eq!(known().await, 3);
    delete(&t, &admin, asha.id).await;
    assert_eq!(known().await, 0, "{:#?}", content(&t).await);
    let user = format!(
        "SELECT username || ' ' || email || ' ' || password_hash AS t FROM users WHERE id = {}",
        asha.id
    );
    assert_eq!(text(&t, &user).await, format!("deleted-{0} deleted-{0}@deleted.invalid deleted", asha.id));

    for path in [format!("/users/{}", asha.id), format!("/users/{}/reservations", asha.id)] {
        t.get(&path, Some(&admin)).await.problem(404, "not_found");
    }
    let request = t.request(Method::PUT, &format!("/users/{}", asha.id), Some(&admin));
    t.send(request.json(&json!({ "username": "Back" }))).await.problem(404, "not_found");
    t.delete(&format!("/users/{}", asha.id), Some(&admin)).await.problem(404, "not_found");
    for (email, password) in [
        ("asha.identity@example.com", PASSWORD),
        ("deleted-2@deleted.invalid", PASSWORD),
        ("deleted-2@deleted.invalid", "deleted"),
    ] {
        t.post("/auth/login", None, json!({ "email": email, "password": password }))
            .await
            .problem(401, "invalid_credentials");
    }
    // Name, address and numbers are free again.
    let again = t.post("/auth/register", None, form).await.expect(201);
    assert_ne!(again.body["user"]["id"], asha.id);
}

#[testkit::both_databases]
async fn pseudonyms_do_not_block_real_names(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let name = format!("deleted-{}", asha.id);
    let body = json!({ "username": name, "email": format!("{name}@deleted.invalid"), "password": PASSWORD });
    t.post("/auth/register", None, body.clone()).await.expect(201);
    delete(&t, &admin, asha.id).await;
    t.post("/auth/login", None, body).await.expect(200);
}

/// Defect 7.
#[testkit::both_databases]
async fn deleted_user_tokens_and_ids_are_never_reused(t: TestApp) {
    let (other, admin, asha) = (t.at(Clock::System).await, t.admin().await, t.driver("Asha").await);
    assert_eq!(t.get("/auth/sessions", Some(&asha)).await.status, 200);
    assert_eq!(other.get("/auth/sessions", Some(&asha)).await.status, 200);
    delete(&t, &admin, asha.id).await;
    let ravi = t.driver("Ravi").await;
    assert!(ravi.id > asha.id);
    for t in [&t, &other] {
        for path in
            ["/auth/sessions".to_owned(), format!("/users/{}", asha.id), format!("/users/{}", ravi.id)]
        {
            t.get(&path, Some(&asha)).await.problem(401, "unauthenticated");
        }
        t.post("/auth/refresh", Some(&asha), json!({})).await.problem(401, "unauthenticated");
    }
}

#[testkit::both_databases]
async fn deletion_reaches_other_processes_in_a_second(t: TestApp) {
    let processes = Processes::of(&t, &[]);
    let ((_one, one), (_two, two)) = tokio::join!(processes.api(), processes.api());
    let (one, two) = (Client::of(&one), Client::of(&two));
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    for _ in 0..5 {
        assert_eq!(two.get("/auth/sessions", &asha.token).await.0, 200);
    }
    assert_eq!(one.call(Method::DELETE, &format!("/users/{}", asha.id), &admin.token, None).await.0, 200);
    let deleted = Instant::now();
    while two.get("/auth/sessions", &asha.token).await.0 != 401 {
        assert!(deleted.elapsed() < Duration::from_secs(1), "still logged in");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[testkit::both_databases]
async fn admins_cannot_be_deleted(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    t.send(
        t.request(Method::PUT, &format!("/users/{}", asha.id), Some(&admin))
            .json(&json!({ "role": "admin" })),
    )
    .await
    .expect(200);
    let before = content(&t).await;
    for id in [admin.id, asha.id] {
        t.delete(&format!("/users/{id}"), Some(&admin)).await.problem(403, "forbidden");
    }
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn exports_of_deleted_users_are_gone(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let request = async |who| {
        let answer = t.post("/export/csv/request", Some(who), json!({})).await.expect(202);
        answer.body["task_id"].as_str().unwrap().to_owned()
    };
    let (hers, his) = (request(&asha).await, request(&admin).await);
    let worker = t.work();
    for (id, who) in [(&hers, &asha), (&his, &admin)] {
        t.eventually("the export is ready", || async {
            t.get(&format!("/export/download/{id}"), Some(who)).await.status == 200
        })
        .await;
    }
    worker.stop().await;
    let waiting = request(&asha).await;
    let mails = t.mails().len();
    delete(&t, &admin, asha.id).await;
    t.get(&format!("/export/download/{hers}"), Some(&admin)).await.problem(410, "gone");
    t.get(&format!("/export/download/{waiting}"), Some(&admin)).await.problem(409, "export_cancelled");
    t.get(&format!("/export/download/{his}"), Some(&admin)).await.expect(200);
    assert_eq!(t.mails().len(), mails);
}

#[testkit::both_databases]
async fn pending_mails_to_deleted_users_are_skipped(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    let id = t.book(&asha, lot).await;
    t.release(&asha, id).await.expect(200);
    t.book(&asha, lot).await;
    delete(&t, &admin, asha.id).await;
    let _worker = t.work();
    t.eventually("all mails are done", || async {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state IN ('queued', 'running')").await == 0
    })
    .await;
    let ended =
        format!("SELECT COUNT(*) AS n FROM jobs WHERE state = 'succeeded' AND owner_id = {}", asha.id);
    assert_eq!(number(&t, &ended).await, 4, "a welcome, two confirmations and a receipt");
    assert!(t.mails().is_empty());
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM email_deliveries").await, 0);
}

#[testkit::both_databases]
async fn concurrent_deletions_delete_once(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    t.book(&asha, lot).await;
    let call = |_| {
        let request = t.request(Method::DELETE, &format!("/users/{}", asha.id), Some(&admin));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let mut statuses = at_once((0..6).map(call)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404]);
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'completed' AND cost_minor = 2550")
            .await,
        1
    );
    t.is_sound().await;
}

/// Bookings, releases, logins and changes of twelve users through two processes, while the users are deleted.
#[testkit::both_databases]
async fn racing_booking_and_deletion_leave_no_session(t: TestApp) {
    let processes = Processes::of(&t, &[]);
    let ((_one, one), (_two, two)) = tokio::join!(processes.api(), processes.api());
    let clients = [Client::of(&one), Client::of(&two)];
    let (admin, lot) = (t.admin().await, t.lot(40).await);
    let drivers = many_drivers(&t, "driver", 12).await;
    let mut running = Vec::new();
    for driver in &drivers[..5] {
        running.push(t.book(driver, lot).await);
    }
    let mut calls: Vec<(Method, String, String, Option<Value>)> = Vec::new();
    for (i, driver) in drivers.iter().enumerate() {
        let book = || {
            (
                Method::POST,
                "/booking/book-spot".to_owned(),
                driver.token.clone(),
                Some(json!({ "lot_id": lot })),
            )
        };
        let itself = format!("/users/{}", driver.id);
        calls.extend([book(), book(), book()]);
        if let Some(id) = running.get(i) {
            calls.push((
                Method::POST,
                "/booking/release-spot".into(),
                driver.token.clone(),
                Some(json!({ "reservation_id": id })),
            ));
        }
        calls.push((Method::DELETE, itself.clone(), admin.token.clone(), None));
        calls.push((
            Method::PUT,
            itself,
            driver.token.clone(),
            Some(json!({ "username": format!("other{i}") })),
        ));
        calls.extend([book(), book(), book()]);
    }
    let deletions = calls.iter().filter(|(method, ..)| *method == Method::DELETE).count();
    let answers = at_once(calls.into_iter().enumerate().map(|(i, (method, path, token, body))| {
        let client = clients[i % 2].clone();
        async move {
            loop {
                let answer = client.call(method.clone(), &path, &token, body.clone()).await;
                // What a busy server refuses, it has not done.
                if answer.0 != 503 {
                    return (method, answer);
                }
            }
        }
    }))
    .await;
    for (method, (status, body)) in &answers {
        assert!([200, 201, 401, 404, 409].contains(&status.as_u16()), "{method} {status} {body}");
    }
    let deleted =
        answers.iter().filter(|(method, (status, _))| *method == Method::DELETE && *status == 200).count();
    assert_eq!((deletions, deleted), (12, 12));
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state <> 'completed'").await, 0);
    let made =
        answers.iter().filter(|(method, (status, _))| *method == Method::POST && *status == 201).count();
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE cost_minor = 2550").await,
        i64::try_from(made + 5).unwrap()
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.ended_at IS NULL AND u.role = 'user'").await, 0);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users WHERE username LIKE 'deleted-%'").await, 12);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn cached_session_of_a_deleted_user_books_nothing(t: TestApp) {
    let (asha, lot) = (t.driver("Asha").await, t.lot(2).await);
    shared::parking::accounts::delete(&t.app, &shared::parking::audit::Actor::COMMAND_LINE, asha.id)
        .await
        .unwrap();
    let refused = shared::parking::bookings::book_spot(
        &t.app,
        asha.id,
        lot,
        None,
        shared::platform::idempotency::Idempotency::none(),
    )
    .await;
    assert!(matches!(refused, Err(shared::Error::Unauthenticated(_))), "{refused:?}");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 0);
}

#[testkit::both_databases]
async fn stored_answers_about_deleted_users_are_removed(t: TestApp) {
    let admin = t.admin().await;
    let create = async |key: &str, name: &str| {
        let body = json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD });
        let request = t.request(Method::POST, "/users", Some(&admin)).header("idempotency-key", key);
        t.send(request.json(&body)).await.expect(201).body["user"]["id"].as_i64().unwrap()
    };
    let (asha, _) = (create("a", "asha").await, create("r", "ravi").await);
    delete(&t, &admin, asha).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM idempotency_keys WHERE body LIKE '%asha%'").await, 0);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM idempotency_keys WHERE body LIKE '%ravi%'").await, 1);
}
