//! From the registration to the receipt, and what operators do, without scripts.

use chrono::TimeDelta;
use serde_json::json;
use shared::base::clock::Clock;
use testkit::{PASSWORD, TestApp, number};

use super::browser::Browser;
use crate::support::noon;

#[testkit::both_databases]
async fn a_driver_parks_leaves_and_pays(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let lot = t.lot(2).await;
    let mut browser = Browser::new(&t);
    let fields =
        [("username", "Asha"), ("email", "asha@example.com"), ("password", PASSWORD), ("next", "/ui/lots")];
    assert_eq!(browser.submit("/ui/register", "/ui/register", &fields).await.leads_to(), "/ui/lots");
    browser.get("/ui/lots?q=main+4000&sort=price").await.has("Main Street");
    browser.get("/ui/lots?q=nowhere").await.has("No lot found");
    let booked = browser.submit("/ui/lots", &format!("/ui/lots/{lot}/book"), &[]).await;
    assert_eq!(booked.leads_to(), "/ui/parking?done=booked");
    let again = browser.submit("/ui/lots", &format!("/ui/lots/{lot}/book"), &[]).await.expect(409);
    again.has("You are parked already");
    clock.advance(TimeDelta::minutes(61));
    let parking = browser.get("/ui/parking?done=booked").await.expect(200);
    for text in ["Your stay has started", "₹51.00", "2 hours", "since 20 Nov 2026, 17:30"] {
        parking.has(text);
    }
    let left = browser.submit("/ui/parking", "/ui/reservations/1/leave", &[]).await;
    assert_eq!(left.leads_to(), "/ui/reservations/1?done=left");
    browser.get("/ui/history").await.has("Unpaid");
    browser.submit("/ui/history", "/ui/reservations/1/pay", &[]).await.expect(400).has("There is a problem");
    let paid = [("payment_method", "upi"), ("transaction_id", "T1")];
    browser.submit("/ui/history", "/ui/reservations/1/pay", &paid).await.leads_to();
    let receipt = browser.get("/ui/reservations/1").await.expect(200);
    for text in ["Paid", "UPI", "T1", "not yet verified"] {
        receipt.has(text);
    }
    browser.get("/ui/figures").await.expect(200).has("<svg viewBox");
    browser.submit("/ui/lots", "/ui/logout", &[]).await.leads_to();
    assert!(browser.get("/ui/history").await.leads_to().ends_with("next=%2Fui%2Fhistory"));
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_driver_reserves_extends_arrives_and_cancels(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (lot, asha) = (t.lot(2).await, t.driver("Asha").await);
    let (page, mut browser) = (format!("/ui/lots/{lot}"), Browser::of(&t, &asha));
    let reserve = format!("{page}/reserve");
    // In Kolkata it is 17:30.
    let reversed = [("from", "2026-11-20T20:00"), ("to", "2026-11-20T19:00")];
    let refused = browser.submit(&page, &reserve, &reversed).await.expect(400);
    refused.has("value=\"2026-11-20T19:00\"");
    refused.has("id=\"to-error\"");
    let window = [("from", "2026-11-20T17:35"), ("to", "2026-11-20T19:00")];
    assert_eq!(browser.submit(&page, &reserve, &window).await.leads_to(), "/ui/parking?done=reserved");
    let checked: Vec<_> = window.into_iter().chain([("check", "yes")]).collect();
    let priced = browser.submit(&page, &reserve, &checked).await;
    assert!(!priced.leads_to().contains("csrf"));
    browser.get(priced.leads_to()).await.has("₹36.13");
    browser.get("/ui/parking").await.has("20 Nov 2026, 17:35 until 20 Nov 2026, 19:00");
    let until = [("until", "2026-11-20T20:00")];
    browser.submit("/ui/parking", "/ui/reservations/1/extend", &until).await.leads_to();
    browser.get("/ui/reservations/1").await.has("20 Nov 2026, 20:00");
    browser.submit("/ui/parking", "/ui/reservations/1/extend", &[("until", "soon")]).await.expect(400);
    browser.submit("/ui/parking", "/ui/reservations/1/arrive", &[]).await.leads_to();
    browser.get("/ui/parking").await.has("Cost so far");
    browser.submit("/ui/parking", "/ui/reservations/1/cancel", &[]).await.expect(409);
    let later = [("from", "2026-11-21T10:00"), ("to", "2026-11-21T11:00")];
    browser.submit(&page, &reserve, &later).await.leads_to();
    browser.submit("/ui/parking", "/ui/reservations/2/cancel", &[]).await.leads_to();
    let other = t.driver("Ravi").await;
    Browser::of(&t, &other).get("/ui/reservations/1").await.expect(404);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn an_operator_opens_changes_and_closes_a_lot(t: TestApp) {
    let mut browser = Browser::of(&t, &t.admin().await);
    let lot = |price: &'static str, slots: &'static str| {
        [
            ("location_name", "Harbour"),
            ("address", "Quay 1"),
            ("pincode", "400001"),
            ("price", price),
            ("number_of_slots", slots),
        ]
    };
    let wrong = browser.submit("/ui/admin/lots/new", "/ui/admin/lots", &lot("free", "3")).await.expect(400);
    wrong.has("id=\"price-error\"");
    wrong.has("value=\"Harbour\"");
    let created = browser.submit("/ui/admin/lots/new", "/ui/admin/lots", &lot("12.50", "3")).await;
    assert_eq!(created.leads_to(), "/ui/admin/lots?done=lot-created");
    browser.get("/ui/admin/lots").await.has("₹12.50");
    let page = browser.get("/ui/admin/lots/1").await.expect(200);
    let etag = page.text.split_once("name=\"etag\" value=\"").unwrap().1.split("\">").next().unwrap();
    let etag = etag.replace("&quot;", "\"").replace("&#x2f;", "/");
    let change: Vec<_> = lot("20", "2").into_iter().chain([("etag", &*etag)]).collect();
    browser.submit("/ui/admin/lots/1", "/ui/admin/lots/1", &change).await.leads_to();
    // The page was opened before the change.
    let late = browser.submit("/ui/admin/lots/1", "/ui/admin/lots/1", &change).await.expect(412);
    late.has("Somebody else has changed this in the meantime");
    browser.submit("/ui/admin/lots/1", "/ui/admin/lots/1/close", &[]).await.expect(400);
    browser.submit("/ui/admin/lots/1", "/ui/admin/lots/1/close", &[("sure", "yes")]).await.leads_to();
    browser.get("/ui/admin/lots").await.has("No lots yet");
    browser.get("/ui/admin/audit").await.has("lot deleted");
}

#[testkit::both_databases]
async fn an_operator_waives_a_bill_and_pauses_a_queue(t: TestApp) {
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let stay = t.book(&asha, t.lot(1).await).await;
    t.release(&asha, stay).await.expect(200);
    let mut browser = Browser::of(&t, &admin);
    browser.get("/ui/admin").await.has("Some stays are not paid");
    let waive = format!("/ui/admin/unpaid/{stay}/waive");
    browser
        .submit("/ui/admin/unpaid", &waive, &[])
        .await
        .expect(400)
        .has(&format!("id=\"{stay}-reason-error\""));
    browser.submit("/ui/admin/unpaid", &waive, &[("reason", "A broken barrier")]).await.leads_to();
    browser.get("/ui/admin/unpaid").await.has("Everything is paid");
    browser.submit("/ui/admin/jobs", "/ui/admin/queues/mail/pause", &[]).await.leads_to();
    browser.get("/ui/admin").await.has("One queue is paused");
    browser.submit("/ui/admin/jobs", "/ui/admin/queues/mail/resume", &[]).await.leads_to();
    browser.submit("/ui/admin/jobs", "/ui/admin/queues/none/pause", &[]).await.expect(404);
    browser.get("/ui/admin/users?q=ASHA%40example.com").await.has("asha@example.com");
    browser.get("/ui/admin/users?q=nobody").await.has("Nobody found");
    browser.get("/ui/admin/health?check=yes").await.has("OK");
}

#[testkit::both_databases]
async fn an_export_is_made_and_downloaded(t: TestApp) {
    let asha = t.driver("Asha").await;
    let mut browser = Browser::of(&t, &asha);
    let requested = browser.submit("/ui/exports", "/ui/exports", &[("format", "csv")]).await;
    let page = requested.leads_to().to_owned();
    browser.get(&page).await.has("data-follow=");
    let _worker = t.work();
    t.eventually("the export is ready", async || {
        Browser::of(&t, &asha).get(&page).await.text.contains("Download")
    })
    .await;
    let events = browser.get(&format!("{page}/events")).await.expect(200);
    events.has("\"state\":\"SUCCESS\"");
    let file = browser.get(&format!("{page}/file")).await.expect(200);
    assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let other = t.driver("Ravi").await;
    for path in [page.clone(), format!("{page}/events"), format!("{page}/file")] {
        Browser::of(&t, &other).get(&path).await.expect(404);
    }
}

#[testkit::both_databases]
async fn a_profile_is_changed(t: TestApp) {
    let asha = t.driver("Asha").await;
    let mut browser = Browser::of(&t, &asha);
    let done = browser.submit("/ui/profile", "/ui/profile/name", &[("username", "Asha Rao")]).await;
    assert_eq!(done.leads_to(), "/ui/profile?done=name");
    browser.submit("/ui/profile", "/ui/profile/vehicles", &[("plate", "KA 01 1234")]).await.leads_to();
    let wrong = browser.submit("/ui/profile", "/ui/profile/vehicles", &[("plate", "")]).await.expect(400);
    wrong.has("id=\"vehicle-plate-error\"");
    let page = browser.get("/ui/profile").await.expect(200);
    page.has("KA 01 1234");
    page.has("value=\"Asha Rao\"");
    browser.submit("/ui/profile", "/ui/profile/mails", &[("reports", "on")]).await.leads_to();
    let user = shared::parking::accounts::by_id(&t.app, asha.id).await.unwrap();
    assert!(user.reminders_off && !user.reports_off);
    let change = [("email", "asha@example.org"), ("current_password", "wrong")];
    browser
        .submit("/ui/profile", "/ui/profile/contact", &change)
        .await
        .expect(403)
        .has("Your current password is wrong");
    let change = [("email", "asha@example.org"), ("current_password", PASSWORD)];
    browser.submit("/ui/profile", "/ui/profile/contact", &change).await.leads_to();
    let page = browser.get("/ui/profile").await;
    page.has("asha@example.org counts once you open the link that we mailed to it.");
    t.log_in(&asha.email).await;
    browser.get("/ui/profile").await.has("Log out there");
}

#[testkit::both_databases]
async fn pages_show_tariffs_and_ask_which_vehicle_parks(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    let tariff = json!({ "tariff": crate::tariffs::by_the_quarter() });
    t.post(&format!("/admin/lots/{lot}/tariffs"), Some(&admin), tariff).await.expect(201);
    let (page, mut browser) = (format!("/ui/lots/{lot}"), Browser::of(&t, &asha));
    browser.get("/ui/lots").await.has("by tariff");
    let shown = browser.get(&page).await.expect(200);
    shown.has("Quarter: ₹10.00 for every 15 minutes started");
    assert!(!shown.text.contains("name=\"vehicle\""), "there is nothing to choose");
    for plate in ["MH 12 AB 1234", "KA 05 C 77"] {
        t.post(&format!("/users/{}/vehicles", asha.id), Some(&asha), json!({ "plate": plate }))
            .await
            .expect(201);
    }
    let second = number(&t, "SELECT MAX(id) AS n FROM vehicles").await.to_string();
    browser.get(&page).await.has(&format!("<option value=\"{second}\">KA 05 C 77</option>"));
    browser.submit(&page, &format!("{page}/book"), &[("vehicle", &second)]).await.leads_to();
    let stay = browser.get("/ui/reservations/1").await.expect(200);
    stay.has("KA 05 C 77");
    stay.has("Quarter: ₹10.00 for every 15 minutes started");
    browser.get("/ui/parking").await.expect(200);
}
