//! The list of rules, and how their results are printed.

use anyhow::{Result, ensure};

use super::{
    cycles, dependencies, floors,
    imports::{self, Import},
    sizes,
    source::{self, Source},
    words,
};
use crate::cargo;

/// A rule, and the places that break it.
pub(super) type Checked = (&'static str, Vec<String>);

pub(crate) fn run() -> Result<()> {
    let mut results = vec![(
        "shipped packages depend on no development tools, and the API and the worker not on each other",
        dependencies::offenders(|package| {
            cargo::output(&["tree", "-e", "normal", "--prefix", "none", "--format", "{p}", "-p", package])
        })?,
    )];
    results.extend(check(&source::read(cargo::workspace())?)?);
    for (rule, offenders) in &results {
        println!("{} {rule}", if offenders.is_empty() { "ok  " } else { "FAIL" });
        offenders.iter().for_each(|offender| println!("       {offender}"));
    }
    let broken = results.iter().filter(|(_, offenders)| !offenders.is_empty()).count();
    ensure!(broken == 0, "{broken} of {} rules are broken", results.len());
    Ok(())
}

/// The rules about source files.
pub(super) fn check(sources: &[Source]) -> Result<Vec<Checked>> {
    let imports: Vec<Import> = imports::of(sources)?;
    Ok(vec![
        ("each floor of shared/src imports only the floors below it", floors::offenders(sources, &imports)),
        ("no files and no folders import each other in a cycle", cycles::offenders(&imports)),
        ("pure files use no database, Redis, runtime or clock", words::impure(sources)),
        ("the queue library is used in three files at most", words::queue_library(sources)),
        ("Redis is never flushed or listed outside devstack", words::redis_commands(sources)),
        ("files are short enough to read", sizes::long_files(sources)),
        ("functions have names of at most 60 characters", sizes::long_names(sources)),
    ])
}
