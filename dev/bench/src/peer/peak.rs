//! The most memory that some processes have used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::usage;

/// Rarely, because reading the memory of a process takes the kernel some time.
const INTERVAL: Duration = Duration::from_millis(300);

/// Watches processes until it is dropped.
pub struct Peak {
    most: Arc<AtomicU64>,
    _watching: JoinSet<()>,
}

impl Peak {
    /// Watches these processes and their descendants.
    pub fn of(roots: Vec<u32>) -> Self {
        let (most, mut watching) = (Arc::<AtomicU64>::default(), JoinSet::new());
        let shared = Arc::clone(&most);
        watching.spawn(async move {
            loop {
                shared.fetch_max(usage::memory(&usage::family(&roots)), Ordering::Relaxed);
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { most, _watching: watching }
    }

    pub fn bytes(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}
