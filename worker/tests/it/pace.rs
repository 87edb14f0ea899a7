//! The rate limit for mails, shared by all workers: excess mails wait, without failing or using up attempts.

use std::{collections::BTreeSet, time::Duration};

use devstack::MailSink;
use shared::{
    jobs::{JobState, queue},
    parking::notifications,
};
use testkit::TestApp;
use uuid::Uuid;

use crate::support::{insert, number, people, reaches, row, send_to, within};

/// Enqueues `count` welcome mails before any worker starts.
async fn welcome(t: &TestApp, count: i64) -> Vec<Uuid> {
    let mut jobs = Vec::new();
    for id in people(t, count).await {
        jobs.push(insert(t, &notifications::welcome(id).unwrap()).await);
    }
    queue::announce(&t.app.redis, &jobs).await;
    jobs.iter().map(|job| job.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_rate_limit_holds_across_workers() {
    testkit::together(async |engine| {
        let mut t = TestApp::start_with(engine, &[("MAIL_RATE_LIMIT", "50/1")]).await;
        let sink = MailSink::start().await.unwrap();
        send_to(&mut t, &sink);
        let jobs = welcome(&t, 200).await;
        let begun = std::time::Instant::now();
        let workers = [t.work(), t.work()];
        sink.wait_for(|mails| mails.len() > 50, Duration::from_secs(20)).await.unwrap();
        let first = begun.elapsed();
        let mails = sink.wait_for(|mails| mails.len() == 200, Duration::from_secs(20)).await.unwrap();
        let took = begun.elapsed();
        println!("{engine:?}: 51 mails in {first:?}, 200 in {took:?}");
        // A burst of fifty, then fifty per second.
        assert!(took >= Duration::from_millis(2_900), "too fast: {took:?}");
        assert!(took <= Duration::from_secs(8), "too slow: {took:?}");
        let distinct: BTreeSet<_> = mails.iter().map(|mail| mail.message_id().unwrap()).collect();
        assert_eq!(distinct.len(), 200);
        for id in jobs {
            assert_eq!(reaches(&t, id, "succeeded").await.attempt, 1);
        }
        for worker in workers {
            worker.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn distant_mail_slot_is_awaited_in_the_ledger() {
    testkit::together(async |engine| {
        let mut t = TestApp::start_with(engine, &[("MAIL_RATE_LIMIT", "1/3")]).await;
        let sink = MailSink::start().await.unwrap();
        send_to(&mut t, &sink);
        let jobs = welcome(&t, 3).await;
        let worker = t.work();
        sink.wait_for(|mails| mails.len() == 1, Duration::from_secs(20)).await.unwrap();
        within(Duration::from_secs(2), "the others wait in the ledger", || async {
            number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued' AND run_at > created_at AND attempt = 0").await == 2
        })
        .await;
        for id in &jobs {
            let job = row(&t, *id).await;
            assert!(job.state == JobState::Succeeded || (job.error.is_none() && job.finished_at.is_none()), "{job:#?}");
        }
        let deliveries = number(&t, "SELECT COUNT(*) AS n FROM email_deliveries").await;
        assert_eq!(deliveries, 1, "a mail is claimed only when the rate limit permits");
        for id in jobs {
            assert_eq!(reaches(&t, id, "succeeded").await.attempt, 1);
        }
        assert_eq!((sink.messages().len(), sink.attempts()), (3, 3));
        worker.stop().await;
    })
    .await;
}
