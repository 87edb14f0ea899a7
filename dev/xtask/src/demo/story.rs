//! The walk-through: a driver books, releases, exports their history and downloads it, with a mail for each step.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use devstack::Mail;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    client::{Client, number, text},
    show::{Show, Steps},
    stack::{ADMIN, Stack},
    state::random,
};

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Mails to the driver: welcome, confirmation, receipt, export.
const MAILS: usize = 4;

/// A logged-in user.
struct User {
    client: Client,
    email: String,
}

/// Runs all steps and prints their results.
pub(super) async fn run(show: &Show, stack: &Stack) -> Result<()> {
    show.title("The main use case, over HTTP");
    let mut steps = Steps::new(show);
    let driver = register(&mut steps, stack).await?;
    let lot = choose_lot(&mut steps, &driver).await?;
    let reservation = book(&mut steps, &driver, lot).await?;
    mail(&mut steps, stack, &driver, "Confirmation mail", "is booked").await?;
    release(&mut steps, &driver, reservation).await?;
    mail(&mut steps, stack, &driver, "Receipt mail", "Receipt").await?;
    let export = request_export(&mut steps, &driver).await?;
    follow(&mut steps, &driver, &export).await?;
    download(&mut steps, &driver, &export).await?;
    mail(&mut steps, stack, &driver, "Export-ready mail", "export is ready").await?;
    count_mails(&mut steps, stack, &driver).await?;
    remind(&mut steps, stack).await?;
    println!();
    show.line("all steps succeeded");
    Ok(())
}

async fn register(steps: &mut Steps<'_>, stack: &Stack) -> Result<User> {
    let id = &random()[..6];
    let email = format!("asha.{id}@parkade.test");
    let body = json!({
        "username": format!("Asha {id}"), "email": email, "password": random(),
        "vehicle_number": format!("MH 12 {}", id.to_uppercase()),
    });
    let answer =
        steps.run("Register a driver", stack.client.post("/api/auth/register", &body, StatusCode::CREATED));
    let answer = answer.await?;
    let client = stack.client.clone().with_token(text(&answer, "/token")?.to_owned());
    let user = format!("{} <{email}>, id {}", text(&answer, "/user/username")?, number(&answer, "/user/id")?);
    steps.show.result("driver", user);
    Ok(User { client, email })
}

async fn choose_lot(steps: &mut Steps<'_>, driver: &User) -> Result<i64> {
    let answer = steps.run("List the parking lots", driver.client.get("/api/parking-lots")).await?;
    let lots = answer["lots"].as_array().context("no list of lots")?;
    let free = |lot: &&Value| lot["available_slots"].as_i64().unwrap_or(0) > 0;
    for lot in lots.iter().take(3) {
        let place = format!(
            "{}: {} of {} spots free",
            one_line(text(lot, "/location_name")?),
            lot["available_slots"],
            lot["number_of_slots"]
        );
        steps.show.result("lot", format!("{place}, {} an hour", money(&lot["price"])?));
    }
    if lots.len() > 3 {
        steps.show.result("", format!("and {} more", lots.len() - 3));
    }
    number(lots.iter().find(free).context("no lot has a free spot")?, "/id")
}

async fn book(steps: &mut Steps<'_>, driver: &User, lot: i64) -> Result<i64> {
    let body = json!({ "lot_id": lot });
    let answer = driver.client.post("/api/booking/book-spot", &body, StatusCode::CREATED);
    let answer = steps.run("Book a spot", answer).await?;
    let booked = &answer["reservation"];
    steps
        .show
        .result("booked", format!("spot {} from {}", booked["spot_id"], text(booked, "/parking_time")?));
    steps.show.result("state", format!("reservation {} is {}", booked["id"], text(booked, "/status")?));
    number(booked, "/id")
}

async fn release(steps: &mut Steps<'_>, driver: &User, reservation: i64) -> Result<()> {
    let body = json!({
        "reservation_id": reservation, "payment_method": "upi", "transaction_id": format!("DEMO-{}", &random()[..8]),
    });
    let answer = driver.client.post("/api/booking/release-spot", &body, StatusCode::OK);
    let answer = steps.run("Release the spot and pay", answer).await?;
    let bill = &answer["reservation"];
    let rate = money(&bill["hourly_rate"])?;
    steps
        .show
        .result("bill", format!("{} h at {rate} = {}", bill["charged_hours"], money(&bill["parking_cost"])?));
    let payment =
        format!("by {}, transaction {}", text(bill, "/payment_method")?, text(bill, "/transaction_id")?);
    steps.show.result("paid", payment);
    Ok(())
}

async fn request_export(steps: &mut Steps<'_>, driver: &User) -> Result<String> {
    let body = json!({});
    let answer = driver.client.post("/api/export/csv/request", &body, StatusCode::ACCEPTED);
    let answer = steps.run("Request a CSV export of all reservations", answer).await?;
    let task = text(&answer, "/task_id")?.to_owned();
    steps.show.result("task", format!("{task}, {}", text(&answer, "/status")?));
    Ok(task)
}

/// Polls a task until it has ended.
async fn follow(steps: &mut Steps<'_>, driver: &User, export: &str) -> Result<()> {
    let polling = async {
        let (mut seen, mut polls, deadline) = (Vec::<String>::new(), 0, Instant::now() + TIMEOUT);
        loop {
            let task = driver.client.get(&format!("/api/tasks/{export}")).await?;
            polls += 1;
            let state = text(&task, "/state")?;
            if seen.last().is_none_or(|last| last != state) {
                seen.push(state.to_owned());
            }
            match state {
                "SUCCESS" => return Ok((seen, polls)),
                "PENDING" | "PROGRESS" if Instant::now() < deadline => {
                    tokio::time::sleep(POLL_INTERVAL).await
                }
                _ => bail!("after {polls} polls the task is {task}"),
            }
        }
    };
    let (seen, polls) = steps.run("Poll the task", polling).await?;
    steps.show.result("states", format!("{} ({polls} polls)", seen.join(" → ")));
    Ok(())
}

/// Downloads the file and compares it with its status.
async fn download(steps: &mut Steps<'_>, driver: &User, export: &str) -> Result<()> {
    let loading = async {
        let status = driver.client.get(&format!("/api/export/csv/status/{export}")).await?;
        let (name, bytes) = driver.client.download(text(&status, "/export/download_url")?).await?;
        let digest =
            Sha256::digest(&bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let expected = text(&status, "/export/sha256")?;
        ensure!(digest == expected, "the file has the SHA-256 {digest}, not {expected} as in its status");
        let expected = number(&status, "/export/bytes")?;
        ensure!(
            i64::try_from(bytes.len())? == expected,
            "the file has {} bytes, not {expected}",
            bytes.len()
        );
        let csv = String::from_utf8(bytes).context("the file is not UTF-8")?;
        ensure!(
            csv.contains(",completed,") && csv.contains("DEMO-"),
            "the reservation is not in the file:\n{csv}"
        );
        Ok((name, csv, digest, number(&status, "/export/rows")?))
    };
    let (name, csv, digest, rows) = steps.run("Download the file", loading).await?;
    steps.show.result("file", format!("{name}, {rows} row(s), {} bytes", csv.len()));
    steps.show.result("sha-256", format!("{digest}, matches the status"));
    steps.show.quote(&csv.lines().take(4).collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// Waits for the user's mail with these words in the subject, and prints it.
async fn mail(steps: &mut Steps<'_>, stack: &Stack, driver: &User, what: &str, words: &str) -> Result<()> {
    let is_expected = |mail: &Mail| {
        mail.to.contains(&driver.email)
            && mail.header("Subject").is_some_and(|subject| subject.contains(words))
    };
    let waiting = async {
        let mails = stack.sink.wait_for(|mails| mails.iter().any(is_expected), TIMEOUT).await?;
        mails.into_iter().find(is_expected).context("the mail is gone")
    };
    let mail = steps.run(what, waiting).await?;
    steps.show.mail(&mail);
    Ok(())
}

/// No mail is sent twice.
async fn count_mails(steps: &mut Steps<'_>, stack: &Stack, driver: &User) -> Result<()> {
    let count = |mails: &[Mail]| mails.iter().filter(|mail| mail.to.contains(&driver.email)).count();
    let counting = async {
        let mails = stack.sink.wait_for(|mails| count(mails) >= MAILS, TIMEOUT).await?;
        let mut subjects: Vec<String> = mails
            .iter()
            .filter(|mail| mail.to.contains(&driver.email))
            .filter_map(|mail| mail.header("Subject"))
            .collect();
        subjects.sort();
        let different = subjects.windows(2).all(|pair| pair[0] != pair[1]);
        ensure!(subjects.len() == MAILS && different, "expected {MAILS} different mails: {subjects:?}");
        Ok(())
    };
    steps.run("Every mail was sent once", counting).await?;
    steps.show.result("mails", format!("{MAILS}: welcome, confirmation, receipt, export"));
    Ok(())
}

/// An administrator runs the evening reminders and gets a summary.
async fn remind(steps: &mut Steps<'_>, stack: &Stack) -> Result<()> {
    let Some(client) = stack.administrator().await? else { return Ok(()) };
    let admin = User { client, email: ADMIN.to_owned() };
    let body = json!({});
    let answer = admin.client.post("/api/tasks/test-daily-reminder", &body, StatusCode::ACCEPTED);
    let answer = steps.run("As an administrator, run the reminders now", answer).await?;
    follow(steps, &admin, text(&answer, "/task_id")?).await?;
    mail(steps, stack, &admin, "Summary mail", "Reminders").await?;
    let reminders = stack.sink.messages();
    let reminders = reminders.iter().filter(|mail| mail.header("List-Unsubscribe").is_some());
    steps.show.result("reminders", reminders.count());
    Ok(())
}

/// Formats an amount with two decimal places.
fn money(amount: &Value) -> Result<String> {
    Ok(format!("{:.2}", amount.as_f64().with_context(|| format!("{amount} is not an amount"))?))
}

/// Some simulated names contain line breaks on purpose.
fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}
