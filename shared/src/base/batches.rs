//! Batches of items that are added concurrently.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;

/// Collects items while a batch is processed; they are the next batch. Nothing waits for a batch to fill. Cheap to clone.
pub struct Batches<I> {
    pending: Arc<Mutex<Pending<I>>>,
}

struct Pending<I> {
    items: Vec<I>,
    is_processing: bool,
}

impl<I> Clone for Batches<I> {
    fn clone(&self) -> Self {
        Self { pending: self.pending.clone() }
    }
}

impl<I> Default for Batches<I> {
    fn default() -> Self {
        Self { pending: Arc::new(Mutex::new(Pending { items: Vec::new(), is_processing: false })) }
    }
}

impl<I> std::fmt::Debug for Batches<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("pending", &self.pending.lock().items.len()).finish()
    }
}

impl<I: Send + 'static> Batches<I> {
    /// Adds items. If none are being processed, `process` starts, and continues until there are no more. A batch whose
    /// processing panics is dropped.
    ///
    /// Returns the future that processes them, which the caller spawns.
    pub fn add<F, Fut>(
        &self,
        items: Vec<I>,
        process: F,
    ) -> Option<impl Future<Output = ()> + Send + use<I, F, Fut>>
    where
        F: Fn(Vec<I>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let mut pending = self.pending.lock();
        pending.items.extend(items);
        if std::mem::replace(&mut pending.is_processing, true) {
            return None;
        }
        let processing = Processing(self.pending.clone());
        Some(async move {
            while let Some(items) = processing.next() {
                process(items).await;
            }
        })
    }
}

/// Ends when there are no more items, or when it is dropped.
struct Processing<I>(Arc<Mutex<Pending<I>>>);

impl<I> Processing<I> {
    fn next(&self) -> Option<Vec<I>> {
        let mut pending = self.0.lock();
        let items = std::mem::take(&mut pending.items);
        pending.is_processing = !items.is_empty();
        pending.is_processing.then_some(items)
    }
}

impl<I> Drop for Processing<I> {
    fn drop(&mut self) {
        let mut pending = self.0.lock();
        if std::thread::panicking() {
            pending.items.clear();
            pending.is_processing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn items_that_arrive_meanwhile_are_the_next_batch() {
        let (batches, done) = (Batches::default(), Arc::new(Mutex::new(Vec::new())));
        let add = |items: Vec<u8>| {
            let done = done.clone();
            batches.add(items, move |items| {
                let done = done.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    done.lock().push(items);
                }
            })
        };
        let first = tokio::spawn(add(vec![1]).expect("nothing is being processed"));
        tokio::task::yield_now().await;
        assert!(add(vec![2]).is_none() && add(vec![3, 4]).is_none());
        first.await.unwrap();
        assert_eq!(*done.lock(), [vec![1], vec![2, 3, 4]]);
        add(vec![5]).expect("the earlier processing has ended").await;
        assert_eq!(done.lock().len(), 3);
    }

    #[tokio::test]
    async fn a_panic_does_not_stop_later_batches() {
        let batches = Batches::default();
        let panics = batches.add(vec![1], |_| async { panic!("on purpose") }).unwrap();
        assert!(tokio::spawn(panics).await.is_err());
        batches.add(vec![2], |items| async move { assert_eq!(items, [2]) }).unwrap().await;
    }
}
