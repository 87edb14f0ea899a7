//! How sessions are set up, with a server of our own and behind a pooler that shares sessions, such as PgBouncer in
//! transaction mode.

use sea_orm::sqlx::{AssertSqlSafe, Error, Executor, PgConnection, Row, postgres::PgConnectOptions};

/// Milliseconds that a statement waits for a row lock. The server looks for deadlocks after a second. With the time for a
/// connection, a caller waits less than 3 seconds.
pub(in crate::platform::db) const LOCK_TIMEOUT: &str = "1400";

/// Settings of every session.
const SETTINGS: [(&str, &str); 9] = [
    ("timezone", "UTC"),
    ("lock_timeout", LOCK_TIMEOUT),
    // Compiling a report's statement takes longer than running it.
    ("jit", "off"),
    // Without statistics, as after an installation, PostgreSQL would rather collect and sort all spots of a lot than walk an
    // index until it finds a free one.
    ("enable_bitmapscan", "off"),
    // A statement is planned once on each connection. Otherwise PostgreSQL plans a booking anew for each of its values, which
    // takes longer than running it.
    ("plan_cache_mode", "force_generic_plan"),
    // The server drops the locks of a client that vanished in the middle of a transaction, and soon its connection.
    ("idle_in_transaction_session_timeout", "5000"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// A setting that only a server knows that got the options of our own startup packet.
const MARK: (&str, &str) = ("parkade.session", "own");

/// What each transaction begins with where sessions are shared. Names of prepared statements are numbers, which other
/// clients of the same session use too.
const BEGIN_SHARED: &[&str] = &[
    "DEALLOCATE ALL",
    "SET LOCAL lock_timeout = 1400; SET LOCAL jit = off; SET LOCAL enable_bitmapscan = off; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL idle_in_transaction_session_timeout = 5000",
];

/// Likewise for transactions whose commits do not wait for the server's disk.
const BEGIN_SHARED_RELAXED: &[&str] = &[
    "DEALLOCATE ALL",
    "SET LOCAL lock_timeout = 1400; SET LOCAL jit = off; SET LOCAL enable_bitmapscan = off; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL idle_in_transaction_session_timeout = 5000;
     SET LOCAL synchronous_commit = off",
];

/// Whose the sessions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sessions {
    /// Each connection has one.
    Own,
    /// A pooler lends one to each transaction.
    Shared,
}

impl Sessions {
    /// The options of a connection.
    pub(super) fn options(self, host: &PgConnectOptions) -> PgConnectOptions {
        let options = host.clone().application_name("parkade");
        match self {
            Self::Own => options.options(SETTINGS).options([MARK]),
            // PgBouncer refuses both parameters, and forgets which session has prepared what.
            Self::Shared => options.extra_float_digits(None).statement_cache_capacity(0),
        }
    }

    /// Those of a connection whose commits do not wait for the server's disk.
    pub(super) fn relaxed(self, options: &PgConnectOptions) -> PgConnectOptions {
        match self {
            Self::Own => options.clone().options([("synchronous_commit", "off")]),
            Self::Shared => options.clone(),
        }
    }

    /// What transactions of the main and the relaxed pool begin with. `None` if single statements need no transaction.
    pub(super) const fn preludes(self) -> [Option<&'static [&'static str]>; 2] {
        match self {
            Self::Own => [None; 2],
            Self::Shared => [Some(BEGIN_SHARED), Some(BEGIN_SHARED_RELAXED)],
        }
    }
}

/// Whether connecting failed because a pooler refuses options in the startup packet.
pub(super) fn refuses_options(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("startup parameter"))
}

/// Whether the options of our startup packet are in effect. A pooler may ignore them.
pub(super) async fn is_own(connection: &mut PgConnection) -> Result<bool, Error> {
    let query = format!("SELECT COALESCE(current_setting('{}', true), '')", MARK.0);
    let row = connection.fetch_one(AssertSqlSafe(query)).await?;
    Ok(row.try_get_unchecked::<String, _>(0)? == MARK.1)
}

/// Fails unless the server can be written to: it may be a standby, or a primary that an operator has made read-only.
pub(super) async fn require_writable(connection: &mut PgConnection) -> Result<(), Error> {
    let row = connection.fetch_one("SHOW transaction_read_only").await?;
    match row.try_get_unchecked::<String, _>(0)?.as_str() {
        "off" => Ok(()),
        _ => Err(Error::Io(std::io::Error::other("the server is read-only"))),
    }
}
