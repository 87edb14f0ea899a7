//! The error of the application: its variants differ in what a caller can do about them.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why an operation failed. The API turns it into a problem body; the worker retries if it [is transient](Error::is_transient).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or the caller may not know that it does.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The current state forbids it.
    #[error("{message}")]
    Conflict {
        /// For clients to branch on: stable, in snake case.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// It existed and has been removed.
    #[error("{0}")]
    Gone(String),
    /// The input is not valid.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// Mail address or password is wrong.
    #[error("the mail address or the password is wrong")]
    WrongCredentials,
    /// The caller is not logged in, or not any more.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller is logged in but may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller may do this, but has to confirm it with their password.
    #[error("{message}")]
    Unconfirmed {
        /// For clients to branch on: stable, in snake case.
        code: &'static str,
        /// For people.
        message: &'static str,
    },
    /// It has changed since the caller last read it.
    #[error("it has changed since you read it; read it again")]
    Changed,
    /// The Idempotency-Key belongs to a different request.
    #[error("this Idempotency-Key was used for another request; use a new one")]
    KeyReused,
    /// The caller has used up a rate limit.
    #[error("too many requests")]
    RateLimited {
        /// When the next call is allowed.
        retry_after: Duration,
    },
    /// The process is at capacity.
    #[error("the server is at capacity; try again")]
    Overloaded,
    /// Another system rejected it for now and may accept it in minutes or hours.
    #[error("{0}")]
    Deferred(String),
    /// Another system is away, for this and everything else; it is tried again when the system is back.
    #[error("{0}")]
    Held(String),
    /// A job cannot succeed, however often it is retried.
    #[error("{0}")]
    Permanent(String),
    /// A dependency is down or overloaded; a retry may succeed.
    #[error("a required service is not available")]
    Unavailable(#[source] anyhow::Error),
    /// A bug.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// What is wrong with a field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) into the body, or the name of a parameter.
    pub pointer: String,
    /// The rule that it breaks, such as "must be a whole number".
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

/// The result of most functions in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A [`Error::Conflict`].
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into() }
    }

    /// An [`Error::Invalid`] with one field.
    pub fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    /// The same error for another caller of a shared call.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        match self {
            Self::NotFound(what) => Self::NotFound(what),
            Self::Conflict { code, message } => Self::Conflict { code, message: message.clone() },
            Self::Gone(text) => Self::Gone(text.clone()),
            Self::Invalid(fields) => Self::Invalid(fields.clone()),
            Self::WrongCredentials => Self::WrongCredentials,
            Self::Unauthenticated(text) => Self::Unauthenticated(text),
            Self::Forbidden(text) => Self::Forbidden(text),
            Self::Unconfirmed { code, message } => Self::Unconfirmed { code, message },
            Self::Changed => Self::Changed,
            Self::KeyReused => Self::KeyReused,
            Self::RateLimited { retry_after } => Self::RateLimited { retry_after: *retry_after },
            Self::Overloaded => Self::Overloaded,
            Self::Deferred(text) => Self::Deferred(text.clone()),
            Self::Held(text) => Self::Held(text.clone()),
            Self::Permanent(text) => Self::Permanent(text.clone()),
            Self::Unavailable(source) => Self::Unavailable(anyhow::anyhow!("{source:#}")),
            Self::Internal(source) => Self::Internal(anyhow::anyhow!("{source:#}")),
        }
    }

    /// Whether the same thing may succeed when it is tried again later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Internal(_)
                | Self::RateLimited { .. }
                | Self::Overloaded
                | Self::Deferred(_)
                | Self::Held(_)
        )
    }

    /// The same error with a context, which [`Self::chain`] shows in front of the cause.
    #[must_use]
    pub fn context(self, context: String) -> Self {
        match self {
            Self::Unavailable(source) => Self::Unavailable(source.context(context)),
            Self::Internal(source) => Self::Internal(source.context(context)),
            other => other,
        }
    }

    /// Whether a database cannot be used until an operator corrects something, such as the password, the name of the
    /// database or the permissions of a file.
    pub(crate) fn is_misconfiguration(&self) -> bool {
        let (Self::Unavailable(source) | Self::Internal(source)) = self else { return false };
        let driver = source.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>());
        match driver {
            Some(sqlx::Error::Database(error)) => {
                is_permanent_code(error.code().as_deref().unwrap_or_default())
            }
            Some(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::PermissionDenied,
            _ => false,
        }
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
        let is_outage = is_outage(&error);
        let error = anyhow::Error::new(error).context("database");
        if is_outage { Self::Unavailable(error) } else { Self::Internal(error) }
    }
}

/// The SQLSTATE of PostgreSQL, or the result code of SQLite.
fn code(error: &DbErr) -> Option<std::borrow::Cow<'_, str>> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()?.code()
}

/// Whether the database cannot be reached or is overloaded, rather than rejecting the statement.
fn is_outage(error: &DbErr) -> bool {
    let driver = match error {
        DbErr::ConnectionAcquire(_) => return true,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => error,
        other => return matches!(other, DbErr::Conn(_)),
    };
    match &**driver {
        sqlx::Error::Database(error) => is_transient_code(error.code().as_deref().unwrap_or_default()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// PostgreSQL: lost connections, no resources, shutdown or timeout, a failing disk, read-only, an idle transaction ended,
/// lock timeout, deadlock, serialization failure. SQLite: busy, locked, read-only, a failing or full disk, or a file that
/// cannot be opened, also as extended codes.
fn is_transient_code(code: &str) -> bool {
    let classes = ["08", "53", "57", "58", "25006", "25P03", "55P03", "40P01", "40001"];
    let postgres = classes.iter().any(|class| code.starts_with(class));
    let sqlite = code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14));
    if code.len() == 5 { postgres } else { sqlite }
}

/// PostgreSQL: wrong password, no such role or database, no permission. SQLite: no permission, read-only, cannot be opened,
/// not a database.
fn is_permanent_code(code: &str) -> bool {
    let sqlite = code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 3 | 8 | 14 | 23 | 26));
    if code.len() == 5 {
        ["28", "3D000", "42501"].iter().any(|class| code.starts_with(class))
    } else {
        sqlite
    }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Unavailable(anyhow::Error::new(error).context("redis"))
    }
}

#[cfg(test)]
mod tests {
    use super::{is_permanent_code, is_transient_code};

    #[test]
    fn outages_are_distinguished_from_rejections() {
        for code in ["08006", "53300", "57P01", "57014", "58030", "25006", "25P03", "55P03", "40P01", "40001"]
        {
            assert!(is_transient_code(code), "{code}");
        }
        // Busy, locked, read-only, I/O error, full, cannot open; the others are extended codes of these.
        for code in ["5", "6", "8", "10", "13", "14", "261", "517", "1032", "266"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["28P01", "28000", "3D000", "42501", "8", "14", "26", "1032"] {
            assert!(is_permanent_code(code), "{code}");
        }
        for code in ["08006", "57P03", "53300", "5", "13"] {
            assert!(!is_permanent_code(code), "{code}");
        }
        for code in ["23505", "23P01", "42P01", "25P02", "22021", "", "1", "11", "19", "2067", "1811", "787"]
        {
            assert!(!is_transient_code(code), "{code}");
        }
    }
}
