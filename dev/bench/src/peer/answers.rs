//! Both systems must give the same answers before they are measured.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bench::http::Connection;
use serde_json::{Value, json};

use super::{
    data::{ADMIN, FIRST_DRIVER},
    export,
    system::{System, send},
};

/// Fails if an answer differs.
pub async fn compare(ours: &System, peer: &System) -> Result<()> {
    for (what, a, b) in [
        ("the lists of lots", lots(ours).await?, lots(peer).await?),
        ("the amounts of a stay", stay(ours).await?, stay(peer).await?),
        ("the reports", report(ours).await?, report(peer).await?),
        ("the numbers of exported rows", exported(ours).await?, exported(peer).await?),
    ] {
        ensure!(a == b, "{what} differ:\nParkade: {a}\npeer:    {b}");
    }
    Ok(())
}

async fn get(system: &System, path: &str, token: &str) -> Result<Value> {
    let mut connection = Connection::open(&system.address).await?;
    send(&mut connection, &system.request("GET", path, token, ""), 200).await
}

async fn lots(system: &System) -> Result<Value> {
    let answer = get(system, "/api/parking-lots", "").await?;
    let lots = answer["lots"].as_array().context("an answer without lots")?;
    const FIELDS: [&str; 5] = ["id", "location_name", "price", "number_of_slots", "available_slots"];
    Ok(lots.iter().map(|lot| FIELDS.map(|field| lot[field].clone())).map(Value::from_iter).collect())
}

/// The rate and the bill of a stay.
async fn stay(system: &System) -> Result<Value> {
    let token = system.log_in(FIRST_DRIVER).await?;
    let mut connection = Connection::open(&system.address).await?;
    let body = json!({ "lot_id": 7 }).to_string();
    let booked =
        send(&mut connection, &system.request("POST", "/api/booking/book-spot", &token, &body), 201).await?;
    let id = &booked["reservation"]["id"];
    let body = json!({ "reservation_id": id, "payment_method": "Card", "transaction_id": "TXN-same" });
    let path = "/api/booking/release-spot";
    let released =
        send(&mut connection, &system.request("POST", path, &token, &body.to_string()), 200).await?;
    Ok(json!([booked["reservation"]["hourly_rate"], released["reservation"]["cost"]]))
}

/// The totals of the report, and those of its other figures that are not zero.
async fn report(system: &System) -> Result<Value> {
    let token = system.log_in(ADMIN).await?;
    let report = get(system, "/api/reports", &token).await?["data"].take();
    let (stats, users) = (&report["reservation_stats"], &report["user_stats"]);
    let figures = |list: &str, key: &str, value: &str| -> BTreeMap<String, Value> {
        let rows = report[list].as_array().into_iter().flatten();
        let rows = rows.filter(|row| row[value].as_f64().is_some_and(|value| value > 0.0));
        rows.map(|row| (row[key].to_string(), row[value].clone())).collect()
    };
    Ok(json!({
        "completed": stats["completed_reservations"],
        "active": stats["active_reservations"],
        "revenue": stats["total_revenue"],
        "admins": users["admin_users"],
        "drivers": users["regular_users"],
        "lots": figures("parking_lots", "id", "total_revenue"),
        "days": figures("daily_revenue", "date", "revenue"),
        "methods": figures("payment_distribution", "method", "count"),
        "began": figures("monthly_trends", "month", "reservations"),
        "paid": figures("monthly_revenue", "month", "revenue"),
    }))
}

async fn exported(system: &System) -> Result<Value> {
    Ok(export::run(system).await?.lines.into())
}
