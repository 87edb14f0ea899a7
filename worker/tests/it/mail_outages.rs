//! Hours without a mail server, in simulated time and with real SMTP: nothing is lost, sent twice or counted as an attempt.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use devstack::MailSink;
use shared::{
    base::clock::Clock,
    jobs::{Queue, ledger},
    parking::notifications::{self, outage},
};
use testkit::TestApp;
use worker::{Worker, consume::perform, registry::Registry};

use crate::support::{assert_no_duplicate_mails, driver_with, insert, number, row, send_to};

/// An application in simulated time, with a worker that the test drives.
struct World {
    t: TestApp,
    worker: Worker,
}

impl World {
    async fn new(t: TestApp, sink: &MailSink) -> Self {
        let start: DateTime<Utc> = "2026-12-01T12:00:00Z".parse().unwrap();
        let mut t = t.at(Clock::fixed(start)).await;
        send_to(&mut t, sink);
        let worker = Worker::new(t.app.clone(), Registry::default());
        Self { t, worker }
    }

    /// Lets minutes pass, in each of which the worker does what is due.
    async fn wait(&self, minutes: u32) {
        let app = &self.t.app;
        for _ in 0..minutes {
            app.clock.advance(TimeDelta::minutes(1));
            outage::check(app).await.unwrap();
            let due = ledger::due(&app.db, app.clock.now(), Duration::ZERO, Queue::Mail, 100).await.unwrap();
            for job in due {
                perform(&self.worker, job.id).await;
            }
        }
    }

    async fn count(&self, condition: &str) -> i64 {
        number(&self.t, &format!("SELECT COUNT(*) AS n FROM jobs WHERE {condition}")).await
    }

    /// Enqueues mails that stay meaningful, and a link that does not. Returns the id of the latter.
    async fn enqueue(&self) -> uuid::Uuid {
        let (t, now) = (&self.t, self.t.app.clock.now());
        let driver = driver_with(t, 3).await;
        t.admin().await;
        let first = number(t, "SELECT MIN(id) AS n FROM reservations").await;
        for stay in first..first + 3 {
            insert(t, &notifications::receipt(stay, driver.id).unwrap()).await;
            insert(t, &notifications::confirmation(stay, driver.id).unwrap()).await;
        }
        insert(t, &notifications::password_changed(driver.id, now).unwrap()).await;
        insert(t, &notifications::password_reset(Some(driver.id), now).unwrap()).await.id
    }

    /// Checks that the server is known to be broken for six hours, that nobody was told more often than once an hour, and
    /// that no attempt was used up.
    async fn is_held(&self, reason: &str) {
        let found = outage::find(&self.t.app.db).await.unwrap().expect("an outage");
        assert!(found.reason.contains(reason), "{}", found.reason);
        assert!(self.count("held AND state = 'queued'").await >= 8);
        assert_eq!(self.count("attempt > 0 AND state <> 'succeeded'").await, 0, "no attempt was used up");
        assert_eq!(self.count("state = 'failed'").await, 0);
        let alerts = self.count("kind = 'send-notice' AND unique_key LIKE 'alert:mail-server:%'").await;
        assert_eq!(alerts, 6, "one alert an hour");
    }

    /// Checks that every mail arrived once, except for the link and old alerts.
    async fn is_delivered(&self, sink: &MailSink, link: uuid::Uuid) {
        self.wait(30).await;
        assert!(outage::find(&self.t.app.db).await.unwrap().is_none());
        assert_eq!(self.count("state <> 'succeeded' AND kind LIKE 'send-%'").await, 0);
        let expired = row(&self.t, link).await.result.unwrap();
        assert_eq!(expired, r#"{"skipped":"the link has expired"}"#);
        let mails = sink.messages();
        assert_no_duplicate_mails(&mails);
        let is_alert = |mail: &&devstack::Mail| mail.header("Subject").unwrap().contains("mail server");
        let alerts = mails.iter().filter(is_alert).count();
        let sent = self.count("kind LIKE 'send-%' AND kind <> 'send-notice' AND result LIKE '%sent%'").await;
        assert_eq!(i64::try_from(mails.len() - alerts).unwrap(), sent);
        assert!(sent >= 7 && alerts <= 1, "{sent} mails, {alerts} alerts");
    }
}

#[testkit::both_databases]
async fn six_hours_without_a_mail_server_lose_nothing(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let world = World::new(t, &sink).await;
    let link = world.enqueue().await;
    let address = sink.addr();
    drop(sink);
    world.wait(360).await;
    world.is_held("cannot be reached").await;
    let sink = MailSink::start_on(address).await.unwrap();
    world.is_delivered(&sink, link).await;
}

#[testkit::both_databases]
async fn mails_wait_until_a_rejecting_server_is_repaired(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let world = World::new(t, &sink).await;
    let link = world.enqueue().await;
    sink.break_down("RCPT", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname");
    world.wait(180).await;
    sink.repair();
    sink.break_down("RCPT", "554 5.7.1 <asha@example.com>: Relay access denied");
    world.wait(180).await;
    world.is_held("554").await;
    assert!(sink.messages().is_empty());
    sink.repair();
    world.is_delivered(&sink, link).await;
}
