//! The processes of the demo: Redis, a mail server, the API and a worker, on a database with simulated data.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use devstack::{App, Mail, MailSink, Process, Redis};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{
    client::{Client, text},
    show::Show,
    state::State,
};

/// Accounts in the simulated data.
pub(super) const ADMIN: &str = "admin@parkade.test";
const DRIVER: &str = "driver@parkade.test";

const START_LIMIT: Duration = Duration::from_secs(60);
/// After SIGTERM, a worker may finish its jobs for up to 25 s.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);
const TAIL: usize = 20;
const MAILS: &str = "mails";

/// All running processes, which are killed when this is dropped.
pub(super) struct Stack {
    pub(super) client: Client,
    pub(super) sink: MailSink,
    state: State,
    folder: PathBuf,
    url: String,
    /// The accounts whose password is known.
    logins: Vec<&'static str>,
    worker: Process,
    api: Process,
    redis: Redis,
}

impl Stack {
    pub(super) async fn start(
        show: &Show,
        binaries: &Path,
        folder: PathBuf,
        port: u16,
        mut state: State,
        size: &str,
    ) -> Result<Self> {
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs)?;
        let redis = Redis::start_in(&folder.join("redis")).await?;
        show.line(&format!("Redis with an append-only file on 127.0.0.1:{}", redis.port()));
        let sink = MailSink::start().await?;
        show.line(&format!("mail server on {}", sink.addr()));
        let url = format!("http://127.0.0.1:{port}");
        let settings = settings(&state, &redis, &sink, port, &url);

        let api = binaries.join("parkade-api");
        if state.is_seeded() {
            show.line("using the data of an earlier run");
        } else {
            show.line(&format!("loading a simulated month ({size})"));
            show.line(&seed(&api, &settings, &folder, size, &state.secrets.password).await?);
            state.set_seeded()?;
        }
        let client = Client::new(&url)?;
        let api = App::spawn(&api, ["serve"], &settings, &folder, &logs.join("api.log"))?;
        ready(&api, &client).await?;
        show.line(&format!("parkade-api on {url}"));
        let worker = binaries.join("parkade-worker");
        let worker = App::spawn(&worker, ["run"], &settings, &folder, &logs.join("worker.log"))?;
        show.line("parkade-worker");
        let logins = working_logins(&client, &state.secrets.password).await;
        Ok(Self { client, sink, state, folder, url, logins, worker, api, redis })
    }

    /// Prints addresses, logins and folders.
    pub(super) fn introduce(&self, show: &Show) {
        show.title("Parkade is running");
        show.result("open", format!("{}/ui", self.url));
        let password = &self.state.secrets.password;
        for (role, email) in [("admin", ADMIN), ("driver", DRIVER)] {
            if self.logins.contains(&email) {
                show.result(role, format!("{email}  password {password}"));
            } else {
                show.result(role, format!("{email}  (password from before this demo)"));
            }
        }
        show.result("API", format!("{}/api, documented at {}/docs", self.url, self.url));
        show.result(
            "database",
            if self.state.database.contains('@') { "as given" } else { &self.state.database },
        );
        show.result("logs", self.folder.join("logs").display());
        show.result("mails", self.folder.join(MAILS).display());
        show.result("files", self.folder.display());
        println!();
    }

    /// Writes a mail to a file.
    pub(super) fn write_mail(&self, nth: usize, mail: &Mail) -> Result<PathBuf> {
        let folder = self.folder.join(MAILS);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let file = folder.join(format!("{:03}.eml", nth + 1));
        std::fs::write(&file, &mail.raw).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// A client with an administrator's session; `None` if the password is unknown.
    pub(super) async fn administrator(&self) -> Result<Option<Client>> {
        if !self.logins.contains(&ADMIN) {
            return Ok(None);
        }
        let body = json!({ "email": ADMIN, "password": self.state.secrets.password });
        let answer = self.client.post("/api/auth/login", &body, reqwest::StatusCode::OK).await?;
        Ok(Some(self.client.clone().with_token(text(&answer, "/token")?.to_owned())))
    }

    /// Waits until a process ends and returns its name.
    pub(super) async fn first_to_end(&self) -> &'static str {
        tokio::select! {
            _ = self.api.wait(FOREVER) => "parkade-api",
            _ = self.worker.wait(FOREVER) => "parkade-worker",
        }
    }

    /// The ends of the logs.
    pub(super) fn show_logs(&self, show: &Show) {
        for (name, process) in [("api.log", &self.api), ("worker.log", &self.worker)] {
            show.line(&format!("end of {}", self.folder.join("logs").join(name).display()));
            show.quote(&tail(process));
        }
    }

    /// Stops everything, first the processes that depend on others.
    pub(super) async fn stop(self, show: &Show) {
        for (name, process) in [("parkade-worker", &self.worker), ("parkade-api", &self.api)] {
            let ended = match process.terminate() {
                Ok(()) => process.wait(STOP_LIMIT).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(Some(0)) => show.line(&format!("{name} stopped")),
                Ok(code) => show.line(&format!("{name} exited with {code:?}")),
                Err(error) => show.line(&format!("{name}: {error:#}")),
            }
        }
        // Gives Redis the chance to write its file; it is killed with this process otherwise.
        if let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.redis.port())).await {
            let _ = connection.write_all(b"SHUTDOWN\r\n").await;
            let _ = tokio::time::timeout(Duration::from_secs(5), connection.readable()).await;
        }
        show.line("Redis and the mail server stopped");
    }
}

/// The settings that differ from the defaults.
fn settings(
    state: &State,
    redis: &Redis,
    sink: &MailSink,
    port: u16,
    url: &str,
) -> Vec<(&'static str, String)> {
    vec![
        ("JWT_SECRET_KEY", state.secrets.jwt.clone()),
        ("DATABASE_URL", state.database.clone()),
        ("REDIS_PORT", redis.port().to_string()),
        ("HTTP_ADDR", format!("127.0.0.1:{port}")),
        ("PUBLIC_URL", url.to_owned()),
        ("ADMIN_EMAIL", ADMIN.to_owned()),
        ("ADMIN_PASSWORD", state.secrets.password.clone()),
        ("MAIL_SERVER", sink.addr().ip().to_string()),
        ("MAIL_PORT", sink.addr().port().to_string()),
        ("MAIL_USE_TLS", "false".to_owned()),
        ("MAIL_DEFAULT_SENDER", "Parkade <parkade@parkade.test>".to_owned()),
        ("UPLOAD_FOLDER", "exports".to_owned()),
        // An alert about a full disk would be one more mail than expected.
        ("ALERT_DISK_PERCENT", "100".to_owned()),
    ]
}

/// Fills the database if it is empty. Returns a description of what was done.
async fn seed(
    api: &Path,
    settings: &[(&'static str, String)],
    folder: &Path,
    size: &str,
    password: &str,
) -> Result<String> {
    let mut command = tokio::process::Command::new(api);
    command.args(["seed", "--size", size, "--span", "month", "--password", password]);
    // The developer's environment must not affect the demo.
    command.env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("cannot run {}", api.display()))?;
    let (output_text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        let summary = output_text.lines().last().and_then(|line| line.split(';').next()).unwrap_or_default();
        return Ok(summary.to_owned());
    }
    ensure!(errors.contains("the database is in use"), "parkade-api seed failed:\n{output_text}{errors}");
    Ok("the database is in use; its data is not changed".to_owned())
}

/// Waits until the API is ready.
async fn ready(api: &Process, client: &Client) -> Result<()> {
    let answers = async {
        while !client.is_ready().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = answers => Ok(()),
        _ = api.wait(START_LIMIT) => bail!("parkade-api is not ready; its log ends with:\n{}", tail(api)),
    }
}

async fn working_logins(client: &Client, password: &str) -> Vec<&'static str> {
    let mut working = Vec::new();
    for email in [ADMIN, DRIVER] {
        let body = json!({ "email": email, "password": password });
        if client.post("/api/auth/login", &body, reqwest::StatusCode::OK).await.is_ok() {
            working.push(email);
        }
    }
    working
}

fn tail(process: &Process) -> String {
    let log = process.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
