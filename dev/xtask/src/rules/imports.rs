//! Which files of a package import which others.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{
    modules::{Modules, Target},
    source::Source,
};

/// A file that uses something which another file of its package defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) line: usize,
    /// The path as it is written.
    pub(super) path: String,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {} is in {}", self.from, self.line, self.path, self.to)
    }
}

/// The imports of all packages, sorted.
pub(super) fn of(sources: &[Source]) -> Result<Vec<Import>> {
    let roots = sources.iter().filter_map(|source| source.path.split_once("/src/").map(|(folder, _)| folder));
    let packages: BTreeSet<&str> = roots.collect();
    let mut imports = BTreeSet::new();
    for package in packages {
        let modules = Modules::of(package, sources)?;
        (0..modules.all.len()).for_each(|module| imports.extend(of_module(&modules, module)));
    }
    Ok(imports.into_iter().collect())
}

fn of_module(modules: &Modules<'_>, module: usize) -> Vec<Import> {
    let here = &modules.all[module];
    let import = |path: &[String], line: usize, target: Target| {
        let (from, to) = (here.file.clone(), modules.all[target.module()].file.clone());
        (from != to).then(|| Import { from, to, line, path: path.join("::") })
    };
    let uses = here.syntax.uses.iter().filter_map(|used| {
        let target = modules.resolve(module, &used.path)?;
        // A module that re-exports what is below it does not use it.
        let is_table_of_contents = used.is_public && modules.is_within(target.module(), module);
        if is_table_of_contents { None } else { import(&used.path, used.line, target) }
    });
    let paths = here.syntax.paths.iter().filter(|(path, _)| path.len() > 1).filter_map(|(path, line)| {
        let target = modules.resolve(module, path)?;
        import(path, *line, target)
    });
    uses.chain(paths).collect()
}
