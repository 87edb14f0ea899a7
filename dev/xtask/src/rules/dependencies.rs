//! Which packages may not be among the dependencies of a shipped package.

use anyhow::Result;

const TOOLS: [&str; 7] = ["bench", "chaos", "devstack", "fuzz", "testkit", "testkit-macros", "xtask"];

const SHIPPED: [(&str, &[&str]); 6] = [
    ("api", &["worker"]),
    ("worker", &["api"]),
    ("shared", &["api", "worker"]),
    ("migration", &["api", "worker", "shared"]),
    ("spelling", &["api", "worker", "shared", "migration", "tariff"]),
    ("tariff", &["api", "worker", "shared", "migration", "spelling"]),
];

/// `tree` lists a package's dependencies, one on each line.
pub(super) fn offenders(tree: impl Fn(&str) -> Result<String>) -> Result<Vec<String>> {
    let mut offenders = Vec::new();
    for (package, others) in SHIPPED {
        let tree = tree(package)?;
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        let mut found: Vec<&str> =
            names.filter(|name| TOOLS.contains(name) || others.contains(name)).collect();
        found.sort_unstable();
        found.dedup();
        offenders.extend(found.iter().map(|name| format!("{package} depends on {name}")));
    }
    Ok(offenders)
}
