//! `cargo xtask test`: runs all tests. Most of them run on SQLite and on PostgreSQL.

use anyhow::{Result, ensure};

use crate::{
    cargo, clients, conformance,
    install::{self, Server},
    pages, python,
};

/// The release with which tests open workbooks.
const OPENPYXL: &str = "openpyxl==3.1.5";

/// The variable of the test harness with how many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test only these crates.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Names of tests and other arguments of the test programs.
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    // Together, so that dependencies are built once, with one set of features.
    cargo::run(["build", "--workspace", "--bins", "--tests"])?;
    let packages = match args.packages.as_slice() {
        [] => vec!["--workspace".to_owned()],
        names => names.iter().map(|name| format!("--package={name}")).collect(),
    };
    let command = |arguments: &[String]| {
        let mut command = cargo::command(["test", "--no-fail-fast"]);
        command.args(&packages).arg("--").args(arguments);
        command
    };
    if !args.arguments.is_empty() {
        let listed = cargo::output_of(&mut command(&[&args.arguments[..], &["--list".to_owned()]].concat()))?;
        let what = args.arguments.join(" ");
        ensure!(
            lists_tests(&listed),
            "no test matches `{what}`; their names are like `bookings::overbooking_fails::postgres`"
        );
    }
    let mut tests = command(&args.arguments);
    tests.env("PARKADE_BINARIES", cargo::binaries("debug")?);
    if std::env::var_os(THREADS).is_none() {
        // Tests wait for servers and processes half of their time.
        let cores = std::thread::available_parallelism()?;
        tests.env(THREADS, (2 * cores.get()).to_string());
    }
    if python::is_available() {
        // Reads workbooks independently of the library that wrote them.
        tests.env("PARKADE_PYTHON", python::programs("openpyxl", &[OPENPYXL])?.join("python"));
    }
    println!("==> cargo test");
    let mut failed = Vec::from_iter(failure("cargo test", cargo::succeed(&mut tests)));
    if args.packages.is_empty() && args.arguments.is_empty() {
        failed.extend(test_from_outside().await);
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    println!("==> all tests passed");
    Ok(())
}

/// Programs written by others use the product: schemathesis, generated clients, Chromium. Each runs whatever became of
/// the others. Returns the names of those that failed.
async fn test_from_outside() -> Vec<&'static str> {
    if !python::is_available() {
        println!(
            "==> schemathesis, the generated clients and the pages in a browser are skipped, because python3 with venv is missing (Debian: python3-venv)"
        );
        return Vec::new();
    }
    let mut failed =
        Vec::from_iter(failure("conformance", conformance::run(&conformance::Args::default()).await));
    // Python also brings Node.js if the machine has none.
    failed.extend(failure("clients", clients::run().await));
    if pages::browser().is_some() {
        failed.extend(failure("pages", pages::run(&pages::Args::default()).await));
    } else {
        println!("==> the pages are not tried in a browser, because there is none (Debian: chromium)");
    }
    failed
}

/// Prints why a part failed, and returns its name.
fn failure(part: &'static str, result: Result<()>) -> Option<&'static str> {
    println!("==> {part} failed: {:#}", result.err()?);
    Some(part)
}

/// Whether the output of `--list` has a test.
fn lists_tests(listed: &str) -> bool {
    listed.lines().any(|line| line.ends_with(": test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_tests_is_recognised() {
        assert!(lists_tests("bookings::a_test::sqlite: test\n\n1 test, 0 benchmarks\n"));
        assert!(!lists_tests("0 tests, 0 benchmarks\n\n0 tests, 0 benchmarks\n"));
    }
}
