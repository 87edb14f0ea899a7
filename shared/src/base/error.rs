//! The one error of the domain: what went wrong, told apart by what a caller can do about it.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why an operation did not happen.
///
/// The API turns it into a problem body, the worker asks [`Error::is_transient`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thing does not exist, or the caller may not know that it does.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The state of things forbids it; `code` is stable and in snake case.
    #[error("{message}")]
    Conflict {
        /// What a client can branch on.
        code: &'static str,
        /// What a person reads.
        message: String,
    },
    /// The thing was there and has gone for good.
    #[error("{0}")]
    Gone(String),
    /// The input is wrong; one entry a field.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// Nobody, or nobody any more, is logged in.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Somebody is logged in who may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The thing is not any more as the caller last saw it.
    #[error("it was changed meanwhile; read it again")]
    Changed,
    /// The key of an earlier request came with another one.
    #[error("this Idempotency-Key was used for another request; take a new one")]
    KeyReused,
    /// Too many calls.
    #[error("too many requests")]
    RateLimited {
        /// How long to wait before the next call.
        retry_after: Duration,
    },
    /// More at once than can be done soon.
    #[error("too much at once; try again")]
    Overloaded,
    /// A job's work was cut short on purpose; see `jobs::Interruption`.
    #[error("interrupted")]
    Interrupted,
    /// Something the job needs will never be right, however often it is tried.
    #[error("{0}")]
    Permanent(String),
    /// A dependency is away or overloaded; later it may work.
    #[error("a service that is needed is not available")]
    Unavailable(#[source] anyhow::Error),
    /// A defect of ours.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// What is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or the parameter's name.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.trim_start_matches('/') {
            "" => f.write_str(&self.message),
            field => write!(f, "{field} {}", self.message),
        }
    }
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A conflict with the code by which clients know it.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into() }
    }

    /// One wrong field.
    pub fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    /// The same error for another caller who waited for the same thing.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::NotFound(what) => Self::NotFound(what),
            Self::Conflict { code, message } => Self::Conflict { code, message: message.clone() },
            Self::Gone(text) => Self::Gone(text.clone()),
            Self::Invalid(fields) => Self::Invalid(fields.clone()),
            Self::Unauthenticated(text) => Self::Unauthenticated(text),
            Self::Forbidden(text) => Self::Forbidden(text),
            Self::Changed => Self::Changed,
            Self::KeyReused => Self::KeyReused,
            Self::RateLimited { retry_after } => Self::RateLimited { retry_after: *retry_after },
            Self::Overloaded => Self::Overloaded,
            Self::Interrupted => Self::Interrupted,
            Self::Permanent(text) => Self::Permanent(text.clone()),
            Self::Unavailable(source) => Self::Unavailable(anyhow::anyhow!("{source:#}")),
            Self::Internal(source) => Self::Internal(anyhow::anyhow!("{source:#}")),
        }
    }

    /// Whether the same thing may succeed when it is tried again later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Internal(_) | Self::RateLimited { .. } | Self::Overloaded)
    }

    /// Whether PostgreSQL aborted the transaction in favour of another one, so that a retry may succeed.
    pub(crate) fn is_deadlock_or_serialization_failure(&self) -> bool {
        let Self::Unavailable(cause) = self else { return false };
        let code = cause.downcast_ref::<DbErr>().and_then(code);
        code.is_some_and(|code| ["40P01", "40001"].contains(&&*code))
    }

    /// The error with its causes, for logs and the ledger, never for clients.
    #[must_use]
    pub fn chain(&self) -> String {
        match self {
            Self::Unavailable(source) | Self::Internal(source) => format!("{self}: {source:#}"),
            other => other.to_string(),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let away = is_away(&error);
        let error = anyhow::Error::new(error).context("database");
        if away { Self::Unavailable(error) } else { Self::Internal(error) }
    }
}

/// What the database calls the error.
fn code(error: &DbErr) -> Option<std::borrow::Cow<'_, str>> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()?.code()
}

/// Whether the database cannot be reached or is overloaded, rather than refusing what it was told.
fn is_away(error: &DbErr) -> bool {
    let driver = match error {
        DbErr::ConnectionAcquire(_) => return true,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => error,
        other => return matches!(other, DbErr::Conn(_)),
    };
    match &**driver {
        sqlx::Error::Database(error) => is_passing(error.code().as_deref().unwrap_or_default()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// SQLSTATE of PostgreSQL: lost connections, no resources, shutdown or timeout, lock timeout, deadlock, conflict of
/// snapshots. Result code of SQLite: busy, locked or no room on the disk, also in their extended forms.
fn is_passing(code: &str) -> bool {
    let postgres = ["08", "53", "57", "55P03", "40P01", "40001"].iter().any(|sign| code.starts_with(sign));
    let sqlite = code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 13));
    if code.len() == 5 { postgres } else { sqlite }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Unavailable(anyhow::Error::new(error).context("redis"))
    }
}

#[cfg(test)]
mod tests {
    use super::is_passing;

    #[test]
    fn an_outage_is_told_from_a_refusal() {
        for code in
            ["08006", "53300", "57P01", "57014", "55P03", "40P01", "40001", "5", "6", "13", "261", "517"]
        {
            assert!(is_passing(code), "{code}");
        }
        for code in ["23505", "23P01", "42P01", "22021", "", "1", "19", "2067", "1811", "787"] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
