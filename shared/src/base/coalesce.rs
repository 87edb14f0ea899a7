//! Sharing one call between concurrent callers with the same key.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Waiting callers by key. Callers that arrive during a call share the next one, so no caller gets the result of a call that
/// started before its request.
pub struct Coalesce<T> {
    waiting: Arc<Waiting<T>>,
}

type Waiting<T> = Mutex<HashMap<String, Vec<oneshot::Sender<T>>>>;

impl<T> Default for Coalesce<T> {
    fn default() -> Self {
        Self { waiting: Arc::default() }
    }
}

impl<T: Send + 'static> Coalesce<T> {
    /// The result of `call`, which gets the number of its callers and returns a result for each. `None` if it panicked.
    pub async fn join<F, Fut>(&self, key: &str, call: F) -> Option<T>
    where
        F: Fn(usize) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<T>> + Send,
    {
        let (sender, receiver) = oneshot::channel();
        let is_first = match self.waiting.lock().entry(key.to_owned()) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(sender);
                false
            }
            Entry::Vacant(entry) => {
                entry.insert(vec![sender]);
                true
            }
        };
        if is_first {
            // A separate task, because the first caller may be dropped.
            let callers = Callers { waiting: self.waiting.clone(), key: key.to_owned() };
            tokio::spawn(async move {
                while let Some(waiting) = callers.next() {
                    let results = call(waiting.len()).await;
                    for (caller, result) in waiting.into_iter().zip(results) {
                        drop(caller.send(result));
                    }
                }
            });
        }
        receiver.await.ok()
    }
}

/// The callers with one key, while a task serves them; removed when the task ends or panics.
struct Callers<T> {
    waiting: Arc<Waiting<T>>,
    key: String,
}

impl<T> Callers<T> {
    /// Takes the callers that have arrived since the last call; `None`, and the key is removed, if there are none.
    fn next(&self) -> Option<Vec<oneshot::Sender<T>>> {
        let mut all = self.waiting.lock();
        let waiting = std::mem::take(all.get_mut(&self.key)?);
        if waiting.is_empty() {
            all.remove(&self.key);
            return None;
        }
        Some(waiting)
    }
}

impl<T> Drop for Callers<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.waiting.lock().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn callers_share_only_calls_that_start_after_they_asked() {
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
        assert!(coalesce.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn a_panic_yields_no_result_and_removes_the_key() {
        let coalesce: Coalesce<u8> = Coalesce::default();
        let panics = coalesce.join("key", |_| async { panic!("on purpose") });
        assert_eq!(panics.await, None);
        assert_eq!(coalesce.join("key", |callers| async move { vec![7; callers] }).await, Some(7));
    }

    #[tokio::test]
    async fn a_dropped_caller_does_not_cancel_the_others() {
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
