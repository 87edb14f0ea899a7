//! `cargo xtask pages`: uses the pages in a real browser. Every flow with and without JavaScript on both databases; every page in
//! light and dark and in three widths, for accessibility, budgets and screenshots.

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};

use crate::{
    cargo,
    deployment::{ADMIN, ATTENDANT, DRIVER, Database, Deployment, PASSWORD, SEEDED_ADMIN, SEEDED_DRIVER},
    install::{self, Server},
    node,
};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Write the screenshots to this folder; by default one in the target folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Only look at the pages of a running API at this address, with the users of the demo and this password.
    #[arg(long, num_args = 2, value_names = ["URL", "PASSWORD"])]
    at: Option<Vec<String>>,
}

/// Names of the program on Linux distributions.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser, if the machine has one.
pub(crate) fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    BROWSERS
        .iter()
        .find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    let Some(browser) = browser() else {
        bail!("missing: a browser (Debian: chromium)");
    };
    let target = cargo::binaries("debug")?.with_file_name("pages");
    let driver = Driver::install(target.clone(), browser)?;
    let out = args.out.clone().unwrap_or_else(|| target.join("screenshots"));
    if let Some([url, password]) = args.at.as_deref() {
        return driver.look_at(url, SEEDED_ADMIN, SEEDED_DRIVER, password, &out);
    }
    install::ensure(&[Server::Redis, Server::Postgres])?;
    cargo::build_debug()?;
    for database in [Database::Sqlite, Database::Postgres] {
        println!("==> every flow of the pages on {database:?}");
        let deployment = Deployment::start(database).await?;
        let mails = deployment.folder().join("data/mails").display().to_string();
        deployment.fail_jobs(2).await?;
        driver.node(&["flows", &deployment.base], &[PASSWORD, ADMIN, ATTENDANT, &mails])?;
        if database == Database::Sqlite {
            println!("==> every page");
            driver.look_at(&deployment.base, ADMIN, DRIVER, PASSWORD, &out)?;
        }
    }
    println!("==> the pages work; screenshots are in {}", out.display());
    Ok(())
}

/// The script that drives the browser, with its npm packages.
struct Driver {
    folder: PathBuf,
    browser: String,
}

impl Driver {
    fn install(folder: PathBuf, browser: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(cargo::workspace().join("dev/pages"))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        let (lock, installed) = (fs::read(folder.join("package-lock.json"))?, folder.join("installed"));
        if !fs::read(&installed).is_ok_and(|installed| installed == lock) {
            println!("==> installing packages for the browser");
            let mut npm = node::command("npm")?;
            cargo::succeed(npm.args(["ci", "--silent", "--no-fund", "--no-audit"]).current_dir(&folder))?;
            fs::write(installed, lock)?;
        }
        Ok(Self { folder, browser: browser.display().to_string() })
    }

    fn look_at(&self, url: &str, admin: &str, driver: &str, password: &str, out: &PathBuf) -> Result<()> {
        fs::create_dir_all(out)?;
        let out = out.canonicalize()?.display().to_string();
        self.node(&["matrix", url], &[password, admin, driver, &out])
    }

    fn node(&self, what: &[&str], arguments: &[&str]) -> Result<()> {
        let mut node = node::command("node")?;
        node.arg(self.folder.join("main.js")).args(what).arg(&self.browser).args(arguments);
        cargo::succeed(&mut node)
    }
}
