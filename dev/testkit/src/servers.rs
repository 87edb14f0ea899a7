//! One Redis and one PostgreSQL for all tests of a binary, started when first needed.

use std::sync::atomic::{AtomicU32, Ordering};

use devstack::{PgBouncer, Postgres, Redis};
use shared::platform::db::Db;
use tokio::sync::OnceCell;

/// The database that a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A separate file.
    Sqlite,
    /// A separate database in the shared server.
    Postgres,
}

/// The Redis that tests share, each with a separate key prefix.
pub async fn redis() -> &'static Redis {
    static REDIS: OnceCell<Redis> = OnceCell::const_new();
    REDIS.get_or_init(|| async { Redis::start().await.expect("Redis starts") }).await
}

/// The PostgreSQL server that tests share. It runs without fsync, as no test pulls the plug.
pub async fn postgres() -> &'static Postgres {
    static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
    POSTGRES
        .get_or_init(|| async {
            Postgres::start_with(&["-c", "fsync=off"]).await.expect("PostgreSQL starts")
        })
        .await
}

/// Creates a database with the schema, as a copy of one that was migrated once.
pub(crate) async fn fresh_database() -> String {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = postgres().await;
    TEMPLATE
        .get_or_init(|| async {
            let url = server.create_database("template_parkade").await.expect("a database");
            let db = Db::connect(&url, 2).await.expect("the database responds");
            db.migrate(crate::for_migrations()).await.expect("the template can be migrated");
            db.close().await;
        })
        .await;
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    server
        .query("postgres", &format!("CREATE DATABASE {name} TEMPLATE template_parkade"))
        .await
        .expect("a copy of the template");
    url(&name).await
}

/// The URL of a database. With `PARKADE_TEST_PGBOUNCER` set, it leads through a PgBouncer in transaction mode.
async fn url(name: &str) -> String {
    static BOUNCER: OnceCell<PgBouncer> = OnceCell::const_new();
    let server = postgres().await;
    if std::env::var_os("PARKADE_TEST_PGBOUNCER").is_none() {
        return server.url(name);
    }
    let start = || async { PgBouncer::start(server, 8, &[]).await.expect("PgBouncer starts") };
    BOUNCER.get_or_init(start).await.url(name)
}
