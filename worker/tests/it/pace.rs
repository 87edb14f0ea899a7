//! The rate of mails, of all workers together: what exceeds it waits, fails nothing and costs nothing.

use std::{collections::BTreeSet, time::Duration};

use devstack::MailSink;
use shared::{jobs::queue, parking::notifications};
use testkit::TestApp;
use uuid::Uuid;

use crate::support::{insert, number, people, reaches, row, send_to, within};

/// Welcomes so many people, by workers that are yet to start.
async fn welcome(t: &TestApp, count: i64) -> Vec<Uuid> {
    let mut jobs = Vec::new();
    for id in people(t, count).await {
        jobs.push(insert(t, &notifications::welcome(id).unwrap()).await);
    }
    queue::announce(&t.app.redis, &jobs).await;
    jobs.iter().map(|job| job.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_keep_to_fifty_mails_a_second_and_lose_none() {
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
        // Fifty at once, then fifty a second.
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
async fn a_turn_that_is_far_off_is_waited_for_in_the_ledger_without_an_attempt() {
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
            assert!(job.state == "succeeded" || (job.error.is_none() && job.finished_at.is_none()), "{job:#?}");
        }
        let deliveries = number(&t, "SELECT COUNT(*) AS n FROM email_deliveries").await;
        assert_eq!(deliveries, 1, "a mail is claimed when its turn has come");
        for id in jobs {
            assert_eq!(reaches(&t, id, "succeeded").await.attempt, 1);
        }
        assert_eq!((sink.messages().len(), sink.attempts()), (3, 3));
        worker.stop().await;
    })
    .await;
}
