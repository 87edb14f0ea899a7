//! Many callers who want the same thing at once are served by one call.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Callers by what they want. While a call is under way, those who come later wait for the next one, so nobody is
/// answered by a call that began before they asked.
pub struct Coalesce<T> {
    lanes: Arc<Lanes<T>>,
}

type Lanes<T> = Mutex<HashMap<String, Vec<oneshot::Sender<T>>>>;

impl<T> Default for Coalesce<T> {
    fn default() -> Self {
        Self { lanes: Arc::default() }
    }
}

impl<T: Send + 'static> Coalesce<T> {
    /// What `call` answers for `key`. It is told how many callers it answers, and has an answer for each.
    /// `None` when it panicked.
    pub async fn join<F, Fut>(&self, key: &str, call: F) -> Option<T>
    where
        F: Fn(usize) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<T>> + Send,
    {
        let (sender, receiver) = oneshot::channel();
        let is_first = match locked(&self.lanes).entry(key.to_owned()) {
            Entry::Occupied(mut lane) => {
                lane.get_mut().push(sender);
                false
            }
            Entry::Vacant(lane) => {
                lane.insert(vec![sender]);
                true
            }
        };
        if is_first {
            // A task of its own, because the first caller may go away.
            let lane = Lane { lanes: self.lanes.clone(), key: key.to_owned() };
            tokio::spawn(async move {
                while let Some(waiting) = lane.next() {
                    let answers = call(waiting.len()).await;
                    for (caller, answer) in waiting.into_iter().zip(answers) {
                        drop(caller.send(answer));
                    }
                }
            });
        }
        receiver.await.ok()
    }
}

/// A lane that is being served; it is closed when its server ends, also by a panic.
struct Lane<T> {
    lanes: Arc<Lanes<T>>,
    key: String,
}

impl<T> Lane<T> {
    /// Everybody who has come since the last call; `None`, and the lane is closed, when nobody has.
    fn next(&self) -> Option<Vec<oneshot::Sender<T>>> {
        let mut lanes = locked(&self.lanes);
        let waiting = std::mem::take(lanes.get_mut(&self.key)?);
        if waiting.is_empty() {
            lanes.remove(&self.key);
            return None;
        }
        Some(waiting)
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            locked(&self.lanes).remove(&self.key);
        }
    }
}

fn locked<T>(lanes: &Lanes<T>) -> MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<T>>>> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn callers_share_calls_that_begin_after_they_asked() {
        let (coalesce, calls) = (Coalesce::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let calls = calls.clone();
            coalesce.join("key", move |callers| {
                let number = calls.fetch_add(1, Ordering::SeqCst);
                async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    vec![(number, callers); callers]
                }
            })
        };
        let late = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            tokio::join!(ask(), ask(), ask())
        };
        let (first, late) = tokio::join!(ask(), late);
        assert_eq!(first, Some((0, 1)));
        assert_eq!(late, (Some((1, 3)), Some((1, 3)), Some((1, 3))));
        assert_eq!(ask().await, Some((2, 1)));
        assert!(locked(&coalesce.lanes).is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_nobodys_answer_and_closes_the_lane() {
        let coalesce: Coalesce<u8> = Coalesce::default();
        let panics = coalesce.join("key", |_| async { panic!("on purpose") });
        assert_eq!(panics.await, None);
        assert_eq!(coalesce.join("key", |callers| async move { vec![7; callers] }).await, Some(7));
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_does_not_take_the_others_along() {
        let coalesce = Arc::new(Coalesce::default());
        let slow = |callers: usize| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            vec![1; callers]
        };
        let first = tokio::time::timeout(Duration::from_millis(5), coalesce.join("key", slow));
        let second = async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            coalesce.join("key", slow).await
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!(second, Some(1));
    }
}
