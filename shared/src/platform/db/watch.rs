//! Whether the database answers: it is asked twice a second, so that nobody waits long for one that does not.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use sea_orm::{DbErr, RuntimeErr};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Between two questions that were answered, and after one that was not.
const EVERY: Duration = Duration::from_millis(500);
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// A question is answered within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// Nobody waits longer for an answer of a database that meanwhile left a question unanswered.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many questions in a row without an answer: it is not even asked for anything else any more.
const AWAY_AFTER: u32 = 2;

/// What is known of a database.
pub(super) struct Watch {
    state: watch::Sender<State>,
    stop: CancellationToken,
    back: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Questions in a row that were not answered.
    failures: u32,
    failed_at: Option<Instant>,
}

impl Watch {
    /// Asks by `ping` for as long as somebody is interested. `back` is called when it answers again.
    pub(super) fn start<F>(
        mut ping: impl FnMut() -> F + Send + 'static,
        back: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = bool> + Send,
    {
        let (state, stop) = (watch::Sender::default(), CancellationToken::new());
        let watch = Arc::new(Self { state, stop, back: Box::new(back) });
        let (weak, stop) = (Arc::downgrade(&watch), watch.stop.clone());
        tokio::spawn(async move {
            loop {
                let mut asking = pin!(ping());
                let answered = tokio::time::timeout(ANSWERED_WITHIN, &mut asking).await == Ok(true);
                let Some(watch) = Weak::upgrade(&weak).filter(|_| !stop.is_cancelled()) else {
                    return;
                };
                if answered {
                    watch.answered()
                } else {
                    watch.left_unanswered()
                }
                drop(watch);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(if answered { EVERY } else { AFTER_FAILURE }) => {}
                }
            }
        });
        watch
    }

    /// Asks no more: the connections are closed on purpose.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// It is there.
    pub(super) fn answered(&self) {
        let was_away = self.state.send_if_modified(|state| std::mem::take(&mut state.failures) > 0);
        if was_away {
            tracing::info!("the database answers again");
            (self.back)();
        }
    }

    fn left_unanswered(&self) {
        if self.is_well() {
            tracing::warn!("the database does not answer");
        }
        self.state.send_modify(|state| {
            *state = State { failures: state.failures.saturating_add(1), failed_at: Some(Instant::now()) };
        });
    }

    /// Whether the last question was answered.
    pub(super) fn is_well(&self) -> bool {
        self.state.borrow().failures == 0
    }

    fn is_away(&self) -> bool {
        self.state.borrow().failures >= AWAY_AFTER
    }

    /// The answer, unless the database is away already.
    pub(super) async fn unless_away<T, E: From<DbErr>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.is_away() { Err(lost().into()) } else { asked.await }
    }

    /// The answer, unless the database is away or goes away meanwhile.
    pub(super) async fn unless_lost<T, E: From<DbErr>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.is_away() {
            return Err(lost().into());
        }
        tokio::select! {
            biased;
            answer = asked => answer,
            () = self.lost() => Err(lost().into()),
        }
    }

    /// Ends when it is away, or has been in trouble since now and that is some time ago.
    async fn lost(&self) {
        let asked_at = Instant::now();
        let mut states = self.state.subscribe();
        let is_away = |state: &State| state.failures >= AWAY_AFTER;
        let in_trouble = |state: &State| state.failed_at.is_some_and(|failed_at| failed_at > asked_at);
        drop(states.wait_for(in_trouble).await); // the sender is `self`
        drop(tokio::time::timeout_at(asked_at + PATIENCE, states.wait_for(is_away)).await);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("state", &self.state).finish_non_exhaustive()
    }
}

fn lost() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the database does not answer".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(600);

    fn watch() -> Watch {
        let (state, stop) = (watch::Sender::default(), CancellationToken::new());
        Watch { state, stop, back: Box::new(|| {}) }
    }

    async fn ask(watch: &Watch, answer_after: Duration) -> (bool, Duration) {
        let begun = Instant::now();
        let answer = async {
            tokio::time::sleep(answer_after).await;
            Ok::<_, DbErr>(())
        };
        let answered = watch.unless_lost(answer).await.is_ok();
        (answered, begun.elapsed())
    }

    /// Asks, and then this happens.
    async fn ask_and(watch: &Watch, answer_after: Duration, answered: bool) -> (bool, Duration) {
        let happens = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if answered { watch.answered() } else { watch.left_unanswered() }
        };
        tokio::join!(ask(watch, answer_after), happens).0
    }

    #[tokio::test]
    async fn slow_statements_of_a_responsive_database_finish() {
        let (answered, took) = ask_and(&watch(), PATIENCE * 5 / 4, true).await;
        assert!(answered && took >= PATIENCE * 5 / 4, "{took:?}");
    }

    #[tokio::test]
    async fn pending_statements_fail_fast_once_the_database_is_down() {
        let watch = watch();
        let (answered, took) = ask_and(&watch, NEVER, false).await;
        assert!(!answered && (PATIENCE..PATIENCE * 5 / 4).contains(&took), "{took:?}");
        // The second question that is not answered.
        let (answered, took) = ask_and(&watch, NEVER, false).await;
        assert!(!answered && took < PATIENCE / 2, "{took:?}");
        assert!(!ask(&watch, Duration::ZERO).await.0 && !watch.is_well());
        watch.answered();
        assert!(ask(&watch, Duration::ZERO).await.0 && watch.is_well());
    }

    #[tokio::test]
    async fn a_single_failed_ping_fails_no_quick_statement() {
        let watch = watch();
        assert!(ask_and(&watch, Duration::from_millis(200), false).await.0);
        assert!(ask_and(&watch, PATIENCE * 5 / 4, true).await.0);
    }

    #[tokio::test]
    async fn pings_go_on_until_the_watchdog_is_dropped() {
        let (asked, mut count) = (watch::Sender::new(0), 0);
        let mut seen = asked.subscribe();
        let ping = move || {
            count += 1;
            asked.send_replace(count);
            std::future::ready(count != 2)
        };
        let (back, mut returned) = watch::channel(());
        let watch = Watch::start(ping, move || back.send_replace(()));
        tokio::time::timeout(PATIENCE, returned.changed()).await.expect("it fails once").unwrap();
        assert!(watch.is_well());
        drop(watch);
        let ended = async { while seen.changed().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("nobody is asked any more");
    }
}
