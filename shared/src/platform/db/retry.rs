//! Retrying transactions that PostgreSQL aborted because of others.

use crate::base::error::Result;

/// How often a transaction is tried before its conflict with others is reported.
const MAX_ATTEMPTS: usize = 5;

/// Runs a whole transaction, and runs it again if PostgreSQL aborts it because of a deadlock or a serialization failure.
pub(crate) async fn retry_on_conflict<T, F: Future<Output = Result<T>>>(run: impl Fn() -> F) -> Result<T> {
    for _ in 1..MAX_ATTEMPTS {
        match run().await {
            Err(error) if error.is_deadlock_or_serialization_failure() => {
                tracing::info!(error = error.chain(), "transaction aborted by a conflict; retrying");
            }
            done => return done,
        }
    }
    run().await
}
