//! The same rows for both systems: made in Parkade's database, and copied into the peer's.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use devstack::Postgres;
use tokio::process::Command;

use super::options::Options;

/// The database of both systems, each on a server of its own.
pub const DATABASE: &str = "parkade";

/// User 1 is an administrator, user 2 has the reservations that are exported, and the next ones are the load.
pub const ADMIN: i64 = 1;
pub const EXPORTER: i64 = 2;
pub const FIRST_DRIVER: i64 = 3;
const USERS: i64 = 5_000;
const SPOTS_PER_LOT: i64 = 300;

/// What the load uses must be free, so all stays are over. Those on a spot are evenly distributed over a year.
const SEED: &str = "
INSERT INTO lots (id, location_name, address, pincode, price_minor, number_of_slots, created_at, updated_at)
    SELECT n, 'Lot ' || n, n || ', Main Street, Mumbai', '400001', 2000 + 100 * n, {SPOTS_PER_LOT}, now(), now()
    FROM generate_series(1, {LOTS}) n;
INSERT INTO spots (id, lot_id, number)
    SELECT (lot - 1) * {SPOTS_PER_LOT} + number, lot, number
    FROM generate_series(1, {LOTS}) lot, generate_series(1, {SPOTS_PER_LOT}) number;
INSERT INTO users (id, username, username_key, name_key, email, email_key, mail_key, password_hash, role, created_at)
    SELECT n, name, name, name, mail, mail, mail, '{HASH}', CASE n WHEN {ADMIN} THEN 'admin' ELSE 'user' END, now()
    FROM generate_series(1, {USERS}) n, LATERAL (SELECT 'user ' || n AS name, 'user' || n || '@example.com' AS mail) named;
INSERT INTO reservations (id, user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at, hourly_rate_minor, cost_minor,
        transaction_id, transaction_key, payment_method, payment_state, paid_at, created_at)
    SELECT n + 1, CASE WHEN n < {EXPORTED} THEN {EXPORTER} ELSE {FIRST_DRIVER} + n % ({USERS} - 2) END, lot_id, id, 'completed',
        arrived, arrived, arrived + INTERVAL '90 minutes', 2500, 5000, 'TXN' || n, 'TXN' || n,
        (ARRAY['UPI', 'Card', 'Cash'])[1 + n % 3], 'paid', arrived + INTERVAL '90 minutes', arrived
    FROM generate_series(0, {RESERVATIONS} - 1) n JOIN spots ON id = 1 + n % {SPOTS},
        LATERAL (SELECT date_trunc('hour', now()) - INTERVAL '3 hours'
            - (n / {SPOTS}) * INTERVAL '365 days' / ({RESERVATIONS} / {SPOTS} + 1)
            - (n % 3600) * INTERVAL '1 second' AS arrived) time";

/// The columns that the peer has.
const COPIED: [(&str, &str); 4] = [
    ("users", "id, username, email, password_hash, role, phone_number, created_at"),
    ("lots", "id, location_name, address, pincode, price_minor, number_of_slots"),
    ("spots", "id, lot_id, number"),
    (
        "reservations",
        "id, user_id, lot_id, spot_id, state, arrived_at, left_at, hourly_rate_minor, cost_minor, transaction_id, \
         payment_method, created_at",
    ),
];

/// The mail address of a user.
pub fn email(user: i64) -> String {
    format!("user{user}@example.com")
}

/// Fills Parkade's database; every account gets this password hash.
pub async fn seed(ours: &Postgres, options: &Options, hash: &str) -> Result<()> {
    let spots = crate::stays::LOTS * SPOTS_PER_LOT;
    let mut text = SEED.to_owned();
    for (name, number) in [
        ("{SPOTS_PER_LOT}", SPOTS_PER_LOT),
        ("{LOTS}", crate::stays::LOTS),
        ("{SPOTS}", spots),
        ("{ADMIN}", ADMIN),
        ("{EXPORTER}", EXPORTER),
        ("{EXPORTED}", options.exported),
        ("{FIRST_DRIVER}", FIRST_DRIVER),
        ("{USERS}", USERS),
        ("{RESERVATIONS}", options.reservations.max(options.exported)),
    ] {
        text = text.replace(name, &number.to_string());
    }
    ours.query(DATABASE, &text.replace("{HASH}", hash)).await?;
    finish(ours).await
}

/// Copies the rows into the peer's empty database.
pub async fn copy(ours: &Postgres, peer: &Postgres) -> Result<()> {
    for (table, columns) in COPIED {
        let psql = |server: &Postgres, text: String| {
            let mut command = Command::new(server.bin("psql"));
            command.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-d", &server.url(DATABASE), "-c", &text]);
            command
        };
        let mut from = psql(ours, format!("COPY (SELECT {columns} FROM {table} ORDER BY id) TO STDOUT"));
        let mut from = from.stdout(Stdio::piped()).spawn().context("cannot run psql")?;
        let rows: Stdio = from.stdout.take().context("psql has no output")?.try_into()?;
        let mut to = psql(peer, format!("COPY {table} ({columns}) FROM STDIN"));
        ensure!(to.stdin(rows).status().await?.success(), "cannot copy {table}");
        ensure!(from.wait().await?.success(), "cannot read {table}");
    }
    finish(peer).await
}

/// Moves the sequences of ids past the rows, and makes statistics, as autovacuum would within a minute.
async fn finish(server: &Postgres) -> Result<()> {
    for (table, _) in COPIED {
        let text =
            format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT MAX(id) FROM {table}))");
        server.query(DATABASE, &text).await?;
    }
    server.query(DATABASE, "VACUUM ANALYZE").await?;
    Ok(())
}
