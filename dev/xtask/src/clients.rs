//! `cargo xtask clients`: checks the OpenAPI document with two linters, generates a client in TypeScript and one in Python, and
//! does the main job with both: from a registration to the download of an export.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    cargo,
    deployment::{Database, Deployment},
    install::{self, Server},
    node, python,
};

const DOCUMENT: &str = "docs/openapi.json";

/// Pinned, because a new release generates other code.
const PYTHON_GENERATOR: &str = "openapi-python-client==0.29.1";

pub(crate) async fn run() -> Result<()> {
    install::ensure(&[Server::Redis])?;
    cargo::build_debug()?;
    let target = cargo::binaries("debug")?.with_file_name("clients");
    let typescript = TypeScript::install(target.join("typescript"))?;
    let python = Python::install(target.join("python"))?;
    typescript.lint()?;
    typescript.generate()?;
    python.generate()?;
    let deployment = Deployment::start(Database::Sqlite).await?;
    println!("==> the main job in TypeScript");
    typescript.run(&deployment.base)?;
    println!("==> the main job in Python");
    python.run(&deployment.base)?;
    println!("==> the generated clients work");
    Ok(())
}

fn sources() -> PathBuf {
    cargo::workspace().join("dev/clients")
}

/// The tools from npm packages, and the client in TypeScript.
struct TypeScript {
    folder: PathBuf,
}

impl TypeScript {
    fn install(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(sources().join("typescript"))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        let (lock, installed) = (fs::read(folder.join("package-lock.json"))?, folder.join("installed"));
        if !fs::read(&installed).is_ok_and(|installed| installed == lock) {
            println!("==> installing packages for TypeScript");
            let mut npm = node::command("npm")?;
            cargo::succeed(npm.args(["ci", "--silent", "--no-fund", "--no-audit"]).current_dir(&folder))?;
            fs::write(installed, lock)?;
        }
        Ok(Self { folder })
    }

    /// A command with one of the programs of the packages.
    fn program(&self, name: &str) -> Result<Command> {
        let mut command = node::command(self.folder.join("node_modules/.bin").join(name))?;
        command.current_dir(cargo::workspace());
        Ok(command)
    }

    fn lint(&self) -> Result<()> {
        println!("==> spectral");
        let ruleset = sources().join("spectral.yaml");
        let mut spectral = self.program("spectral")?;
        spectral.args(["lint", "--fail-severity=hint", "--ruleset"]).arg(ruleset).arg(DOCUMENT);
        cargo::succeed(&mut spectral)?;
        println!("==> redocly");
        let mut redocly = self.program("redocly")?;
        redocly.args(["lint", "--extends=recommended", "--format=json", DOCUMENT]);
        redocly.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
        let output = redocly.output().context("cannot run redocly")?;
        let report = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("redocly failed: {}", String::from_utf8_lossy(&output.stderr)))?;
        // It succeeds despite warnings.
        let problems = problems(&report)?;
        ensure!(problems.is_empty(), "redocly found in {DOCUMENT}:\n{}", problems.join("\n"));
        Ok(())
    }

    fn generate(&self) -> Result<()> {
        let schema = self.folder.join("schema.d.ts");
        cargo::succeed(self.program("openapi-typescript")?.arg(DOCUMENT).arg("--output").arg(schema))?;
        cargo::succeed(self.program("tsc")?.arg("--project").arg(&self.folder))
    }

    fn run(&self, base: &str) -> Result<()> {
        cargo::succeed(node::command("node")?.arg(self.folder.join("out/main.js")).arg(base))
    }
}

/// What a report of redocly complains about.
fn problems(report: &Value) -> Result<Vec<String>> {
    let problems = report["problems"].as_array().context("redocly printed no list of problems")?;
    let shown = |problem: &Value| {
        let place = problem["location"][0]["pointer"].as_str().unwrap_or_default();
        let [rule, message] = ["ruleId", "message"].map(|key| problem[key].as_str().unwrap_or_default());
        format!("{place}: {message} ({rule})")
    };
    Ok(problems.iter().map(shown).collect())
}

/// The generator, and the client in Python.
struct Python {
    programs: PathBuf,
    folder: PathBuf,
}

impl Python {
    fn install(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { programs: python::programs("openapi-python-client", &[PYTHON_GENERATOR])?, folder })
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(cargo::workspace());
        command
    }

    fn generate(&self) -> Result<()> {
        let mut generator = self.program("openapi-python-client");
        generator.args(["generate", "--path", DOCUMENT, "--meta=none", "--overwrite", "--fail-on-warning"]);
        generator.arg("--output-path").arg(self.folder.join("parkade"));
        // It formats the client with ruff, which is installed beside it.
        cargo::succeed(generator.env("PATH", python::path_with(self.programs.clone())))
    }

    fn run(&self, base: &str) -> Result<()> {
        let script = sources().join("python/main.py");
        cargo::succeed(self.program("python").arg(script).arg(base).env("PYTHONPATH", &self.folder))
    }
}
