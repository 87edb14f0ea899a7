//! Whether the database responds: it is pinged twice a second, so that callers do not wait long while it is down.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sea_orm::{DbErr, RuntimeErr};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Between two pings, and after one that failed.
const PING_INTERVAL: Duration = Duration::from_millis(500);
const PING_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A ping that takes longer has failed.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Once a ping has failed, statements fail after this time.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// After this many failed pings in a row the database is down, and statements fail at once.
const DOWN_AFTER: u32 = 2;

/// Pings a database and makes statements fail while it is down.
pub(super) struct Watchdog {
    state: watch::Sender<State>,
    statement_timeout: Duration,
    stop: CancellationToken,
    /// Counts recoveries.
    recoveries: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Failed pings in a row.
    failures: u32,
    failed_at: Option<Instant>,
}

impl Watchdog {
    /// Pings until the watchdog is dropped or stopped. A ping says why it fails. The receiver counts how often the database
    /// came back.
    pub(super) fn start<F>(mut ping: impl FnMut() -> F + Send + 'static) -> (Arc<Self>, watch::Receiver<u64>)
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let watchdog = Arc::new(Self::new(STATEMENT_TIMEOUT));
        let recoveries = watchdog.recoveries.subscribe();
        let (weak, stop) = (Arc::downgrade(&watchdog), watchdog.stop.clone());
        tokio::spawn(async move {
            loop {
                let late = |_| Err("it does not respond".to_owned());
                let ping = tokio::time::timeout(PING_TIMEOUT, ping()).await.unwrap_or_else(late);
                let Some(watchdog) = Weak::upgrade(&weak).filter(|_| !stop.is_cancelled()) else {
                    return;
                };
                let pause = if ping.is_ok() { PING_INTERVAL } else { PING_RETRY_INTERVAL };
                match ping {
                    Ok(()) => watchdog.ping_succeeded(),
                    Err(reason) => watchdog.ping_failed(&reason),
                }
                drop(watchdog);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
        (watchdog, recoveries)
    }

    fn new(statement_timeout: Duration) -> Self {
        Self {
            state: watch::Sender::default(),
            statement_timeout,
            stop: CancellationToken::new(),
            recoveries: watch::Sender::default(),
        }
    }

    /// Stops pinging, because the connections are being closed.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn ping_succeeded(&self) {
        let was_down = self.state.send_if_modified(|state| std::mem::take(&mut state.failures) > 0);
        if was_down {
            tracing::info!("the database is available again");
            self.recoveries.send_modify(|times| *times += 1);
        }
    }

    fn ping_failed(&self, reason: &str) {
        if self.is_responsive() {
            tracing::warn!(reason, "the database is not available");
        }
        self.state.send_modify(|state| {
            *state = State { failures: state.failures.saturating_add(1), failed_at: Some(Instant::now()) };
        });
    }

    /// Whether the last ping succeeded.
    pub(super) fn is_responsive(&self) -> bool {
        self.state.borrow().failures == 0
    }

    pub(super) fn is_down(&self) -> bool {
        self.state.borrow().failures >= DOWN_AFTER
    }

    /// Runs a statement, but fails as soon as the database is known to be down.
    pub(super) async fn fail_fast<T, E: From<DbErr>>(
        &self,
        statement: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.is_down() {
            return Err(unavailable().into());
        }
        tokio::select! {
            biased;
            result = statement => result,
            () = self.outage() => Err(unavailable().into()),
        }
    }

    /// Completes when the database is down, or once a ping has failed and the statement timeout has passed.
    async fn outage(&self) {
        let started_at = Instant::now();
        let mut states = self.state.subscribe();
        let is_down = |state: &State| state.failures >= DOWN_AFTER;
        let has_failed = |state: &State| state.failed_at.is_some_and(|failed_at| failed_at > started_at);
        drop(states.wait_for(has_failed).await); // the sender is `self`
        drop(tokio::time::timeout_at(started_at + self.statement_timeout, states.wait_for(is_down)).await);
    }
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchdog").field("state", &self.state).finish_non_exhaustive()
    }
}

fn unavailable() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the database is not available".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(400);
    const NEVER: Duration = Duration::from_secs(600);

    async fn run(watchdog: &Watchdog, takes: Duration) -> (bool, Duration) {
        let started = Instant::now();
        let statement = async {
            tokio::time::sleep(takes).await;
            Ok::<_, DbErr>(())
        };
        let succeeded = watchdog.fail_fast(statement).await.is_ok();
        (succeeded, started.elapsed())
    }

    /// Runs a statement while a ping ends.
    async fn run_with_ping(watchdog: &Watchdog, takes: Duration, responds: bool) -> (bool, Duration) {
        let ping = async {
            tokio::time::sleep(TIMEOUT / 16).await;
            if responds { watchdog.ping_succeeded() } else { watchdog.ping_failed("frozen") }
        };
        tokio::join!(run(watchdog, takes), ping).0
    }

    #[tokio::test]
    async fn slow_statements_of_a_responsive_database_finish() {
        let takes = TIMEOUT * 5 / 4;
        let (succeeded, took) = run_with_ping(&Watchdog::new(TIMEOUT), takes, true).await;
        assert!(succeeded && took >= takes, "{took:?}");
    }

    #[tokio::test]
    async fn pending_statements_fail_fast_once_the_database_is_down() {
        let watchdog = Watchdog::new(TIMEOUT);
        let (succeeded, took) = run_with_ping(&watchdog, NEVER, false).await;
        assert!(!succeeded && (TIMEOUT..TIMEOUT * 5 / 4).contains(&took), "{took:?}");
        // The second ping in a row that fails.
        let (succeeded, took) = run_with_ping(&watchdog, NEVER, false).await;
        assert!(!succeeded && took < TIMEOUT / 2, "{took:?}");
        assert!(!run(&watchdog, Duration::ZERO).await.0 && !watchdog.is_responsive());
        watchdog.ping_succeeded();
        assert!(run(&watchdog, Duration::ZERO).await.0 && watchdog.is_responsive());
    }

    #[tokio::test]
    async fn a_single_failed_ping_fails_no_quick_statement() {
        let watchdog = Watchdog::new(TIMEOUT);
        assert!(run_with_ping(&watchdog, TIMEOUT / 8, false).await.0);
        assert!(run_with_ping(&watchdog, TIMEOUT * 5 / 4, true).await.0);
    }

    #[tokio::test]
    async fn pings_go_on_until_the_watchdog_is_dropped() {
        let (pings, mut count) = (watch::Sender::new(0), 0);
        let mut seen = pings.subscribe();
        let (watchdog, mut recoveries) = Watchdog::start(move || {
            count += 1;
            pings.send_replace(count);
            std::future::ready(if count == 2 { Err("frozen".to_owned()) } else { Ok(()) })
        });
        tokio::time::timeout(TIMEOUT * 5, recoveries.changed()).await.expect("one ping fails").unwrap();
        assert!(watchdog.is_responsive());
        drop(watchdog);
        let ended = async { while seen.changed().await.is_ok() {} };
        tokio::time::timeout(TIMEOUT * 5, ended).await.expect("pings end");
    }
}
