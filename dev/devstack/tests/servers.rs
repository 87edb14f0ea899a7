//! Redis and PostgreSQL start, crash, freeze and restart with their data.

use std::time::Duration;

use anyhow::{Result, ensure};
use devstack::{Postgres, Redis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(300);

/// Sends commands on a new connection and returns the raw replies.
async fn redis(server: &Redis, commands: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
    stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

#[tokio::test]
async fn a_killed_redis_restarts_with_its_data() -> Result<()> {
    let mut server = Redis::start().await?;
    let (port, pid) = (server.port(), server.pid());
    assert_eq!(server.url(3), format!("redis://127.0.0.1:{port}/3"));
    assert_eq!(redis(&server, "SET plate ABC-123").await?, "+OK\r\n+OK\r\n");

    server.kill().await?;
    assert!(redis(&server, "PING").await.is_err(), "a killed server answers");
    server.restart().await?;

    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert!(redis(&server, "GET plate").await?.starts_with("$7\r\nABC-123\r\n"));
    let config = redis(&server, "CONFIG GET appendfsync\r\nCONFIG GET save").await?;
    assert!(config.contains("everysec"), "{config}");
    assert!(config.contains("save\r\n$0\r\n"), "{config}");

    server.flush_all().await?;
    assert!(redis(&server, "DBSIZE").await?.starts_with(":0\r\n"));
    Ok(())
}

#[tokio::test]
async fn a_paused_redis_does_not_reply_until_resumed() -> Result<()> {
    let server = Redis::start().await?;
    server.pause()?;
    assert!(timeout(SHORT, redis(&server, "PING")).await.is_err(), "a paused server answers");
    server.resume()?;
    assert!(timeout(Duration::from_secs(5), redis(&server, "PING")).await??.starts_with("+PONG"));
    Ok(())
}

#[tokio::test]
async fn a_given_directory_keeps_its_data() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let first = Redis::start_in(&data).await?;
    redis(&first, "SET kept yes").await?;
    drop(first);
    let second = Redis::start_in(&data).await?;
    assert!(redis(&second, "GET kept").await?.starts_with("$3\r\nyes"));
    Ok(())
}

#[tokio::test]
async fn dropping_a_server_ends_it_and_removes_its_files() -> Result<()> {
    // Spawned to prove that the future is Send.
    let server = tokio::spawn(Redis::start()).await??;
    let (port, pid) = (server.port(), server.pid());
    let dir = std::fs::read_link(format!("/proc/{pid}/cwd"))?;
    let input = std::fs::read_link(format!("/proc/{pid}/fd/0"))?;
    assert_eq!(input.to_str(), Some("/dev/null"), "the owner's pipe leaked into the server");
    assert!(dir.join("redis.log").exists());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert!(!dir.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}

#[tokio::test]
async fn a_failed_start_reports_the_reason() -> Result<()> {
    let error = Postgres::start_with(&["-c", "max_connections=lots"]).await.err();
    let error = format!("{:#}", error.ok_or_else(|| anyhow::anyhow!("it started"))?);
    assert!(error.contains("invalid value for parameter \"max_connections\""), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_killed_postgres_restarts_with_its_data() -> Result<()> {
    let mut server = Postgres::start().await?;
    let url = server.create_database("parkade \"x\"").await?;
    assert!(url.starts_with("postgres://postgres@127.0.0.1:"), "{url}");
    let url = server.create_database("parkade").await?;

    let psql = std::process::Command::new(server.bin("psql")).args(["-XAtc", "select 1", &url]).output()?;
    ensure!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
    assert_eq!(String::from_utf8_lossy(&psql.stdout), "1\n");
    assert!(server.bin("pgbench").is_file());
    let settings = "select string_agg(setting, ',' order by name) from pg_settings \
                    where name in ('fsync', 'max_connections', 'server_encoding', 'lc_collate')";
    assert_eq!(server.query("parkade", settings).await?, "on,C,200,UTF8");
    server
        .query("parkade", "create extension btree_gist; create table plates as select 'ABC' as plate")
        .await?;

    // A busy backend must not outlive the crash.
    let busy = server.query("parkade", "select pg_sleep(60)");
    assert!(timeout(SHORT, busy).await.is_err());
    server.kill().await?;
    assert!(server.query("parkade", "select 1").await.is_err(), "a killed server answers");
    server.restart().await?;
    assert_eq!(server.query("parkade", "select plate from plates").await?, "ABC");

    server.create_database("parkade").await?;
    let error =
        server.query("parkade", "select plate from plates").await.err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.contains("does not exist")), "the old database is still there");
    Ok(())
}

#[tokio::test]
async fn a_paused_postgres_freezes_its_backends_too() -> Result<()> {
    let server = Postgres::start_with(&["-c", "fsync=off"]).await?;
    assert_eq!(server.query("postgres", "show fsync").await?, "off");
    let sleeping = server.query("postgres", "select pg_sleep(0.5)");
    let paused = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.pause()
    };
    let (slept, paused) = tokio::join!(timeout(Duration::from_millis(1500), sleeping), paused);
    paused?;
    assert!(slept.is_err(), "a backend of a paused server answers");
    server.resume()?;
    assert_eq!(timeout(Duration::from_secs(5), server.query("postgres", "select 1")).await??, "1");
    Ok(())
}
