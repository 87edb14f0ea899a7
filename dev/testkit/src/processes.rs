//! The built binaries, as processes that share database, Redis and files with a test.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use devstack::{App, Process};

use crate::TestApp;

/// The path of a built binary: in `PARKADE_BINARIES` if set, otherwise in the target folder of this test.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a switch for developers, not a setting")]
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var("PARKADE_BINARIES").map(PathBuf::from).unwrap_or_else(|_| {
        let test = std::env::current_exe().expect("a path of this test");
        test.parent().and_then(Path::parent).expect("target/debug/deps").to_path_buf()
    });
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing: cargo build -p api -p worker, or cargo xtask test",
        path.display()
    );
    path
}

/// Starts processes with the settings of a test.
pub struct Processes<'a> {
    test: &'a TestApp,
    changed: Vec<(String, String)>,
}

impl<'a> Processes<'a> {
    /// Processes with the settings of `test`, except for those in `changed`.
    #[must_use]
    pub fn of(test: &'a TestApp, changed: &[(&str, &str)]) -> Self {
        let changed = changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { test, changed }
    }

    fn spawn(&self, name: &str, command: &str, address: Option<String>) -> Process {
        let mut settings = self.test.settings().to_vec();
        for (name, value) in self.changed.iter().cloned().chain(address.map(|a| ("HTTP_ADDR".to_owned(), a)))
        {
            settings.retain(|(known, _)| *known != name);
            settings.push((name, value));
        }
        let log = self.test.folder().join(format!("{name}-{}.log", uuid::Uuid::new_v4().simple()));
        App::spawn(&binary(name), [command], &settings, self.test.folder(), &log).expect("the process starts")
    }

    /// Starts a worker.
    #[must_use]
    pub fn worker(&self) -> Process {
        self.spawn("parkade-worker", "run", None)
    }

    /// Starts an API and waits until it is ready. Returns its base address, too.
    pub async fn api(&self) -> (Process, String) {
        let address = format!("127.0.0.1:{}", devstack::free_port().expect("a free port"));
        let process = self.spawn("parkade-api", "serve", Some(address.clone()));
        let base = format!("http://{address}/api");
        let ready = format!("{base}/health/ready");
        let waiting = async {
            while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let started = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(started.is_ok(), "the API is not ready:\n{}", process.log());
        (process, base)
    }
}
