//! At the barrier: cars that arrive, leave and pay, on the pages of attendants.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::StreamExt;
use reqwest::Method;
use serde_json::json;
use shared::base::clock::Clock;
use testkit::TestApp;

use super::browser::Browser;
use crate::{attendants::attendant, support::noon};

#[testkit::both_databases]
async fn an_attendant_lets_a_car_in_and_out_for_cash(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, lot) = (t.admin().await, t.lot(2).await);
    let guard = attendant(&t, &admin, "Guard", &[lot]).await;
    let (page, mut browser) = (format!("/ui/work/lots/{lot}"), Browser::of(&t, &guard));
    assert_eq!(browser.get("/ui").await.leads_to(), "/ui/work");
    browser.get("/ui/work").await.expect(200).has("Main Street");
    let arrive = format!("{page}/arrive");
    let refused = browser.submit(&page, &arrive, &[("plate", "--")]).await.expect(400);
    refused.has("Use at least one letter or digit.");
    let arrived = browser.submit(&page, &arrive, &[("plate", "MH 12 AB 1234")]).await;
    let shown = browser.get(arrived.leads_to()).await.expect(200);
    for text in ["The stay has started.", "<option value=\"MH 12 AB 1234\">", "spot occupied", "17:30"] {
        shown.has(text);
    }
    let again = browser.submit(&page, &arrive, &[("plate", "mh12ab1234")]).await.expect(409);
    again.has("A car with this plate is parked already");
    clock.advance(TimeDelta::minutes(61));
    let leave = format!("{page}/leave");
    browser.submit(&page, &leave, &[("plate", "KA 1")]).await.expect(400).has("No car with this plate");
    let left = browser.submit(&page, &leave, &[("plate", "MH12AB1234")]).await.leads_to().to_owned();
    browser.get(&left).await.expect(200).has("₹51.00");
    browser.get(&page).await.has("₹51.00");
    let stay = left.split('?').next().unwrap().to_owned();
    let pay = format!("{stay}/pay");
    browser.submit(&stay, &pay, &[]).await.expect(400).has("Choose how it was paid");
    browser.submit(&stay, &pay, &[("payment_method", "cash")]).await.leads_to();
    let receipt = browser.get(&stay).await.expect(200);
    for text in ["Paid", "Cash", "MH 12 AB 1234", "data-print hidden"] {
        receipt.has(text);
    }
    assert!(!receipt.text.contains("not yet verified"), "attendants have seen the money");
    browser.get(&page).await.has("Everything is paid.");
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_window_of_today_begins_at_the_barrier(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(2).await, t.driver("Asha").await);
    let guard = attendant(&t, &admin, "Guard", &[lot]).await;
    let window = json!({ "lot_id": lot, "parking_time": "2026-11-20T12:05:00Z", "leaving_time": "2026-11-20T14:00:00Z" });
    let id = t.post("/reservations", Some(&asha), window).await.expect(201).body["reservation"]["id"].clone();
    let mut browser = Browser::of(&t, &guard);
    let page = browser.get(&format!("/ui/work/lots/{lot}")).await.expect(200);
    page.has("17:35 – 19:30");
    page.has("spot reserved");
    let stay = format!("/ui/work/stays/{id}");
    let arrived = browser.submit(&stay, &format!("{stay}/arrive"), &[]).await;
    assert_eq!(arrived.leads_to(), format!("{stay}?done=let-in"));
    browser.get(&format!("/ui/work/lots/{lot}")).await.has("Nobody is expected any more today.");
    let left = browser.submit(&stay, &format!("{stay}/leave"), &[]).await;
    assert_eq!(left.leads_to(), format!("{stay}?done=let-out"));
}

#[testkit::both_databases]
async fn attendants_see_pages_of_their_lots_only(t: TestApp) {
    let (admin, lot, other) = (t.admin().await, t.lot(1).await, t.lot(2).await);
    let (asha, guard) = (t.driver("Asha").await, attendant(&t, &admin, "Guard", &[lot]).await);
    let stay = t.book(&asha, other).await;
    let mut browser = Browser::of(&t, &guard);
    assert!(!browser.get("/ui/work").await.text.contains(&format!("/ui/work/lots/{other}")));
    browser.get(&format!("/ui/work/lots/{other}")).await.expect(403);
    browser.get(&format!("/ui/work/lots/{other}/events")).await.expect(403);
    browser.get(&format!("/ui/work/stays/{stay}")).await.expect(404);
    let (from, arrive) = (format!("/ui/work/lots/{lot}"), format!("/ui/work/lots/{other}/arrive"));
    browser.submit(&from, &arrive, &[("plate", "KA 1")]).await.expect(403);
    browser.submit(&from, &format!("/ui/work/stays/{stay}/leave"), &[]).await.expect(404);
    // Their own stay elsewhere is on the pages for drivers.
    let own = t.book(&guard, other).await.to_string();
    browser.get(&format!("/ui/work/stays/{own}")).await.expect(403);
    browser.get(&format!("/ui/reservations/{own}")).await.expect(200);
}

#[testkit::both_databases]
async fn the_spots_of_a_lot_are_followed_live(t: TestApp) {
    let (admin, lot) = (t.admin().await, t.lot(2).await);
    let other = t.second_process(&[]).await;
    let page = Browser::of(&t, &admin).get(&format!("/ui/work/lots/{lot}")).await.expect(200);
    let version = page.text.split_once("data-version=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let request = t.request(Method::GET, &format!("//ui/work/lots/{lot}/events"), None);
    let response = request.header("cookie", format!("parkade_session={}", admin.token)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.bytes_stream().map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap());
    let mut next = async || loop {
        let piece = events.next().await.expect("the stream goes on");
        if let Some((_, data)) = piece.split_once("data: ") {
            return data.trim().to_owned();
        }
    };
    assert_eq!(next().await, version, "the page shows what the stream begins with");
    let begun = Instant::now();
    let body = json!({ "lot_id": lot, "plate": "KA 1" });
    other.post("/attendant/arrivals", Some(&admin), body).await.expect(201);
    assert_ne!(next().await, version);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
